"""Operations on dead letters: run their messages again, or remove them.

The letters are found by this process, which lists and reads them as `Queue.dead_letters` does, and asks the coordinator for
up to 250 at a time: each by its message and the death that was seen. So memory does not grow with their number, a process
that is killed leaves nothing half done, and each message is redriven once for each death, even if two processes do this at
once or one does it twice.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from s3queue.core.plan.redrive import MOST_LETTERS, taken_by
from s3queue.core.records import PURGE_LETTERS, REDRIVE, Chosen, LetterRequest
from s3queue.errors import ConfigError, CorruptRecord
from s3queue.operate.asking import check_timeout
from s3queue.operate.letters import DeadLetter, Read, Wanted, complete, queue_of, read_named, read_records, view
from s3queue.operate.operation import Operation
from s3queue.operate.reading import Readable
from s3queue.payloads.codec import encode_value
from s3queue.registry import registry

__all__ = ["Decided", "Redrivable"]

#: Requests under way, and bytes of new payloads in one of them.
_UNDER_WAY, _MOST_BYTES = 2, 2_000_000

#: From a letter to the payload with which its message is to run.
Edit = Callable[[DeadLetter], Any]


class Decided(Struct, frozen=True):
    """How many dead letters were redriven or purged.

    Attributes:
        found: letters that the filter took.
        done: letters that were redriven or purged.
        refused: letters that had been redriven or purged before, or by somebody else.
        unreadable: letters of messages that cannot be read; they are not redriven.
    """

    found: int = 0
    done: int = 0
    refused: int = 0
    unreadable: int = 0


class Redrivable(Readable):
    """Redrives and purges the dead letters of a queue. A base of `Queue`."""

    def redrive(
        self,
        messages: str | Iterable[str] | None = None,
        *,
        task: str | None = None,
        cause: str | None = None,
        since: datetime | None = None,
        edit: Edit | None = None,
        rate: float | None = None,
        dry_run: bool = False,
        timeout: float = 600.0,
        progress: Callable[[Decided], object] | None = None,
    ) -> Decided:
        """Run dead messages again: each begins a new life, with the same id, at attempt 1.

        If the message then ends well, its letter becomes a tombstone; if it dies again, the letter gets a longer history.
        Every letter is taken whose message had died when this call began. A request names the message and its death, so
        no message runs twice for one death, even if two processes call this at once. If ``progress`` raises, at Ctrl-C, or
        if this process dies, the requests that were sent still happen; a second call continues with the rest.

        Args:
            messages: an id, or several. None: all letters of the queue that the filter takes.
            task, cause, since: the filter, as of `Queue.dead_letters`.
            edit: called with each letter; returns the new payload, in the form of `DeadLetter.payload`. If this process
                knows the task, the payload must fit it.
            rate: letters per second, at most.
            dry_run: only count them.
            timeout: seconds to wait for the answer to one request. A queue has at most 500 redriven messages under way, so
                this waits for a queue that nobody serves.
            progress: called after each request with the counts so far.

        Raises:
            ConfigError: an id is no message of this queue, there is no such cause, or a payload cannot be encoded or does
                not fit its task. The letters of that request are unchanged.
            StoreUnavailable: no answer of the store; the last request may or may not be done. Calling it again is safe.
            TimeoutError: no answer of the coordinator. The request stands.

        Asks: one LIST per 1,000 letters and one GET for each; for each 250 one PUT, and one GET for each look at the
        answer. The coordinator asks one GET, one LIST, one PUT and one DELETE for each 250, and one PUT for each letter
        when its message is done; with ``edit``, or where it dies again, one GET and one PUT more.
        """
        deciding = Deciding(self, REDRIVE, rate, timeout, progress)
        return deciding.run(deciding.find(messages, Wanted(task, cause, since)), edit, dry_run=dry_run)

    def purge_letters(
        self,
        messages: str | Iterable[str] | None = None,
        *,
        task: str | None = None,
        cause: str | None = None,
        since: datetime | None = None,
        rate: float | None = None,
        dry_run: bool = False,
        timeout: float = 600.0,
        progress: Callable[[Decided], object] | None = None,
    ) -> Decided:
        """Remove dead letters. A tombstone without payload and history stays for ``dead_retention`` seconds.

        Args, raises: as of `redrive`.

        Asks: as `redrive`; the coordinator asks one PUT for each letter, and one DELETE for 25.
        """
        deciding = Deciding(self, PURGE_LETTERS, rate, timeout, progress)
        return deciding.run(deciding.find(messages, Wanted(task, cause, since)), None, dry_run=dry_run)


def stored_payload(letter: DeadLetter, payload: Any) -> Raw:
    """A new payload of a dead message, encoded. Raises `ConfigError`: it does not fit the task, where this process knows
    that, or cannot be carried."""
    task = registry.find(letter.queue, letter.task)
    return encode_value(payload, "the payload") if task is None else task.store(payload)


class Deciding:
    """One redrive or purge of letters, by this process."""

    def __init__(
        self,
        of: Redrivable,
        kind: str,
        rate: float | None,
        timeout: float,
        progress: Callable[[Decided], object] | None,
    ) -> None:
        check_timeout(timeout)
        if rate is not None and not (isinstance(rate, int | float) and 0 < rate < math.inf):
            raise ConfigError(f"rate is {rate!r}", "letters per second, more than 0")
        self._of, self._kind, self._rate, self._timeout = of, kind, rate, timeout
        self._progress = progress or (lambda decided: None)
        self._driver = of.driver()
        self._operation = Operation(of.store, of.layout, self._driver)
        self._decided = Decided()
        #: Path of a request, and how many letters it is about.
        self._under_way: deque[tuple[str, int]] = deque()
        self._began, self._sent = time.monotonic(), 0

    def find(self, messages: str | Iterable[str] | None, wanted: Wanted) -> Iterator[Read]:
        layout, queue = self._of.layout, self._of.name
        if messages is None:
            board = self._operation.look()
            turn = math.inf if board is None else board.turn
            found = read_records(self._driver, layout, queue, unreadable=self._unreadable)
            # A message that died since died another death. Otherwise one that dies at once would be redriven for ever.
            return (one for one in found if one.record.turn <= turn and wanted.takes(one.letter))
        ids = [messages] if isinstance(messages, str) else list(messages)
        for one in ids:
            if queue_of(one) != queue:
                raise ConfigError(f"{one!r} is a message of another queue", f"this queue is {queue!r}")
        many = len(ids)
        self._decided = replace(self._decided, found=many, refused=many)  # until their letters are read
        return (one for one in read_named(self._driver, layout, queue, ids) if wanted.takes(one.letter))

    def _unreadable(self, corrupt: CorruptRecord) -> None:
        self._add(found=1, unreadable=1)

    def _add(self, **more: int) -> None:
        self._decided = replace(
            self._decided, **{name: getattr(self._decided, name) + many for name, many in more.items()}
        )

    def run(self, found: Iterator[Read], edit: Edit | None, *, dry_run: bool) -> Decided:
        is_named = self._decided.found > 0
        chosen: list[Chosen] = []
        size = 0
        for one in found:
            self._add(**({"refused": -1} if is_named else {"found": 1}))
            if self._kind == REDRIVE and one.record.raw:
                self._add(unreadable=1)
                continue
            if dry_run:
                continue
            payload = None if edit is None else bytes(stored_payload(one.letter, edit(self._whole(one))))
            chosen.append(Chosen(one.letter.id, one.record.life, one.version, payload))
            size += len(payload or b"")
            if len(chosen) >= self._portion or size > _MOST_BYTES:
                self._send(chosen)
                chosen, size = [], 0
        if chosen:
            self._send(chosen)
        while self._under_way:
            self._wait()
        if dry_run:
            self._progress(self._decided)
        return self._decided

    def _whole(self, one: Read) -> DeadLetter:
        return view(complete(self._driver, self._of.layout, one.record))

    @property
    def _portion(self) -> int:
        return MOST_LETTERS if self._rate is None else max(1, min(MOST_LETTERS, int(self._rate)))

    def _send(self, chosen: list[Chosen]) -> None:
        if self._rate is not None and (early_s := self._began + self._sent / self._rate - time.monotonic()) > 0:
            time.sleep(early_s)
        while len(self._under_way) >= _UNDER_WAY:
            self._wait()
        request = LetterRequest(secrets.token_hex(8), self._kind, self._of.name, tuple(chosen))
        path = self._operation.send(request, self._of.config.enqueue_deadline)
        self._under_way.append((path, len(chosen)))
        self._sent += len(chosen)

    def _wait(self) -> None:
        path, many = self._under_way[0]
        answer = self._operation.answer_of(path, self._timeout)
        self._under_way.popleft()
        done = len(taken_by(answer, many))
        self._add(done=done, refused=many - done)
        self._progress(self._decided)
