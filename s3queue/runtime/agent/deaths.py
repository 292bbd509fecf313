"""Who pays for the death of a process, and what is told of messages that nobody heard more of.

Of several messages that a process was at when it died one may have killed it, and the others are innocent. So an attempt
is counted only where it is known whose fault it was: a message over its time limit, or the only one that there was. All
others were **interrupted**: they go on as another attempt that does not count, and, where nobody knows who it was, each
in a process with nothing else, where the next death tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from s3queue.core import ranges
from s3queue.core.records import Failed, Failure, Report
from s3queue.runtime.local.journal import (
    FAILED,
    READING,
    REJECTED,
    RUNNING,
    SNOOZED,
    UNFIT,
    WorkerJournal,
    ok_ranges,
)

#: States of what has ended, and not with ok.
ENDED = frozenset({FAILED, REJECTED, SNOOZED, UNFIT})
#: States of what a process is at.
AT_WORK = frozenset({RUNNING, READING})
#: How long a message waits that asked to be put off, and of which nobody heard until when, in seconds.
_SNOOZE_S = 1.0


class Death(NamedTuple):
    """How a process ended.

    Attributes:
        cause, text, overran: as in `s3queue.runtime.local.wire.Died`.
        at_ms: wall clock.
    """

    cause: str
    text: str
    at_ms: int
    overran: Collection[tuple[int, int]] = ()


class Suspect(NamedTuple):
    """A message that a process was at when it died.

    Attributes:
        row, at: where it is in the journal.
        reading: the source that was being read for it; empty where its task was running.
    """

    row: int
    at: int
    attempt: int
    reading: str = ""


class Affected(NamedTuple):
    """What a death did to one message, for people.

    Attributes:
        attempt: the one that ended. most: after how many of them it is dead.
        following: what becomes of it.
    """

    message: str
    attempt: int
    most: int
    following: str


def judge(suspects: Collection[Suspect], death: Death) -> dict[Suspect, Failed]:
    """The outcome of each message that may have been at fault. Those that are not in it had not begun, and cannot be:
    reading a source may take memory, but ends no process otherwise."""
    running = [one for one in suspects if not one.reading]
    if death.cause == "shutdown":
        return {one: _outcome("interrupted", one, "shutdown", death.text, death) for one in running}
    if death.overran:
        return {one: _over_time(one, death) for one in running}
    # What was being read goes to another worker, and if it is to blame that shows when it is read while nothing runs.
    accused = running or list(suspects)
    can_be_read = not running or death.cause != "exited"
    many = len(running) + can_be_read * len({one.reading for one in suspects if one.reading})
    if many == 1:
        return {one: _outcome("retry", one, death.cause, death.text, death) for one in accused}
    text = f"{death.text} while it ran {many} messages; each of them runs alone next, and no attempt is counted"
    return {one: _outcome("interrupted", one, death.cause, text, death) for one in accused}


def _over_time(one: Suspect, death: Death) -> Failed:
    if (one.row, one.at) in death.overran:
        return _outcome("retry", one, death.cause, death.text, death)
    text = f"{death.text}; the task of another message, so no attempt is counted for this one"
    return _outcome("interrupted", one, "interrupted", text, death)


def _outcome(kind: str, one: Suspect, cause: str, text: str, death: Death) -> Failed:
    return Failed(kind, 0.0, Failure(one.attempt, cause, text, death.at_ms))


# ---- of whom nobody heard more ---------------------------------------------------------------------------------------


def last_word(state: int, attempt: int, now_ms: int) -> Failed | None:
    """The outcome of a message that ended, and of which nobody heard more than its state. None: it is given back."""
    if state == SNOOZED:
        return Failed("snooze", _SNOOZE_S)
    if state == UNFIT:
        return None
    kind, cause, what = ("dead", "rejected", "was rejected") if state == REJECTED else ("retry", "error", "failed")
    return Failed(kind, 0.0, Failure(attempt, cause, f"it {what}; the reason was lost when its process died", now_ms))


def journaled_outcomes(journals: Iterable[WorkerJournal], now_ms: int) -> dict[str, Report]:
    """What the journals of a dead agent's workers say, by ticket: the outcomes that its ledger may lack.

    The supervisor has ended the workers, since their agent died. What was being read goes to another host at no cost.
    """
    ok: dict[str, list[tuple[int, int]]] = {}
    failed: dict[str, dict[int, Failed]] = {}
    running: dict[Suspect, tuple[str, int]] = {}
    rows = ((journal, number) for journal in journals for number in journal.rows())
    for place, (journal, number) in enumerate(rows):
        row = journal.row(number)
        assert row is not None
        states = bytes(journal.states(number))
        ok.setdefault(row.ticket, []).extend((row.base + a, row.base + b) for a, b in ok_ranges(states))
        for index, state in enumerate(states):
            if state == RUNNING:
                running[Suspect(place, index, 0)] = row.ticket, row.base + index
            elif state in ENDED and (outcome := last_word(state, 0, now_ms)) is not None:
                failed.setdefault(row.ticket, {})[row.base + index] = outcome
    death = Death("killed", "its worker was killed because the agent of this host died", now_ms)
    for one, outcome in judge(running, death).items():
        ticket, offset = running[one]
        failed.setdefault(ticket, {})[offset] = outcome
    return {
        name: Report(ok=ranges.union(ok.get(name, ())), failed=failed.get(name, {}))
        for name in ok.keys() | failed.keys()
    }
