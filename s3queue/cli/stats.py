"""``s3queue stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from s3queue.cli.common import console, json_option, show_json, store_options, use

if TYPE_CHECKING:
    from s3queue.inspection import Stats


@click.command("stats")
@store_options
@json_option
def command(store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> None:
    """Show what is in the queues of a namespace, and who works on them."""
    from s3queue.inspection import stats

    store, config = use(store_url, config_file, namespace=namespace)
    seen = stats(store, config.namespace)
    store.close()
    if as_json:
        show_json(seen)
    else:
        _show(seen)


def _show(seen: Stats) -> None:
    from rich.table import Table

    out = console()
    out.print(f"[bold]{seen.store}[/], namespace {seen.namespace}")
    if seen.queues:
        names = ("ready", "scheduled", "running", "waiting", "dead", "done", "failed")
        table = Table(box=None, pad_edge=False)
        table.add_column("queue")
        for name in names:
            table.add_column(name, justify="right")
        table.add_column("oldest", justify="right")
        for queue, counts in seen.queues.items():
            oldest = "-" if counts.oldest_s is None else f"{counts.oldest_s:.0f} s"
            table.add_row(queue, *(f"{getattr(counts, name):,}" for name in names), oldest)
        out.print(table)
    else:
        out.print("no messages, now or before")
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
