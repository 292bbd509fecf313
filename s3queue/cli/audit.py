"""The outcome of every message, derived from the event history.

There are two independent records: the **runs**, which the task itself writes when it starts and when it ends, and the
**history**, in which the coordinator records each outcome after the board with that outcome was committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from s3queue.core.keys import Layout

__all__ = ["Committed", "Run", "Verdict", "audit", "read_history", "read_lines", "read_runs"]


class Run(Struct, frozen=True):
    """One line of the runs: ``start`` or ``end`` of one attempt.

    Attributes:
        held: whether the attempt waits here to be killed.
    """

    at: str
    message: str
    attempt: int
    pid: int
    held: bool = False


class Committed(NamedTuple):
    """One outcome of one message, from the history."""

    message: str
    outcome: str


class Verdict(NamedTuple):
    """The result of an audit.

    Attributes:
        done: messages that were committed as done and ran to the end.
        dead: messages that were committed as dead.
        lost: messages that were enqueued, and are neither.
        committed_twice: outcomes beyond the first of a message.
        ran_twice: starts beyond the first of a message.
    """

    done: int
    dead: int
    lost: int
    committed_twice: int
    ran_twice: int

    def passes(self, *, killed: int, concurrency: int) -> bool:
        """Whether nothing was lost, nothing was committed twice, and each kill cost no more than what its process was
        running."""
        return self.lost == 0 and self.committed_twice == 0 and self.ran_twice <= killed * concurrency


def audit(enqueued: Iterable[str], runs: Iterable[Run], history: Iterable[Committed]) -> Verdict:
    starts: Counter[str] = Counter()
    ended: set[str] = set()
    for run in runs:
        if run.at == "start":
            starts[run.message] += 1
        else:
            ended.add(run.message)
    outcomes: dict[str, list[str]] = {}
    for committed in history:
        outcomes.setdefault(committed.message, []).append(committed.outcome)
    done = {message for message, all_of_it in outcomes.items() if "done" in all_of_it and message in ended}
    dead = {message for message, all_of_it in outcomes.items() if "dead" in all_of_it}
    return Verdict(
        done=len(done),
        dead=len(dead),
        lost=len(set(enqueued) - done - dead),
        committed_twice=sum(len(all_of_it) - 1 for all_of_it in outcomes.values()),
        ran_twice=sum(count - 1 for count in starts.values()),
    )


def read_lines(path: Path, after: int = 0) -> tuple[list[bytes], int]:
    """The complete lines of a growing file after an offset, and the offset after them."""
    with path.open("rb") as file:
        file.seek(after)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return data[:end].splitlines(), after + end


_decode_run = msgspec.json.Decoder(Run).decode


def read_runs(lines: Iterable[bytes]) -> list[Run]:
    return [_decode_run(line) for line in lines]


class _Event(Struct):
    kind: str
    source: str = ""
    start: int = 0
    stop: int = 0
    outcome: str = ""
    ids: list[str] = []


_decode_event = msgspec.json.Decoder(_Event).decode


def read_history(directory: Path, layout: Layout) -> list[Committed]:
    """Every outcome in the histories of all processes."""
    events = [_decode_event(line) for file in sorted(directory.glob("*.jsonl")) for line in read_lines(file)[0]]
    moved = {event.source: event.ids for event in events if event.kind == "moved"}
    return [
        Committed(
            moved[event.source][index] if event.source in moved else layout.message_id(event.source, index),
            event.outcome,
        )
        for event in events
        if event.kind == "settled"
        for index in range(event.start, event.stop)
    ]
