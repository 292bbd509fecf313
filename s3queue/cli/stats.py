"""``s3queue stats``."""

from __future__ import annotations

import difflib
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from s3queue.cli.common import console, show_json, use
from s3queue.cli.options import interval_option, json_option, store_options
from s3queue.core.keys import check_name
from s3queue.words import plural

if TYPE_CHECKING:
    from s3queue.observe.stats import Stats
    from s3queue.store import ObjectStore

#: Kinds of trouble with requests, in the singular.
_ONE = {"retries": "repeat", "conflicts": "conflict"}


@click.command("stats")
@click.option("--queue", "queues", metavar="NAME", multiple=True, help="Show only this queue. May be repeated.")
@click.option("--exact", is_flag=True, help="Count now. Costs one request per 1,000 objects and per host.")
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@interval_option("Time between two repetitions of --watch.")
@store_options
@json_option
def command(
    queues: tuple[str, ...],
    exact: bool,
    watch: bool,
    interval: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Show the queues of a namespace, and the hosts that serve them.

    \b
    ready      could run now
    scheduled  not due yet
    running    assigned to a host: running there, or next
    retrying   waiting for the next attempt
    dead       has a dead letter
    done       succeeded, since the namespace was created
    failures   failed attempts, since the namespace was created

    The figures are from the coordinator's last summary. This costs one request, however long the backlog.
    """
    store, config = use(store_url, config_file, namespace=namespace)
    try:
        while True:
            seen = _look(store, config.namespace, queues, exact=exact)
            if as_json:
                show_json(seen)
            else:
                if watch and sys.stdout.isatty():
                    click.clear()
                _show(seen)
            if not watch:
                return
            sys.stdout.flush()
            time.sleep(interval)
    finally:
        store.close()


def _look(store: ObjectStore, namespace: str, queues: tuple[str, ...], *, exact: bool) -> Stats:
    from s3queue.observe.stats import QueueStats
    from s3queue.operate.inspection import stats

    seen = stats(store, namespace, exact=exact)
    for name in queues:
        if check_name(name) not in seen.queues:
            near = difflib.get_close_matches(name, seen.queues, n=1)
            click.echo(f"no message of {name} is known" + (f"; did you mean {near[0]}?" if near else ""), err=True)
    if queues:
        seen.queues = {name: seen.queues.get(check_name(name), QueueStats()) for name in queues}
    return seen


def _show(seen: Stats) -> None:
    from s3queue.cli.screens import freshness, marks, queues_table, unreadable

    out = console()
    out.print(f"[bold]{seen.store}[/], namespace {seen.namespace}", soft_wrap=True)
    if seen.queues:
        out.print(queues_table(seen))
    else:
        out.print("no messages, now or before")
    for line in marks(seen):
        out.print(line, soft_wrap=True)
    for host in seen.hosts:
        role = "leads, " if host.session == seen.coordinator else ""
        state = "left" if host.over else f"{plural(host.slots, 'slot')}, {plural(host.assigned, 'message')}"
        out.print(
            f"host {host.name or host.session}: {role}{state}, serves {', '.join(host.queues) or 'nothing'}",
            soft_wrap=True,
        )
        for who, usage in host.usage.items():
            out.print(f"  as {who}: {_asked(usage) or 'nothing asked'}", style="dim", soft_wrap=True)
    for line in unreadable(seen):
        out.print(line)
    asked = ", ".join(f"{count} {kind}" for kind, count in seen.requests.items() if count)
    hint = "" if seen.as_of is None else "; --exact counts now"
    out.print(f"{freshness(seen, datetime.now(UTC))}{hint}", style="dim")
    out.print(f"requests of this command: {asked}", style="dim")


def _asked(usage: dict[str, int]) -> str:
    """Requests by kind, sizes of objects, and trouble with requests."""
    told = []
    for what, count in usage.items():
        if not count:
            continue
        if what in ("sent", "received"):
            told.append(f"{_size(count)} {what}")
        elif what in _ONE:
            told.append(plural(count, _ONE[what]))
        else:
            told.append(f"{count:,} {what}")
    return ", ".join(told)


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:,.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"
