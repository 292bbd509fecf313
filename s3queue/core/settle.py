"""How messages move on the board: the states of one source while a plan is made.

A message is in exactly one of: a ticket, ready, waiting, dying, a move, settled. Each method moves messages from one of
these to another; none can lose or duplicate a message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from msgspec.structs import replace

from s3queue.core.halts import HELD_SINCE_MS, let_go
from s3queue.core.histories import (
    LAST_TEXT,
    MAX_SPARED,
    NEWEST_TEXT,
    clipped,
    is_last,
    is_suspect,
    shortened,
    squeezed,
)
from s3queue.core.ready import joined, merged, unfit_ranges, without
from s3queue.core.records import Ending, Failed, Failure, Ready, SourceState, Waiting


@lru_cache(maxsize=64)
def _admitted(count: int, attempt: int) -> SourceState:
    return SourceState(ready=(Ready(0, count, attempt),))


#: Never changed.
_NOTHING: dict[int, tuple[str, int]] = {}


class Draft:
    """One source while it is changed.

    There is one for each message of a plan where they come one by one: what is empty in most of them is not made.

    Attributes:
        alone: its key says that each of its messages is a suspect.
        ready, waiting, dying, endings: those of the state until they differ, and never changed in place.
    """

    __slots__ = (
        "_owns",
        "alone",
        "begun",
        "dying",
        "endings",
        "failures",
        "letter",
        "ready",
        "settled",
        "spared",
        "unfit",
        "waiting",
    )

    def __init__(self, state: SourceState, *, alone: bool = False) -> None:
        self.settled = state.settled
        self.ready: Sequence[Ready] = state.ready
        self.waiting: Sequence[Waiting] = state.waiting
        self.dying: Sequence[int] = state.dying
        self.endings: dict[int, Ending] = state.endings
        self.letter = state.letter
        self.begun: Sequence[int] = state.begun
        #: Of the state, until `_own`.
        self.failures, self.spared = state.failures, state.spared
        self._owns = False
        self.alone = alone
        #: By index: task, the digests that its hosts know, and since when.
        self.unfit: dict[int, tuple[str, int]] = _NOTHING
        if state.unfit:
            self.unfit = {at: (one.token, one.since_ms) for one in state.unfit for at in range(one.start, one.stop)}
            self.ready = [Ready(at, at + 1, one.attempt) for one in self.ready for at in range(one.start, one.stop)]

    @classmethod
    def admitted(cls, count: int, attempt: int = 1, *, alone: bool = False) -> Draft:
        return cls(_admitted(count, attempt), alone=alone)

    def freeze(self) -> SourceState:
        return SourceState(
            self.settled,
            tuple(self._merged() if len(self.ready) > 1 else self.ready),
            tuple(self.waiting),
            tuple(self.dying),
            self.failures,
            self.spared,
            tuple(unfit_ranges(self.unfit)) if self.unfit else (),
            self.endings,
            self.letter,
            tuple(self.begun),
        )

    def _own(self) -> None:
        """Before failures or spared attempts are changed."""
        if not self._owns:
            self.failures, self.spared, self._owns = dict(self.failures), dict(self.spared), True

    def _token(self, index: int) -> str:
        return self.unfit[index][0] if index in self.unfit else ""

    def _merged(self) -> Iterator[Ready]:
        """In order, with adjacent ranges merged where possible."""
        return merged(self.ready, self._token if self.unfit else None)

    # ---- out of a ticket -----------------------------------------------------------------------------------

    def done(self, start: int, stop: int) -> None:
        self.settled += stop - start
        if self.failures or self.spared or self.unfit or self.begun:
            self._own()
            for index in range(start, stop):
                self._forget(index)

    def released(self, start: int, stop: int, attempt: int) -> None:
        """Never started: the same attempt again."""
        self._add_ready(Ready(start, stop, attempt))

    def _add_ready(self, *more: Ready) -> None:
        self.ready = (*self.ready, *more)

    def failed(self, index: int, attempt: int, outcome: Failed, *, max_attempts: int, now_ms: int) -> bool:
        """It ran and failed. Returns whether that was its last attempt.

        Args:
            max_attempts: attempts that count; spared attempts come on top.
        """
        if outcome.failure is not None:
            self.remember(index, outcome.failure)
        spared = self.spared.get(index, 0)
        if is_last(outcome, attempt, spared, max_attempts):
            self.dying = (*self.dying, index)
            return True
        if outcome.kind == "interrupted" and spared < MAX_SPARED:
            self._own()
            self.spared[index] = spared + 1
        following = attempt if outcome.kind == "snooze" else attempt + 1
        if outcome.delay_s > 0:
            self.waiting = (*self.waiting, Waiting(index, following, now_ms + int(outcome.delay_s * 1000)))
        else:
            self._add_ready(Ready(index, index + 1, following))
        return False

    def begins_again(self, index: int) -> None:
        """It snoozes, so its attempt comes again; it must not end as if it had never begun."""
        if index not in self.begun:
            self.begun = (*self.begun, index)

    def gave_back(self, index: int, attempt: int, outcome: Failed, now_ms: int) -> None:
        """Its host does not know the task, or not with these arguments. Costs no attempt."""
        known, since_ms = self.unfit.get(index, ("", now_ms))
        self.unfit = self.unfit or {}
        self.unfit[index] = joined(known, outcome.token), since_ms
        why = outcome.failure
        if why is not None and why.cause == "signature" and all(one != why for one in self.failures.get(index, ())):
            before = tuple(one for one in self.failures.get(index, ()) if one.cause != "signature")
            self._own()
            self.failures[index] = before
            self.remember(index, why)
        self._add_ready(Ready(index, index + 1, attempt))

    def hold(self, index: int, attempt: int, token: str) -> None:
        """Its task is paused, and its host has not started it. Costs no attempt."""
        known, _ = self.unfit.get(index, ("", 0))
        self.unfit = self.unfit or {}
        self.unfit[index] = joined(known, token), HELD_SINCE_MS
        self._add_ready(Ready(index, index + 1, attempt))

    def let_go(self, tokens: Collection[str], now_ms: int) -> None:
        """The tasks of messages with these tokens are no longer paused."""
        for index, (token, _) in list(self.unfit.items()):
            if token not in tokens:
                continue
            if rest := let_go(token):
                self.unfit[index] = rest, now_ms
            else:
                del self.unfit[index]

    @property
    def tokens(self) -> Iterator[str]:
        """Those of its messages that hosts gave back."""
        return (token for token, _ in self.unfit.values())

    def expire_ready(self) -> list[tuple[int, int]]:
        """Settle the ready messages that have not begun. Returns their ranges."""
        gone: list[tuple[int, int]] = []
        kept: list[Ready] = []
        for one in self._merged():
            begun = [at for at in range(one.start, one.stop) if self.has_begun(at, one.attempt)] if self._knows else []
            if one.attempt > 1 or len(begun) == one.stop - one.start:
                kept.append(one)
                continue
            at = one.start
            for index in [*begun, one.stop]:
                if at < index:
                    gone.append((at, index))
                at = index + 1
            kept += [Ready(index, index + 1, one.attempt) for index in begun]
        self.ready = kept
        for start, stop in gone:
            self.done(start, stop)
        return gone

    @property
    def _knows(self) -> bool:
        return bool(self.failures or self.spared or self.begun)

    def has_begun(self, index: int, attempt: int) -> bool:
        """Whether it has been started before, if it is ready or waits for this attempt."""
        return attempt > 1 or index in self.failures or index in self.spared or index in self.begun

    def marked(self) -> dict[str, int]:
        """By token, how many are ready and wait for a host that they fit."""
        found: dict[str, int] = {}
        for one in self.ready:
            for index in range(one.start, one.stop):
                if token := self._token(index):
                    found[token] = found.get(token, 0) + 1
        return found

    def expire(self, before_ms: int) -> list[tuple[int, int, str]]:
        """Make dying the messages that have waited since then for a host that fits. Returns index, attempt and token of
        each."""
        late = {index: token for index, (token, since_ms) in self.unfit.items() if since_ms <= before_ms}
        gone = [(at, one.attempt, late[at]) for one in self.ready for at in range(one.start, one.stop) if at in late]
        for index, _, _ in gone:
            self.ready = [rest for one in self.ready for rest in without(one, index)]
            self.dying = (*self.dying, index)
        return gone

    def _forget(self, index: int) -> None:
        self.failures.pop(index, None)
        self.unfit.pop(index, None)
        self.spared.pop(index, None)
        if self.begun:
            self.begun = [one for one in self.begun if one != index]

    def remember(self, index: int, failure: Failure) -> None:
        """Enter why an attempt failed."""
        newest = replace(failure, text=failure.text[-LAST_TEXT:])
        self._own()
        self.failures[index] = shortened((*self.failures.get(index, ()), newest))

    # ---- between the lists ---------------------------------------------------------------------------------

    def wake(self, now_ms: int) -> bool:
        """Make due messages ready. Returns whether there were any."""
        due = [one for one in self.waiting if one.due_ms <= now_ms]
        if due:
            self.waiting = [one for one in self.waiting if one.due_ms > now_ms]
            self._add_ready(*(Ready(one.index, one.index + 1, one.attempt) for one in due))
        return bool(due)

    def letters_written(self, indexes: set[int]) -> None:
        """Their dead letters are stored."""
        self.settled += len(indexes)
        self.dying = [index for index in self.dying if index not in indexes]
        if self.endings:
            self.endings = {index: ending for index, ending in self.endings.items() if index not in indexes}
        self._own()
        for index in indexes:
            self._forget(index)

    def trim(self) -> None:
        """Shorten the histories of messages that will run again."""
        if not self.failures:
            return
        self._own()
        for index, failures in self.failures.items():
            if index not in self.dying and len(failures[-1].text) > NEWEST_TEXT:
                self.failures[index] = (
                    *failures[:-1],
                    replace(failures[-1], text=clipped(failures[-1].text, NEWEST_TEXT)),
                )

    def squeeze(self, index: int, most: int) -> None:
        """Shorten the history of a message to ``most`` bytes."""
        self._own()
        self.failures[index] = squeezed(self.failures[index], most)

    # ---- off the board -------------------------------------------------------------------------------------

    def moving(self, index: int) -> None:
        """Take a waiting or ready message into a move."""
        self.waiting = [one for one in self.waiting if one.index != index]
        for at, one in enumerate(self.ready):
            if one.start <= index < one.stop:
                split = replace(one, stop=index), replace(one, start=index + 1)
                rest = (part for part in split if part.start < part.stop)
                self.ready = (*self.ready[:at], *rest, *self.ready[at + 1 :])
                break

    def moved(self, index: int) -> None:
        """The message is in another, stored source now."""
        self.settled += 1
        self._own()
        self._forget(index)

    def stays(self, index: int, attempt: int, due_ms: int) -> None:
        """The move failed; the message waits as before."""
        self.waiting = (*self.waiting, Waiting(index, attempt, due_ms))

    # ---- by an operator ------------------------------------------------------------------------------------

    def withdraw(self, index: int) -> tuple[int, bool] | None:
        """Take it out of what is ready or waits. Returns its attempt, and whether it has begun before. None: it is in
        neither."""
        for one in self.ready:
            if one.start <= index < one.stop:
                self.ready = [rest for other in self.ready for rest in without(other, index)]
                return one.attempt, self.has_begun(index, one.attempt)
        for waits in self.waiting:
            if waits.index == index:
                self.waiting = [other for other in self.waiting if other.index != index]
                return waits.attempt, True
        return None

    def withdraw_new(self) -> list[Ready]:
        """Take out all that is ready and has never begun."""
        touched = self.failures.keys() | self.spared.keys() | set(self.begun)
        taken: list[Ready] = []
        kept: list[Ready] = []
        for one in self.ready:
            if one.attempt > 1:
                kept.append(one)
            elif not any(one.start <= index < one.stop for index in touched):
                taken.append(one)
            else:
                for index in range(one.start, one.stop):
                    (kept if index in touched else taken).append(Ready(index, index + 1, one.attempt))
        self.ready = kept
        return taken

    def hasten(self, index: int) -> None:
        """It waits, and waits no more."""
        found = self.withdraw(index)
        if found is not None:
            self.ready = (*self.ready, Ready(index, index + 1, found[0]))

    def ends(self, index: int, ending: Ending) -> None:
        """It is in no list any more, and its letter is to say so before it is settled."""
        self.dying = (*self.dying, index)
        self.endings = {**self.endings, index: ending}

    def edited(self, index: int, attempt: int) -> None:
        """Its letter has the new payload."""
        self.dying = [other for other in self.dying if other != index]
        self.endings = {other: ending for other, ending in self.endings.items() if other != index}
        self.letter = ""
        self._add_ready(Ready(index, index + 1, attempt))

    # ---- into a ticket -------------------------------------------------------------------------------------

    def is_alone(self, index: int) -> bool:
        """Whether it runs in a ticket of its own: a suspect, or one whose attempts are not all counted."""
        return (
            self.alone or index in self.spared or index in self.begun or is_suspect(self.failures, self.spared, index)
        )

    def take(self, most: int, token: str = "") -> tuple[Ready, bool] | None:
        """At most ``most`` ready messages, lowest first, and whether they must run alone. None: no message is ready.

        Args:
            token: only messages marked with it; "": only unmarked ones.
        """
        if not self.ready or most < 1:
            return None
        in_order = self.ready if len(self.ready) == 1 else list(self._merged())
        if self.unfit:
            in_order = sorted(in_order, key=lambda one: (self._token(one.start) != token, one.start))
        first, *others = in_order
        if self.unfit and self._token(first.start) != token:
            self.ready = in_order
            return None
        stop = min(first.stop, first.start + most)
        alone = False
        if self.failures or self.spared or self.alone or self.begun:
            loners = [index for index in range(first.start, stop) if self.is_alone(index)]
            if loners and loners[0] == first.start:
                alone, stop = True, first.start + 1
            elif loners:
                stop = loners[0]
        if stop == first.stop:
            self.ready = others
            return first, alone
        self.ready = [Ready(stop, first.stop, first.attempt), *others]
        return Ready(first.start, stop, first.attempt), alone
