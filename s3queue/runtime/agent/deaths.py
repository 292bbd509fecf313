"""Which message is charged with the death of a process, and outcomes that only a journal holds.

When a process with several messages dies, one of them may be at fault and the others are innocent. So an attempt is
counted only for a message that is known to be at fault: one over its time limit, or the only one. All others were
**interrupted**: they go on as another attempt that does not count. If the fault is unknown, each runs next in a process
of its own, where a further death would prove it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from s3queue.core import ranges
from s3queue.core.ledger import Host
from s3queue.core.records import FATAL_CAUSES, Failed, Failure, Part, Report
from s3queue.runtime.agent.loads import Load, Row
from s3queue.runtime.local.journal import (
    FAILED,
    READING,
    REJECTED,
    RUNNING,
    SNOOZED,
    TOGETHER,
    UNFIT,
    WorkerJournal,
    ok_ranges,
)

#: States of messages that have ended and are not ok.
ENDED = frozenset({FAILED, REJECTED, SNOOZED, UNFIT})
#: States of messages that a process is running or reading.
AT_WORK = frozenset({RUNNING, READING})
#: Seconds that a snoozed message waits if its own delay was lost.
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
    """A message that a process was running or reading when it died.

    Attributes:
        row, at: where it is in the journal.
        reading: the source that was being read for it; empty where its task was running.
        shared: it ran together with others, in one call.
    """

    row: int
    at: int
    attempt: int
    reading: str = ""
    shared: bool = False


class Affected(NamedTuple):
    """The effect of a death on one message, for people.

    Attributes:
        attempt: the one that ended. most: attempts before it is dead.
        following: what happens to it next, for people. ending: ``dead`` or ``cancelled``, if nothing does.
    """

    message: str
    attempt: int
    most: int
    following: str
    queue: str = ""
    ending: str = ""


def judge(suspects: Collection[Suspect], death: Death) -> dict[Suspect, Failed]:
    """The outcome of each message that may be at fault. The others had not started; a source being read can only have
    killed the process by its size."""
    running = [one for one in suspects if not one.reading]
    if death.cause == "shutdown":
        return {one: _outcome("interrupted", one, "shutdown", death.text, death) for one in running}
    if death.overran:
        together = [one for one in running if one.shared and any(at == TOGETHER for _, at in death.overran)]
        return {one: _over_time(one, death, len(together) if one in together else 0) for one in running}
    # A source being read goes to another worker. If it is at fault, that shows when it is read while no task runs.
    accused = running or list(suspects)
    can_be_read = not running or death.cause != "exited"
    many = len(running) + can_be_read * len({one.reading for one in suspects if one.reading})
    if many == 1:
        return {one: _outcome("retry", one, death.cause, death.text, death) for one in accused}
    text = f"{death.text} while it ran {many} messages; each of them runs alone next, and no attempt is counted"
    return {one: _outcome("interrupted", one, death.cause, text, death) for one in accused}


def _over_time(one: Suspect, death: Death, together: int) -> Failed:
    if (one.row, one.at) in death.overran or together == 1:
        return _outcome("retry", one, death.cause, death.text, death)
    if together:
        text = (
            f"{death.text} while it ran {together} messages together; each runs alone next, and no attempt is counted"
        )
        return _outcome("interrupted", one, death.cause, text, death)
    text = f"{death.text}; the task of another message, so no attempt is counted for this one"
    return _outcome("interrupted", one, "interrupted", text, death)


def _outcome(kind: str, one: Suspect, cause: str, text: str, death: Death) -> Failed:
    return Failed(kind, 0.0, Failure(one.attempt, cause, text, death.at_ms))


# ---- of one worker --------------------------------------------------------------------------------------------------


def suspects_in(host: Host, load: Load, number: int, row: Row, at_ms: int) -> list[Suspect]:
    """Messages that it was running or reading. Also enters ended messages whose note was lost."""
    suspects = []
    states = bytes(load.journal.states(number))
    if not (AT_WORK | ENDED) & set(states):
        return []
    parts = _parts(host, row)
    running = load.journal.running()
    named = {one.message for one in running if one.row == number}
    shares = any(one.message == TOGETHER for one in running)
    for index, state in enumerate(states):
        if index in row.told:
            continue
        part = parts[index] if parts else None
        attempt = part.attempt if part is not None else 0
        if state in AT_WORK:
            reading = part.source if part and state == READING else ""
            suspects.append(Suspect(number, index, attempt, reading, shares and index not in named))
        elif state in ENDED:
            outcome = last_word(state, attempt, at_ms)
            load.release(row, index) if outcome is None else load.fail(row, index, outcome)
    return suspects


def _parts(host: Host, row: Row) -> Sequence[Part]:
    """By index, each message of a row; empty where its ticket is not ours any more."""
    held = host.tickets.get(row.ticket)
    if held is None:
        return ()
    return [
        Part(part.source, index, index + 1, part.attempt)
        for part in held.ticket.spans((row.base, row.base + row.size))
        for index in range(part.start, part.stop)
    ]


def affected(host: Host, row: Row, one: Suspect, outcome: Failed) -> Affected:
    held = host.tickets.get(row.ticket)
    if held is None:
        return Affected(f"message {one.at} of ticket {row.ticket}", one.attempt, 0, "another host has it now")
    part = next(held.ticket.spans((row.base + one.at, row.base + one.at + 1)))
    offer = host.offers.get(row.queue)
    most = held.spared + (offer.max_attempts if offer is not None else 0)
    ending = ""
    if outcome.kind == "interrupted":
        alone = "alone" if outcome.failure is not None and outcome.failure.cause in FATAL_CAUSES else "soon"
        following = f"it was interrupted, which is not counted, and runs again {alone}"
    elif outcome.failure is not None and outcome.failure.cause == "cancelled":
        following = ending = "cancelled"
    elif part.attempt >= most:
        following = ending = "dead"
    else:
        following = "it runs again, alone"
    message = host.layout.message_id(part.source, part.start)
    return Affected(message, part.attempt, most, following, row.queue, ending)


# ---- outcomes known only from a journal ------------------------------------------------------------------------------


def last_word(state: int, attempt: int, now_ms: int) -> Failed | None:
    """The outcome of a message that ended, if only its state is known. None: it is given back."""
    if state == SNOOZED:
        return Failed("snooze", _SNOOZE_S)
    if state == UNFIT:
        return None
    kind, cause, what = ("dead", "rejected", "was rejected") if state == REJECTED else ("retry", "error", "failed")
    return Failed(kind, 0.0, Failure(attempt, cause, f"it {what}; the reason was lost when its process died", now_ms))


def journaled_outcomes(journals: Iterable[WorkerJournal], now_ms: int) -> dict[str, Report]:
    """Outcomes from the journals of a dead agent's workers, by ticket: its ledger may lack them.

    The supervisor has killed the workers, since their agent died. Messages whose source was being read go to another host
    at no cost.
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
