"""Writes the letters of messages that have ended on the committed board.

The letter of a first life is created, and never changed by that life. A further life has a letter already: it is replaced,
by compare-and-swap, so that a late write of a replaced coordinator meets a version that its successor has replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice

from msgspec.structs import replace

from s3queue.core.chores.letter import (
    DEAD,
    INLINE_BYTES,
    apart,
    dead_letter,
    further_letter,
    payload_keys,
    preview,
    tombstone,
)
from s3queue.core.chores.redrives import Redrives
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout, Source, parse_message_id, parse_source
from s3queue.core.ops import Step, Unknown, delete, get, put
from s3queue.core.plan import Settings
from s3queue.core.records import Board, DeadLetter, Ending, SourceState, decode, encode, encode_over, ends_unknown
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Conflict, Found, Missing, Stored, Unchanged

#: Letters written by one chore, all of one source, which is read once.
_LETTERS_AT_ONCE = 100
#: Paths of further lives begin so.
_LIVES = "dead/"
#: Letters of further lives written by one chore.
_LIVES_AT_ONCE = 25
#: Bytes of sources in memory while letters are written. One source always fits.
_BUDGET_BYTES = 64_000_000


class Letters:
    """
    Args:
        drops: whether dead messages of this queue and task leave no letter.
        at_once: chores that write at once.

    Attributes:
        written: (path, index) of messages whose letter is stored and which the board does not yet count as settled.
    """

    def __init__(
        self,
        layout: Layout,
        troubles: Troubles,
        redrives: Redrives,
        drops: Callable[[str, str], bool] = lambda queue, task: False,
        at_once: int = Settings().letters_at_once,
    ) -> None:
        self._drops = drops
        self._at_once, self._writing = at_once, 0
        self._layout, self._troubles, self._redrives = layout, troubles, redrives
        self._dying: dict[str, SourceState] = {}
        self._turn = 0
        self._under_way: set[tuple[str, int]] = set()
        self._held_bytes = 0
        #: By further life, what was written: a message may end while its letter gets another payload.
        self._said: dict[str, Ending] = {}
        self.written: set[tuple[str, int]] = set()

    def follow(self, board: Board) -> None:
        self._dying, self._turn = {path: state for path, state in board.sources.items() if state.dying}, board.turn
        self._said = {path: ending for path, ending in self._said.items() if self._is_asked(path, ending)}
        self.written = {
            (path, index)
            for path, index in self.written
            if path in self._dying
            and index in self._dying[path].dying
            and (path in self._said or not path.startswith(_LIVES))
        }

    def _is_asked(self, path: str, ending: Ending) -> bool:
        """Whether the board still says this of a further life."""
        state = self._dying.get(path)
        return state is not None and state.endings.get(0, DEAD) == ending

    def take(self, now: float, now_ms: int, nonce: str) -> Step[bool] | None:
        if self._held_bytes > _BUDGET_BYTES or self._writing >= self._at_once:
            return None
        for path, state in self._dying.items():
            due = list(islice(self._due(path, state, now), _LETTERS_AT_ONCE))
            if not due or not self._troubles.allow(self._layout.source(path), now):
                continue
            if path.startswith(_LIVES):
                lives = list(islice(self._lives(now), _LIVES_AT_ONCE))
                self._under_way.update((path, 0) for path, _ in lives)
                return self._counted(self._live_on(lives, now, now_ms, nonce))
            self._under_way.update((path, index) for index in due)
            return self._counted(self._write(path, state, due, now, now_ms, nonce))
        return None

    def _counted(self, step: Step[bool]) -> Step[bool]:
        self._writing += 1
        try:
            return (yield from step)
        finally:
            self._writing -= 1

    def _due(self, path: str, state: SourceState, now: float) -> Iterator[int]:
        for index in state.dying:
            is_open = (path, index) not in self.written and (path, index) not in self._under_way
            if ends_unknown(state.endings.get(index)):
                continue  # its letter is for a newer release to write
            if is_open and self._troubles.allow(f"{path}#{index}", now):
                yield index

    # ---- further lives -------------------------------------------------------------------------------------

    def _lives(self, now: float) -> Iterator[tuple[str, SourceState]]:
        for path, state in self._dying.items():
            if path.startswith(_LIVES) and any(True for _ in self._due(path, state, now)):
                yield path, state

    def _live_on(self, lives: list[tuple[str, SourceState]], now: float, now_ms: int, nonce: str) -> Step[bool]:
        """Update letters with the lives that their messages have had since, as the board states them.

        Asks: for each, one Put where its version is known and nothing of it is kept; else one Get and one Put.
        """
        done: dict[str, Ending] = {}
        try:
            for number, (path, state) in enumerate(lives):
                try:
                    is_written = yield from self._live_on_one(path, state, f"{nonce}.d{number}", now_ms)
                except (StoreError, CorruptRecord) as fault:
                    self._troubles.met(f"{path}#0", fault, now)
                    continue
                if is_written:
                    self._troubles.over(f"{path}#0")
                    done[path] = state.endings.get(0, DEAD)
                else:
                    self._troubles.met(f"{path}#0", StoreError("put", self._layout.source(path)), now)
            purged = [parse_source(path) for path, ending in done.items() if ending.kind == "purged"]
            gone = [key for source in purged for key in payload_keys(self._layout, source.message, source.life)]
            with contextlib.suppress(StoreError):  # they go with their tombstones then
                yield from delete(gone)
        finally:
            done = {path: ending for path, ending in done.items() if self._is_asked(path, ending)}
            self._said |= done
            self.written.update((path, 0) for path in done)
            self._under_way.difference_update((path, 0) for path, _ in lives)
        return bool(done)

    def _live_on_one(self, path: str, state: SourceState, nonce: str, now_ms: int) -> Step[bool]:
        key, source = self._layout.source(path), parse_source(path)
        ending, failures = state.endings.get(0, DEAD), state.failures.get(0, ())
        if state.letter and ending.kind in ("done", "purged"):
            brief = tombstone(source, ending, failures, nonce, now_ms, self._turn)
            outcome = yield from put(key, encode(brief), state.letter)
            if isinstance(outcome, Stored):
                return True
        found = yield from get(key)
        if ending.kind == "edited":
            return (yield from self._edit(key, source, found, ending.by, nonce))
        if isinstance(found, Found):
            before = decode(DeadLetter, key, found.body)
            version: str | None
            letter = further_letter(before, source, ending, failures, nonce, now_ms, self._turn)
            if letter is None:
                return True
            version, body = found.version, encode_over(letter, before, found.body)
        else:  # somebody has deleted it
            letter = tombstone(source, ending, failures, nonce, now_ms, self._turn)
            if ending.kind == "dead":
                letter = replace(letter, tombstone=False, ending="", failures=failures, life=source.life)
            version, body = None, encode(letter)
        return isinstance((yield from put(key, body, version)), Stored)

    def _edit(
        self, key: str, source: Source, found: Found | Missing | Unchanged, request: str, nonce: str
    ) -> Step[bool]:
        """Give a letter the payload that a request says, before its message may run.

        Asks: one Put; one Get where another coordinator has begun with this request.
        """
        if not isinstance(found, Found):
            return False
        letter = decode(DeadLetter, key, found.body)
        if letter.edit == request:
            return True
        payloads = yield from self._redrives.payloads(request)
        if (payload := payloads.get(source.message)) is None:
            return False
        edited = replace(letter, nonce=nonce, edit=request, payload=payload, payload_at=0, preview=preview(payload))
        if not (yield from self._set_apart(edited, source.life)):
            return False
        body = encode_over(apart(edited, source.life), letter, found.body)
        return isinstance((yield from put(key, body, found.version)), Stored)

    # ---- first lives ---------------------------------------------------------------------------------------

    def _write(
        self, path: str, state: SourceState, indexes: list[int], now: float, now_ms: int, nonce: str
    ) -> Step[bool]:
        """Asks: one Get, and one Put for each letter, two for one with a large payload; what `_put` asks for those that are
        there already; one Get more where the source is gone."""
        source, held, turn = self._layout.source(path), 0, self._turn
        # Entered when the chore ends, all at once: the board is written for them together.
        done: set[tuple[str, int]] = set()
        try:
            try:
                body = yield from get(source)
            except StoreError as fault:
                self._troubles.met(source, fault, now)
                return False
            assert not isinstance(body, Unchanged)
            if isinstance(body, Missing) and not (yield from self._is_dying(path)):
                # We were replaced: its letters are written, perhaps under ids that only the batch tells.
                self._troubles.met(source, StoreError("get", source), now)
                return False
            self._troubles.over(source)
            held = len(body.body) if isinstance(body, Found) else 0
            self._held_bytes += held
            for number, index in enumerate(indexes):
                if (path, index) in done or (path, index) in self.written:
                    continue
                failures = state.failures.get(index, ())
                ending = state.endings.get(index, DEAD)
                own = f"{nonce}.d{number}"
                letter = dead_letter(self._layout, path, index, body, failures, own, now_ms, ending=ending, turn=turn)
                key = self._layout.dead(letter.queue, letter.message)
                is_read = isinstance(body, Found) and not letter.raw
                if ending == DEAD and is_read and self._drops(letter.queue, letter.task):
                    done.add((path, index))
                    continue
                try:
                    if not (yield from self._set_apart(letter, letter.life)):
                        continue
                    outcome = yield from self._put(key, encode(apart(letter, letter.life)))
                except StoreError as fault:
                    self._troubles.met(f"{path}#{index}", fault, now)
                    continue
                if not isinstance(outcome, (Stored, Conflict)):  # a Conflict: it was written before
                    continue
                self._troubles.over(f"{path}#{index}")
                done.add((path, index))
                if isinstance(body, Found) and letter.raw and letter.payload == body.body:
                    # One letter for all that cannot be read from this message's on; not for others that happen to die
                    # beside it.
                    first = parse_message_id(letter.message).index
                    done.update((path, one) for one in state.dying if one >= first and one not in state.endings)
        finally:
            self._held_bytes -= held
            self.written |= done
            self._under_way.difference_update((path, index) for index in indexes)
        return bool(done)

    def _set_apart(self, letter: DeadLetter, life: int) -> Step[bool]:
        """Store the payload of a letter, where that is so large that it is in an object of its own. Returns whether it is
        there, or need not be.

        Asks: nothing, or as `_put`.
        """
        if len(letter.payload) <= INLINE_BYTES:
            return True
        key = self._layout.payload(letter.queue, letter.message, life)
        return not isinstance((yield from self._put(key, letter.payload)), Unknown)

    def _is_dying(self, path: str) -> Step[bool]:
        """Whether a missing source was deleted by another program: coordinators delete only sources that are settled on
        the board.

        Asks: one Get.
        """
        with contextlib.suppress(StoreError, CorruptRecord):
            found = yield from get(self._layout.board)
            if isinstance(found, Found):
                board = decode(Board, self._layout.board, found.body)
                return path in board.sources and bool(board.sources[path].dying)
        return False

    @staticmethod
    def _put(key: str, body: bytes) -> Step[Stored | Conflict | Unknown]:
        """Write a letter, unless it exists: it may have been redriven. An empty object is replaced: some servers store
        one for a put whose connection broke.

        Asks: one Put; after a Conflict, one Get; where an empty object is there, one Put more.
        """
        outcome = yield from put(key, body, None)
        if isinstance(outcome, Conflict):
            there = yield from get(key)
            if isinstance(there, Found) and not there.body:
                outcome = yield from put(key, body, there.version)
        return outcome
