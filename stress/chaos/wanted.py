"""What a run is to be, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from stress.chaos.history import Verdict
from stress.chaos.plan import KINDS


class Wanted(NamedTuple):
    """What to run. Times in seconds; ``store`` is empty for a fresh SQLite file."""

    store: str = ""
    hosts: int = 2
    workers: int = 2
    concurrency: int = 1
    producers: int = 2
    messages: int = 5000
    kinds: tuple[str, ...] = tuple(KINDS)
    seed: int = 0
    mishaps: int | None = None
    visibility_s: float = 3.0
    lease_s: float = 2.0
    timeout_s: float = 300.0
    evidence: Path | None = None
    schedules: int = 0
    features: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """
    Attributes:
        skipped: kinds of faults that were asked for and cannot be had here, and why.
        folder: the evidence.
    """

    wanted: Wanted
    store: str
    verdict: Verdict
    faults: dict[str, int]
    skipped: dict[str, str]
    requests: dict[str, int]
    seconds: float
    folder: Path

    @property
    def passed(self) -> bool:
        verdict = self.verdict
        return not (verdict.lost or verdict.committed_twice or verdict.unexplained or verdict.violations)

    def report(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "messages": verdict.messages,
            "done": verdict.done,
            "dead": verdict.dead,
            "cancelled": verdict.cancelled,
            "redriven": verdict.redriven,
            "lost": len(verdict.lost),
            "committed_twice": verdict.committed_twice,
            "ran_twice": sum(verdict.ran_twice.values()),
            "ran_twice_unexplained": len(verdict.unexplained),
            "fences": verdict.fences,
            "takeovers": verdict.takeovers,
            "faults": self.faults,
            "recovery_s": verdict.recovery,
            "requests": self.requests,
            "explained": {why: many for why, many in verdict.ran_twice.items() if why != "unexplained"},
            "finished_again": verdict.finished_again,
            "violations": verdict.violations,
            "skipped": self.skipped,
            "seed": self.wanted.seed,
            "store": self.store,
            "seconds": round(self.seconds, 1),
        }
