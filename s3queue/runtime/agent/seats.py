"""The seats of a host, one for each worker process, as a transition table.

A worker connects and says `Hello`; it serves; it leaves or dies; the supervisor reaps it, and the journal is read before
another process takes its seat. These events arrive on different channels, so in any order: a death may arrive before the
`Hello` of the dead process, or long before the end of its connection. `NEXT` has every valid transition. Any other event
comes from a faulty process: it is logged and the connection is closed, on which the process ends and is replaced.

No sockets, clocks or event loops here: `Seats` receives events and acts through callbacks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.deaths import Affected, Death
from s3queue.runtime.local.wire import (
    Died,
    FailedNote,
    Finished,
    Hello,
    Leaving,
    Note,
    Noted,
    Returned,
    Stop,
    Unreadable,
)


class State(Enum):
    """EMPTY: no process. SERVING: takes messages. LEAVING: takes no more, and finishes its messages. STOPPING: was told
    to end. LOST: the connection has ended, but the process was not reaped yet. REAPED: dead; its last notes may still be
    on their way."""

    EMPTY = auto()
    SERVING = auto()
    LEAVING = auto()
    STOPPING = auto()
    LOST = auto()
    REAPED = auto()


class Event(Enum):
    """HELLO: a process connects. LEAVE: it wants to be recycled. STOP: it is told to end. HANGUP: its connection has
    ended.
    DIED: the supervisor has reaped it. SILENCE: no more notes can arrive from a reaped process."""

    HELLO = auto()
    LEAVE = auto()
    STOP = auto()
    HANGUP = auto()
    DIED = auto()
    SILENCE = auto()


#: The state after each valid event.
NEXT: dict[State, dict[Event, State]] = {
    State.EMPTY: {
        Event.HELLO: State.SERVING,
        Event.DIED: State.EMPTY,  # before its Hello was read
    },
    State.SERVING: {
        Event.LEAVE: State.LEAVING,
        Event.STOP: State.STOPPING,
        Event.HANGUP: State.LOST,
        Event.DIED: State.REAPED,
    },
    State.LEAVING: {
        Event.STOP: State.STOPPING,
        Event.HANGUP: State.LOST,
        Event.DIED: State.REAPED,
    },
    State.STOPPING: {
        Event.LEAVE: State.STOPPING,  # said before it heard us
        Event.HANGUP: State.LOST,
        Event.DIED: State.REAPED,
    },
    State.LOST: {
        Event.DIED: State.EMPTY,
    },
    State.REAPED: {
        Event.HANGUP: State.EMPTY,
        Event.SILENCE: State.EMPTY,
    },
}

#: Seconds to wait for the end of a dead worker's connection. A process left behind by a task may hold it open; the
#: journal holds nearly the same.
LAST_WORDS_S = 1.0
#: Pids kept for each seat of processes that were reaped before their `Hello`, which may still arrive.
_DEAD_PIDS = 8


class Link(Protocol):
    """The connection of one process."""

    def send(self, note: Note) -> None: ...

    def close(self) -> None: ...


class WorkerDeath(NamedTuple):
    """A worker process has died, and its journal was read.

    Attributes:
        expected: it was told to end.
        affected: the messages that it was running, with their outcomes.
    """

    worker: int
    pid: int
    cause: str
    text: str
    expected: bool
    affected: list[Affected]

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What is reported of it: a kind of event and its fields, once for the worker and once for each message."""
        ran = [one.message for one in self.affected]
        yield "worker_died", {"worker": self.worker, "cause": self.cause, "text": self.text, "messages": ran}
        for one in self.affected:
            ended = {"message": one.message, "attempt": one.attempt, "of": one.most, "cause": self.cause}
            if one.ending == "dead":
                yield "dead", {**ended, "queue": one.queue, "text": self.text}
            elif not one.ending:  # of one that is cancelled the coordinator tells
                yield "recovered", {**ended, "queue": one.queue, "next": one.following}


@dataclass(eq=False)
class Seat:
    """
    Attributes:
        pid, link: of the process; 0 and None while there is none, or after its connection has ended.
        stopped: it was told to end.
        death: how it died, until its journal is read.
        dead_pids: pids that were reaped before they had said `Hello`. They are never seated.
    """

    number: int
    state: State = State.EMPTY
    pid: int = 0
    link: Link | None = None
    stopped: bool = False
    death: Died | None = None
    dead_pids: deque[int] = field(default_factory=lambda: deque(maxlen=_DEAD_PIDS))

    def allows(self, event: Event) -> bool:
        return event in NEXT[self.state]


