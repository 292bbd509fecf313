"""The screens of `stats` and `top`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from s3queue.io.meter import ROLES
from s3queue.observe.prices import dollars
from s3queue.observe.stats import QueueStats, Stats
from s3queue.words import plural

#: The titles of the columns, and the figure in each.
COLUMNS = {
    "ready": "ready",
    "scheduled": "scheduled",
    "running": "running",
    "retrying": "waiting",
    "dead": "dead",
    "done": "done",
    "failures": "failed",
}
#: Figures that may be larger than the coordinator knows.
_AT_LEAST = ("ready", "scheduled", "waiting")
_KINDS = ("put", "get", "list", "delete")
#: Causes of death that are shown for a queue, at most.
_CAUSES = 5
#: Running messages that are shown with their progress, at most.
_PROGRESS = 20


def queues_table(seen: Stats, *, rates: bool = False) -> Table:
    """The table of queues.

    Args:
        rates: show messages per second instead of failed attempts: a terminal has no room for both.
    """
    columns = {title: name for title, name in COLUMNS.items() if not (rates and name == "failed")}
    table = Table(box=None, pad_edge=False, collapse_padding=rates)
    table.add_column("queue", overflow="fold")
    for title in (*columns, "oldest", *(("in/s", "out/s", "mean") if rates else ())):
        table.add_column(title, justify="right", no_wrap=True)
    for queue, counts in seen.queues.items():
        cells = [_count(counts, name) for name in columns.values()] + [_seconds(counts.oldest_s)]
        if rates:
            cells += [_rate(counts.in_per_s), _rate(counts.out_per_s), _seconds(counts.mean_s)]
        table.add_row(queue, *cells)
    return table


def marks(seen: Stats) -> Iterator[str]:
    """Facts that an operator should know, a line each, as markup."""
    for queue, counts in seen.queues.items():
        for token, many in counts.unfit.items():
            task, _, digests = token.rpartition("@")
            what = "whose arguments do not fit" if any(digests.split(",")) else "of a task that no host knows"
            yield f"[yellow]unfit[/]: {plural(many, 'message')} of {queue} {what}: {escape(task)}"
    for queue, counts in seen.queues.items():
        if counts.is_unserved:
            yield f"[yellow]not served[/]: no living host serves {queue}; s3queue run MODULE starts one"
    for queue, counts in seen.queues.items():
        if counts.paused:
            yield f"[yellow]paused[/]: {queue}; s3queue resume {queue}"
        for task in counts.paused_tasks:
            many, name = counts.held.get(task, 0), escape(task)
            held = f", {plural(many, 'message')} held" if many else ""
            yield f"[yellow]paused[/]: {name} of {queue}{held}; s3queue resume {queue} --task {name}"
    for queue, counts in seen.queues.items():
        if counts.limited:
            yield f"[yellow]limit reached[/]: {queue}: {escape(', '.join(counts.limited))}; s3queue limit ls"
    for queue, counts in seen.queues.items():
        if counts.died and counts.dead:  # else all of them were redriven or purged
            causes = sorted(counts.died.items(), key=lambda one: -one[1])
            told = ", ".join(f"{many:,} {escape(cause)}" for cause, many in causes[:_CAUSES])
            yield f"died in {queue}: {told}; s3queue dead groups {queue}"
    for bound in seen.full:
        yield f"[yellow]full[/]: {bound}; work is held back until there is room"


def unreadable(seen: Stats) -> Iterator[str]:
    for key in seen.unreadable:
        yield f"[red]unreadable[/]: {escape(key)}"


def freshness(seen: Stats, now: datetime) -> str:
    """The age of the figures."""
    if seen.as_of is None:
        return "counted just now"
    told = f"as of {seen.as_of.astimezone():%Y-%m-%d %H:%M:%S}, {_seconds((now - seen.as_of).total_seconds())} ago"
    if seen.is_unattended:
        told += "; ≥: at least, no host lives that would count on"
    elif any(counts.at_least for counts in seen.queues.values()):
        census = (
            "a census counts what is behind the heads of queues"
            if seen.census_at is None
            else (f"counted from {seen.census_at.astimezone():%H:%M:%S} on")
        )
        told += f"; ≥: at least, {census}"
    return told


def screen(seen: Stats, now: datetime | None = None, *, prices: Mapping[str, float] | None) -> RenderableType:
    """The whole screen.

    Args:
        prices: dollars per million requests; None: requests are not billed.
    """
    now = now or datetime.now(UTC)
    slots = sum(host.slots for host in seen.hosts if not host.over)
    busy = sum(host.busy for host in seen.hosts if not host.over)
    leader = next((host.name for host in seen.hosts if host.session == seen.coordinator), seen.coordinator)
    leads = f"coordinator {escape(leader)}, term {seen.epoch}" if leader else "no coordinator"
    return Group(
        f"[bold]{escape(seen.store)}[/], namespace {seen.namespace}",
        f"{busy:,} of {slots:,} slots busy; {leads}, board {seen.board_bytes / 1000:,.0f} kB",
        freshness(seen, now),
        "",
        queues_table(seen, rates=True) if seen.queues else "no messages, now or before",
        "",
        _hosts_table(seen) if seen.hosts else "no hosts",
        *_progress(seen),
        "",
        _requests_table(seen, prices),
        *marks(seen),
        *unreadable(seen),
    )


def _hosts_table(seen: Stats) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("host")
    for name in ("slots", "busy", "messages"):
        table.add_column(name, justify="right")
    table.add_column("serves")
    for host in seen.hosts:
        serves = "left" if host.over else ", ".join(host.queues) or "nothing"
        name = escape(host.name or host.session) + (" (leads)" if host.session == seen.coordinator else "")
        table.add_row(name, f"{host.slots:,}", f"{host.busy:,}", f"{host.assigned:,}", serves)
    return table


def _progress(seen: Stats) -> Iterator[RenderableType]:
    told = [one for host in seen.hosts for one in host.progress]
    if not told:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("message", overflow="fold")
    table.add_column("done", justify="right", no_wrap=True)
    table.add_column("")
    for one in told[:_PROGRESS]:
        done = f"{one.done:g} of {one.total:g}" if one.total else f"{one.done:g}" if one.done else ""
        table.add_row(escape(one.message), done, escape(one.text))
    yield ""
    yield table


def _requests_table(seen: Stats, prices: Mapping[str, float] | None) -> Table:
    """Requests of living hosts, and of those that are gone."""
    table = Table(box=None, pad_edge=False)
    table.add_column("requests by")
    for kind in _KINDS:
        table.add_column(kind, justify="right")
    if prices:
        table.add_column("about", justify="right")
    usage = seen.usage
    for role in ROLES:
        asked = {kind: usage.get(role, {}).get(kind, 0) for kind in _KINDS}
        spent = dollars(asked, prices or {})
        table.add_row(role, *(f"{many:,}" for many in asked.values()), *([f"${spent:,.4f}"] if prices else []))
    return table


def _count(counts: QueueStats, name: str) -> str:
    return ("≥" if counts.at_least and name in _AT_LEAST else "") + f"{getattr(counts, name):,}"


def _rate(per_s: float | None) -> str:
    return "-" if per_s is None else f"{per_s:,.1f}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.2g} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for length, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}" if seconds < 10 * length else f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"
