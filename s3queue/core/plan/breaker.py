"""Holds a queue whose messages fail, and finds out when it may go on.

::

    closed ── n failures within the window ──▶ open ── the pause is over ──▶ one probe at a time
      ▲                                         ▲                                │
      └── a probe ends well ────────────────────┴──────────── a probe fails ─────┘

Failures are counted in windows that begin with the first of them. A probe that came to nothing, since its host fell silent
or gave it back, is followed by another one. What hosts hold when the breaker opens runs to its end, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from s3queue.core.plan.planning import Planning
from s3queue.core.plan.rules import KEPT_MS, Rules
from s3queue.core.records import Breaker, Fuse, Totals

#: Outcomes of a probe that say nothing about what the tasks depend on.
_NO_WORD = frozenset({"snooze", "interrupted", "unfit", "expired"})


def judge(planning: Planning, rules: Mapping[str, Rules]) -> None:
    """Update the breakers, after the reports of hosts were taken over. An open breaker holds its queue."""
    for queue, fuse in list(planning.fuses.items()):
        if queue not in rules and planning.uptime_ms - max(fuse.since_ms, fuse.open_ms) >= KEPT_MS:
            del planning.fuses[queue]  # nobody has served it for a long time, or it has no breaker any more
    for queue, rule in rules.items():
        breaker = rule.limits.breaker
        before = planning.fuses.pop(queue, None)
        if breaker is None or not breaker.failures:
            continue
        fuse = _next(planning, queue, breaker, before or Fuse())
        if fuse.failed or fuse.open_ms:
            planning.fuses[queue] = fuse
        if not fuse.open_ms:
            continue
        over_ms = fuse.open_ms + int(breaker.pause_s * 1000)
        if planning.uptime_ms < over_ms:
            planning.comes([planning.now_ms + over_ms - planning.uptime_ms])
        rule.held = planning.uptime_ms < over_ms or bool(fuse.probe)
        rule.probes = not rule.held


def _next(planning: Planning, queue: str, breaker: Breaker, fuse: Fuse) -> Fuse:
    now_ms = planning.uptime_ms
    if fuse.open_ms:
        if not fuse.probe or fuse.probe in planning.tickets:
            return fuse
        match _outcome(planning, fuse.probe):
            case "well":
                return Fuse()
            case "badly":
                return Fuse(fuse.failed, fuse.since_ms, now_ms)
            case _:
                return replace(fuse, probe="")
    failed = planning.totals.get(queue, Totals()).failed - planning.board.totals.get(queue, Totals()).failed
    if now_ms - fuse.since_ms > breaker.window_s * 1000:
        fuse = Fuse(0, now_ms)
    fuse = replace(fuse, failed=fuse.failed + failed)
    return replace(fuse, open_ms=max(1, now_ms)) if fuse.failed >= breaker.failures else fuse


def _outcome(planning: Planning, probe: str) -> str:
    """How it ended: ``well``, ``badly``, or nobody knows."""
    if any(one.ticket == probe and one.outcome == "done" for one in planning.planned.settled):
        return "well"
    ticket = planning.board.tickets.get(probe)
    ledger = planning.ledgers.get(ticket.session) if ticket is not None else None
    report = ledger.reports.get(probe) if ledger is not None else None
    if report is None or not report.failed:
        return ""
    return "badly" if any(one.kind not in _NO_WORD for one in report.failed.values()) else ""


def probing(planning: Planning, queue: str) -> None:
    """Record the ticket that this plan has assigned as the probe of a breaker."""
    for name, ticket in planning.tickets.items():
        if name not in planning.board.tickets and ticket.queue == queue:
            planning.fuses[queue] = replace(planning.fuses[queue], probe=name)