class Seats:
    """Owns all seats of a host.

    Args:
        later: schedules a call after some seconds.
        now_ms: wall clock.
        freed: called once for each `Died`, when the journal was read and the seat is free again.
        leaving: called when a worker wants to be recycled, with the reason.
        warn: logs a warning; the first argument is its subject.
    """

    def __init__(
        self,
        dealer: Dealer,
        *,
        later: Callable[[float, Callable[[], None]], object],
        now_ms: Callable[[], int],
        freed: Callable[[WorkerDeath], None],
        leaving: Callable[[int, str], None],
        warn: Callable[[str, str], None],
    ) -> None:
        self._dealer = dealer
        self._later, self._now_ms = later, now_ms
        self._freed, self._leaving, self._warn = freed, leaving, warn
        self.seats = [Seat(number) for number in range(len(dealer.loads))]
        self._seat_of: dict[Link, Seat] = {}

    # ---- events --------------------------------------------------------------------------------------------

    def heard(self, link: Link, note: Note) -> None:
        """A note came through this connection."""
        seat = self._seat_of.get(link)
        if isinstance(note, Hello):
            self._hello(link, note) if seat is None else self._refuse(link, f"a second {note}")
        elif seat is None:
            self._refuse(link, f"{note} before Hello")
        elif not self._note(seat, note):
            self._refuse(link, f"{note} from worker {seat.number}, which is {seat.state.name}")
        self._stop_those_that_leave()

    def hung_up(self, link: Link) -> None:
        """This connection has ended."""
        seat = self._seat_of.pop(link, None)
        if seat is not None:
            seat.link = None
            self._move(seat, Event.HANGUP)

    def died(self, note: Died) -> None:
        """The supervisor has reaped a process."""
        if not 0 <= note.worker < len(self.seats):
            self._warn("seat", f"ignored the death of a worker that this host does not have: {note}")
            return
        seat = self.seats[note.worker]
        if seat.state is State.EMPTY:
            seat.dead_pids.append(note.pid)
        elif note.pid != seat.pid or not seat.allows(Event.DIED):
            # Its seat is taken by another, or it died twice. The supervisor needs an answer all the same.
            self._warn("seat", f"ignored {note}: worker {note.worker} is process {seat.pid}, {seat.state.name}")
            self._freed(WorkerDeath(note.worker, note.pid, note.cause, note.text, False, []))
            return
        seat.death = note
        self._move(seat, Event.DIED)

    def stop(self) -> None:
        """Tell all workers to end. No task is running."""
        for seat in self.seats:
            if seat.allows(Event.STOP):
                self._move(seat, Event.STOP)

    # ---- transitions ---------------------------------------------------------------------------------------

    def _hello(self, link: Link, note: Hello) -> None:
        seat = self.seats[note.worker] if 0 <= note.worker < len(self.seats) else None
        if seat is None:
            self._refuse(link, f"no such worker: {note}")
        elif note.pid in seat.dead_pids:
            seat.dead_pids.remove(note.pid)
            self._refuse(link, f"{note} from a process that is dead")
        elif not seat.allows(Event.HELLO):
            self._refuse(link, f"{note}, but that seat is taken by process {seat.pid}, {seat.state.name}")
        else:
            seat.pid, seat.link = note.pid, link
            self._seat_of[link] = seat
            self._move(seat, Event.HELLO)

    def _note(self, seat: Seat, note: Note) -> bool:
        """Returns whether this note is valid now."""
        worker = seat.number
        match note:
            case Finished(row, busy_s, run_s):
                return self._dealer.finished(worker, row, busy_s, run_s)
            case FailedNote(row, index, outcome):
                return self._dealer.failed(worker, row, index, outcome)
            case Noted(row, index, memo):
                return self._dealer.noted(worker, row, index, memo)
            case Returned(messages):
                return self._dealer.returned(worker, messages)
            case Unreadable(source, why, tries, next_s):
                self._warn(
                    f"unreadable {source}", f"cannot read {source}, its messages wait {next_s:g} s (try {tries}): {why}"
                )
                return True
            case Leaving(why):
                if seat.state is State.REAPED:
                    return True  # it is gone already
                if not seat.allows(Event.LEAVE):
                    return False
                self._leaving(worker, why)
                self._move(seat, Event.LEAVE)
                return True
            case _:
                return False

    def _move(self, seat: Seat, event: Event) -> None:
        """Enter the next state, and act on it."""
        seat.state = NEXT[seat.state][event]
        dealer, worker = self._dealer, seat.number
        match seat.state:
            case State.SERVING:
                assert seat.link is not None
                dealer.comes(worker, seat.link.send)
            case State.LEAVING:
                dealer.leaves(worker)
            case State.STOPPING:
                dealer.goes(worker)
                if not seat.stopped and seat.link is not None:
                    seat.link.send(Stop())
                seat.stopped = True
            case State.LOST:
                dealer.goes(worker)
            case State.REAPED:
                dealer.goes(worker)
                pid = seat.pid
                self._later(LAST_WORDS_S, lambda: self._silence(seat, pid))
            case State.EMPTY:
                self._free(seat)

    def _silence(self, seat: Seat, pid: int) -> None:
        if seat.state is State.REAPED and seat.pid == pid:
            self._move(seat, Event.SILENCE)

    def _free(self, seat: Seat) -> None:
        """Read the journal of a process that was reaped. The seat is free for the next one."""
        died = seat.death
        assert died is not None
        if seat.link is not None:
            self._seat_of.pop(seat.link, None)
            seat.link.close()
        expected = seat.stopped
        seat.pid, seat.link, seat.stopped, seat.death = 0, None, False, None
        death = Death(died.cause, died.text, self._now_ms(), died.overran)
        affected = self._dealer.died(seat.number, death)
        self._freed(WorkerDeath(seat.number, died.pid, died.cause, died.text, expected, affected))

    def pids(self) -> list[int]:
        """The processes of the workers that are there."""
        return [seat.pid for seat in self.seats if seat.pid]

    def _stop_those_that_leave(self) -> None:
        for seat in self.seats:
            if seat.state is State.LEAVING and not self._dealer.loads[seat.number].unfinished:
                self._move(seat, Event.STOP)

    def _refuse(self, link: Link, why: str) -> None:
        """Close a connection. Its earlier notes stay valid; the process ends when it notices."""
        self._warn("seat", f"closed the connection of a worker, which ends and is replaced: {why}")
        link.close()
        self.hung_up(link)
