"""Operations on many messages at once: cancel or start those that a filter finds, empty a queue, delete it.

Many are found by this process, which lists them as `Queue.messages` does, and asks the coordinator for up to 500 at a time.
So memory does not grow with their number, a process that is killed leaves nothing half done, and a second call finds the
rest.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Literal

from msgspec import Struct

from s3queue.core import operate
from s3queue.core.keys import parse_message_id
from s3queue.core.ops import delete, get, list_page
from s3queue.core.records import CANCEL, CODES, MOST_MESSAGES, PURGE, RUN_NOW, Board, Ledger, Request, decode
from s3queue.errors import ConfigError, CorruptRecord
from s3queue.operate.asking import check_force, check_timeout
from s3queue.operate.looking import QueuedMessage, State
from s3queue.operate.operation import Operation
from s3queue.operate.redriving import Redrivable
from s3queue.store import Found

__all__ = ["Changed", "Steerable"]

_ANSWERS = {code: answer for answer, code in CODES.items()}
#: How often requests that could not be handled are repeated, and seconds in between.
_AGAIN, _AGAIN_S = 10, 0.5


class Changed(Struct, frozen=True):
    """How the messages that a filter found were changed.

    Attributes:
        found: messages that the filter found.
        states: the same by state.
        answers: messages by answer: see `s3queue.MessageHandle.cancel` and ``run_now``. After a cancel, ``running``: the
            task was asked to stop, and the message ends as ``cancelled`` or ``done``. ``later``: the coordinator had no
            room for it: call again. Empty after a dry run.
    """

    found: int
    states: dict[str, int] = {}
    answers: dict[str, int] = {}


class Steerable(Redrivable):
    """Cancels, starts, purges and deletes what is in a queue. A base of `Queue`."""

    def cancel(
        self,
        *,
        state: State | None = None,
        task: str | None = None,
        reason: str = "",
        force_after: float | None = None,
        dry_run: bool = False,
        wait: bool = True,
        timeout: float = 60.0,
        progress: Callable[[Changed], object] | None = None,
    ) -> Changed:
        """Cancel every message of this queue that the filter takes, as `MessageHandle.cancel` does for one.

        They are listed as by `Queue.messages`, while the queue goes on: messages that are sent meanwhile may be found, or
        not. Calling it again is safe, also after this process was killed: it finds the rest.

        Args:
            state: only messages that are ``ready``, ``scheduled``, ``running`` or ``waiting``.
            task: only messages of this task.
            reason, force_after: as of `MessageHandle.cancel`.
            dry_run: only count them.
            wait: also wait until running ones have ended. Otherwise they are asked to stop, and count as ``running``.
            timeout: seconds to wait for the answer to each request, and for running messages.
            progress: called after each 500 messages with the counts so far.

        Raises:
            ConfigError, StoreUnavailable, TimeoutError: as `MessageHandle.cancel`.

        Asks: as `Queue.messages`, and for each 500 of them 1 PUT, and 1 GET for each look at the answer. The coordinator
        asks 1 GET, 1 PUT and 1 DELETE for each 500, and 1 GET for each batch among them that is not at the head of a queue.
        """
        found = self.messages(state=state, task=task)
        steering = Steering(self, timeout, progress)
        return steering.cancel(found, reason, force_after, wait=wait, dry_run=dry_run)

    def run_now(
        self,
        *,
        state: Literal["scheduled", "waiting"] | None = None,
        task: str | None = None,
        dry_run: bool = False,
        timeout: float = 60.0,
        progress: Callable[[Changed], object] | None = None,
    ) -> Changed:
        """Start every message of this queue that is scheduled, or waits after a failure, as soon as a host has a free slot.

        Args:
            state: only messages that are ``scheduled``, or only those that are ``waiting``.

        The other arguments, errors and requests are as of `cancel`.
        """
        found = (
            one
            for wanted in ((state,) if state else ("scheduled", "waiting"))
            for one in self.messages(state=wanted, task=task)
        )
        return Steering(self, timeout, progress).run_now(found, dry_run=dry_run)

    def purge(
        self, *, reason: str = "", force_after: float | None = None, wait: bool = True, timeout: float = 600.0
    ) -> int:
        """Remove every message that was sent to this queue before now. Dead letters stay.

        A message that was accepted before this call does not start after the call has returned. A message that is sent
        after that is not removed; one that is sent in between may be. Running messages are cancelled as by
        `MessageHandle.cancel`, and waited for.

        Args:
            reason, force_after: as of `MessageHandle.cancel`.
            wait: wait until all of it is done.
            timeout: seconds to wait; a million batches take some minutes.

        Returns:
            Number of messages that were removed; 0 without ``wait``.

        Raises: as `MessageHandle.cancel`.

        Asks: one PUT, and one GET for each look at the answer. The coordinator asks 1 LIST, 1 bulk DELETE and 3 PUTs per
        1,000 batches, 1 PUT more for each message that had begun, and 1 GET for each scheduled batch, since a survey does
        not show that it is gone.
        """
        return Steering(self, timeout).purge(reason, force_after, wait=wait)

    def delete(self, *, force: bool = False, timeout: float = 600.0) -> int:
        """Remove this queue: its schedules, messages, dead letters, limits, pause and settings. Then its name may be
        used for a new queue, also with another order.

        The rest expires: tombstones after ``dead_retention``, results at their end, ids of ``dedup_id`` after their window.
        Its counters stay.

        Args:
            force: even if hosts serve it. They go on, and run messages that are sent to it later. A schedule that their
                code declares returns when the next host starts.
            timeout: seconds to wait for the answer to each request.

        Returns:
            Number of messages that were removed, without dead letters.

        Raises:
            ConfigError: hosts serve it.
            StoreUnavailable, TimeoutError: as of `purge`. A second call continues with the rest.

        Asks: one LIST, one GET for each host, what `purge` and `purge_letters` ask, twice what `pause` asks, and one
            DELETE.
        """
        return Steering(self, timeout).delete(force=force)


class Steering:
    """
    Args:
        queue: whose messages these are.
        progress: called after each request with what has been done so far.
    """

    def __init__(self, queue: Steerable, timeout: float, progress: Callable[[Changed], object] | None = None) -> None:
        check_timeout(timeout)
        self._queue, self._timeout = queue, timeout
        self._progress = progress or (lambda changed: None)
        self._operation = Operation(queue.store, queue.layout, queue.driver())

    # ---- many messages -------------------------------------------------------------------------------------

    def cancel(
        self, found: Iterable[QueuedMessage], reason: str, force_after: float | None, *, wait: bool, dry_run: bool
    ) -> Changed:
        force = check_force(force_after)
        return self._change(CANCEL, found, reason, force, wait=wait, dry_run=dry_run)

    def run_now(self, found: Iterable[QueuedMessage], *, dry_run: bool) -> Changed:
        return self._change(RUN_NOW, found, "", None, wait=False, dry_run=dry_run)

    def _change(
        self,
        kind: str,
        found: Iterable[QueuedMessage],
        reason: str,
        force: float | None,
        *,
        wait: bool,
        dry_run: bool,
    ) -> Changed:
        states: dict[str, int] = {}
        answers: dict[str, int] = {}
        many, running = 0, set[str]()
        for portion in _portions(iter(found)):
            many += len(portion)
            for one in portion:
                states[one.state] = states.get(one.state, 0) + 1
            if not dry_run:
                for place, answer in self._ask(kind, [one.place for one in portion], reason, force):
                    answers[answer] = answers.get(answer, 0) + 1
                    if answer == "running" and kind == CANCEL:
                        running.add(place)
            self._progress(Changed(many, dict(states), dict(answers)))
        if wait and running:
            self._operation.until(
                lambda board: not any(_is_marked(board, place) for place in running),
                self._timeout,
                "some of what was cancelled still runs; it was told",
            )
        return Changed(many, states, answers)

    def _ask(self, kind: str, places: list[str], reason: str, force: float | None) -> Iterator[tuple[str, str]]:
        """The answer for each. What the coordinator has no room for now is asked for again, some times."""
        for turn in range(_AGAIN):
            asked = Request(secrets.token_hex(8), kind, "", reason=reason, force_after=force, messages=tuple(places))
            codes = self._operation.ask(asked, True, self._timeout, self._queue.config.enqueue_deadline)
            later: list[str] = []
            for place, code in zip(places, codes, strict=False):
                answer = _ANSWERS.get(code, "unknown")
                if answer == "later" and turn < _AGAIN - 1:
                    later.append(place)
                else:
                    yield place, answer
            places = later
            if not places:
                return
            time.sleep(_AGAIN_S)

    # ---- a queue -------------------------------------------------------------------------------------------

    def purge(self, reason: str, force_after: float | None, *, wait: bool) -> int:
        queue = self._queue
        asked = Request(
            secrets.token_hex(8), PURGE, "", reason=reason, force_after=check_force(force_after), queue=queue.name
        )
        answer = self._operation.ask(asked, wait, self._timeout, queue.config.enqueue_deadline)
        return int(answer.partition(" ")[2] or 0)

    def served_by(self) -> list[str]:
        """Names of the hosts that serve this queue now. One LIST, and one GET for each host."""
        queue, driver = self._queue, self._queue.driver()
        names = []
        for item in driver.run(list_page(queue.layout.hosts)):
            found = driver.run(get(item.key))
            if not isinstance(found, Found):
                continue
            try:
                ledger = decode(Ledger, item.key, found.body)
            except CorruptRecord:
                continue
            if queue.name in ledger.offers and not ledger.over:
                names.append(ledger.place.name or ledger.session)
        return names

    def delete(self, *, force: bool) -> int:
        queue = self._queue
        if not force and (hosts := self.served_by()):
            raise ConfigError(
                f"queue {queue.name!r} is served by {', '.join(hosts)}",
                "end these hosts, or have them serve other queues; or force it",
            )
        # Schedules first, so that nothing ticks behind the purge; a pause last, so that nothing starts before it.
        self._operation.change(operate.unschedule(queue.name), queue.name, True, self._timeout)
        many = self.purge("the queue is deleted", None, wait=True)
        queue.purge_letters(timeout=self._timeout)
        self._operation.change(operate.forget(queue.name), queue.name, True, self._timeout)
        queue.driver().run(delete([queue.layout.meta(queue.name)]))
        return many


def _portions(found: Iterator[QueuedMessage]) -> Iterator[list[QueuedMessage]]:
    while portion := list(islice(found, MOST_MESSAGES)):
        yield portion


def _is_marked(board: Board | None, place: str) -> bool:
    ref = parse_message_id(place)
    return board is not None and ref.index in board.marks.get(ref.path, ())
