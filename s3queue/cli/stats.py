"""``s3queue stats``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from s3queue.cli.common import console, json_option, show_json, store_options, use
from s3queue.core.keys import check_name

if TYPE_CHECKING:
    from s3queue.inspection import Stats
    from s3queue.store import ObjectStore


#: What the columns are called, and what each counts.
_COLUMNS = {
    "ready": "ready",
    "scheduled": "scheduled",
    "running": "running",
    "retrying": "waiting",
    "dead": "dead",
    "done": "done",
    "failures": "failed",
}


@click.command("stats")
@click.option("--queue", "queues", metavar="NAME", multiple=True, help="Only this one; may be repeated.")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch.",
)
@store_options
@json_option
def command(
    queues: tuple[str, ...],
    watch: bool,
    interval: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Show the queues of a namespace, and the hosts that serve them.

    Ready could run now, scheduled has not reached its time, running is assigned to a host, retrying waits for its next
    attempt, dead is out of attempts; done and failures (attempts that failed) count since the namespace began.
    """
    store, config = use(store_url, config_file, namespace=namespace)
    try:
        while True:
            seen = _look(store, config.namespace, queues)
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


def _look(store: ObjectStore, namespace: str, queues: tuple[str, ...]) -> Stats:
    from s3queue.inspection import QueueStats, stats

    seen = stats(store, namespace)
    if queues:
        seen.queues = {name: seen.queues.get(check_name(name), QueueStats()) for name in queues}
    return seen


def _show(seen: Stats) -> None:
    from rich.table import Table

    out = console()
    out.print(f"[bold]{seen.store}[/], namespace {seen.namespace}")
    if seen.queues:
        table = Table(box=None, pad_edge=False)
        table.add_column("queue")
        for name in _COLUMNS:
            table.add_column(name, justify="right")
        table.add_column("oldest", justify="right")
        for queue, counts in seen.queues.items():
            oldest = "-" if counts.oldest_s is None else f"{counts.oldest_s:.0f} s"
            table.add_row(queue, *(f"{getattr(counts, name):,}" for name in _COLUMNS.values()), oldest)
        out.print(table)
    else:
        out.print("no messages, now or before")
    for queue, counts in seen.queues.items():
        for token, many in counts.unfit.items():
            task, _, digests = token.rpartition("@")
            what = "whose arguments do not fit" if any(digests.split(",")) else "of a task that no host knows"
            out.print(f"[yellow]unfit[/]: {many:,} messages of {queue} {what}: {task}")
    for queue, counts in seen.queues.items():
        if counts.paused:
            out.print(f"[yellow]paused[/]: {queue}; s3queue resume {queue}")
    for bound in seen.full:
        out.print(f"[yellow]full[/]: {bound}; work is held back until there is room")
    for host in seen.hosts:
        role = "leads, " if host.session == seen.coordinator else ""
        state = "left" if host.over else f"{host.slots} slots, {host.assigned} messages"
        out.print(f"host {host.name or host.session}: {role}{state}, serves {', '.join(host.queues) or 'nothing'}")
        for who, usage in host.usage.items():
            asked = ", ".join(f"{count:,} {what}" for what, count in usage.items() if count)
            out.print(f"  as {who}: {asked or 'nothing asked'}", style="dim")
    for key in seen.unreadable:
        out.print(f"[red]unreadable[/]: {key}")
    out.print(
        "this look: " + ", ".join(f"{count} {kind}" for kind, count in seen.requests.items() if count), style="dim"
    )
