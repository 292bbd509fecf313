"""Reads the dead letters that requests name, beside the cycles, so that they do not make a cycle longer.

A request about many letters names the version of each that its sender read: one listing shows which are unchanged. Only the
others are read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

from s3queue.core.chores.asides import Asides, request_in
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import REQUESTS, Layout, is_about_letters, life_path, parse_source
from s3queue.core.ops import Missed, Step, get, get_within, list_page
from s3queue.core.pacing import Backoffs
from s3queue.core.plan.redrive import MOST_LETTERS, Looked, lives_on
from s3queue.core.records import PURGE_LETTERS, Board, Chosen, DeadLetter, LetterRequest, decode
from s3queue.core.survey import Survey
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found

#: Most requests that are looked at ahead.
_AHEAD = 4
#: Plans that may leave a request where it is before others go first: there is no room for further lives of its queue, or a
#: purge holds it. And seconds until it is looked at again, at first and at most.
_TURNS, _AGAIN_S, _LONGEST_S = 4, 1.0, 60.0
#: Letters that are read one by one rather than listed, and the fewest of a listed page that are to be in the request.
_FEW, _SHARE = 2, 8
#: Letters that are read at once, and the time-out of such a read in seconds.
_AT_ONCE, _READ_S = 64, 10.0


class Redrives:
    """
    Attributes:
        looked: by path, requests that are not handled yet, and what was found.
    """

    def __init__(self, layout: Layout, troubles: Troubles, asides: Asides | None = None) -> None:
        self._layout, self._troubles, self._asides = layout, troubles, asides
        self._wanted: list[str] = []
        self._under_way: dict[str, Looked | None] = {}
        #: Payloads of the requests whose edits are going on.
        self._edits: dict[str, Mapping[str, bytes]] = {}
        self._board: Board | None = None
        #: Purges that the coordinator itself wants.
        self._own: deque[tuple[str, LetterRequest]] = deque()
        self._passed = Backoffs(_AGAIN_S, _LONGEST_S)
        self._numbers = 0
        self.looked: dict[str, Looked] = {}

    def follow(self, board: Board, seen: Survey | None, window: Collection[str]) -> None:
        """This board is the committed one.

        Args:
            seen: the survey before it.
            window: ids of requests that are over.
        """
        before, self._board = self._board, board
        over = board.answers.keys() | board.edits.keys()
        if seen is not None:
            self._wanted = [path for path in seen.requests if is_about_letters(path) and path not in window]
        self._wanted = [path for path in self._wanted if path not in over]
        self._edits = {request: payloads for request, payloads in self._edits.items() if request in board.edits}
        self._passed.keep(self._wanted)
        for one in self.looked.values():
            one.turns += 1
        # Wishes of the coordinator are dropped after one plan: a later walk finds again what there was no room for.
        self.looked = {
            path: one
            for path, one in self.looked.items()
            if path not in over and (one.turns < 2 or path.startswith(REQUESTS))
        }
        if self.looked or self._under_way:
            # What the board before named was entered when that was committed, or when the look began.
            named = lives_on(board.sources if before is None else board.sources.keys() - before.sources.keys())
            for look in (*self.looked.values(), *self._under_way.values()):
                if look is not None:
                    look.named |= named

    def take(self, now: float) -> Step[bool] | None:
        is_full = len(self.looked) + len(self._under_way) >= _AHEAD
        waits = None if self._own else next((path for path in self._wanted if self._is_open(path, now)), None)
        if is_full and (self._own or waits is not None):
            is_full = not self._pass_over(now)
        if is_full:
            return None
        if self._own:
            name, request = self._own.popleft()
            self._under_way[name] = None
            return self._look_at(name, request, now)
        if waits is None:
            return None
        self._under_way[waits] = None
        return self._look(waits, now)

    def _is_open(self, path: str, now: float) -> bool:
        is_known = path in self.looked or path in self._under_way
        return not is_known and self._passed.is_due(path, now) and self._troubles.allow(self._layout.source(path), now)

    def _pass_over(self, now: float) -> bool:
        """Let others go before a request that cannot be handled now. Returns whether there is one."""
        for path, one in self.looked.items():
            if one.turns >= _TURNS and path.startswith(REQUESTS):
                del self.looked[path]
                self._passed.failed(path, now)
                return True
        return False

    def _look(self, path: str, now: float) -> Step[bool]:
        """Asks: one Get for the request; one List for each page of letters, or one Get for each letter."""
        key = self._layout.source(path)
        try:
            found = yield from get(key)
            if not isinstance(found, Found):
                self._wanted = [other for other in self._wanted if other != path]
                return False  # handled by another, and deleted
            try:
                request = request_in(LetterRequest, path, key, found.body)
            except CorruptRecord as corrupt:
                if self._asides is not None:
                    self._asides.met(path, found.version, corrupt, now)
                raise
            looked = self._begin(path, request)
            # A letter that cannot be read again and again delays no others.
            yield from self._check(looked, is_last=self._troubles.has(key))
        except (StoreError, CorruptRecord) as fault:
            self._troubles.met(key, fault, now)
            return False
        finally:
            self._under_way.pop(path, None)
        self._troubles.over(key)
        self.looked[path] = looked
        return True

    def _check(self, looked: Looked, *, is_last: bool) -> Step[None]:
        request = looked.request
        open_: dict[int, Chosen] = {}
        for number, chosen in enumerate(request.letters[:MOST_LETTERS]):
            if _is_of(chosen, request.queue):
                open_[number] = chosen
        keys = {number: self._layout.dead(request.queue, chosen.message) for number, chosen in open_.items()}
        if len(open_) > _FEW and all(chosen.version for chosen in open_.values()):
            versions = yield from self._versions(sorted(keys.values()))
            for number, chosen in list(open_.items()):
                if versions.get(keys[number]) == chosen.version:
                    looked.fits[number] = chosen.version
                    del open_[number]
        numbers = sorted(open_)
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            found = yield from get_within([keys[number] for number in some], _READ_S)
            for number, one in zip(some, found, strict=True):
                if isinstance(one, Missed) and not is_last:
                    raise one.fault or StoreError("get", keys[number])
                if isinstance(one, Found) and _is_dead(keys[number], one.body, open_[number]):
                    looked.fits[number] = one.version

    def _versions(self, keys: list[str]) -> Step[dict[str, str]]:
        """The versions of these letters from listings; without letters of which a page of the listing would show only a
        few."""
        versions: dict[str, str] = {}
        prefix, at = keys[0].rpartition("/")[0] + "/", 0
        while at < len(keys):
            page = yield from list_page(prefix, keys[at][:-1])
            versions |= {item.key: item.version for item in page}
            last = page[-1].key if page else prefix
            before, at = at, next((later for later in range(at, len(keys)) if keys[later] > last), len(keys))
            if len(page) < 1000 or (at - before) * _SHARE < len(page):
                break
        return versions

    def _begin(self, path: str, request: LetterRequest) -> Looked:
        """Forget what was read of the letters of these messages: a board names them from now on, so their letters may
        change."""
        assert self._board is not None
        looked = self._under_way[path] = Looked(request, named=lives_on(self._board.sources))
        return looked

    def forget(self, queue: str, letters: list[Chosen]) -> None:
        """Have these expired dead letters purged, if they are unchanged."""
        if self._board is None:
            return  # the next walk finds them
        named = lives_on(self._board.sources)
        letters = [one for one in letters if one.message not in named]  # these were redriven
        if letters and len(self._own) < _AHEAD:
            self._numbers += 1
            request = LetterRequest("", PURGE_LETTERS, queue, tuple(letters[:MOST_LETTERS]))
            self._own.append((f"old/{self._numbers}", request))

    def _look_at(self, name: str, request: LetterRequest, now: float) -> Step[bool]:
        """Asks: as `_look`, without the request."""
        try:
            looked = self._begin(name, request)
            yield from self._check(looked, is_last=True)
        except StoreError as fault:
            self._troubles.met(name, fault, now)
            return False
        finally:
            self._under_way.pop(name, None)
        if looked.fits:
            self.looked[name] = looked
        return bool(looked.fits)

    # ---- edits ---------------------------------------------------------------------------------------------

    def payloads(self, request: str) -> Step[Mapping[str, bytes]]:
        """By message, the new payloads in a redrive request. Asks: one Get, the first time."""
        known = self._edits.get(request)
        if known is None:
            key = self._layout.source(request)
            found = yield from get(key)
            if not isinstance(found, Found):
                raise CorruptRecord(key, "the request with the new payloads is gone")
            letters = decode(LetterRequest, key, found.body).letters
            known = {one.message: one.payload for one in letters if one.payload is not None}
            self._edits[request] = known
        return known


def _is_of(chosen: Chosen, queue: str) -> bool:
    try:
        return parse_source(life_path(chosen.message, chosen.life + 1)).queue == queue
    except CorruptRecord:
        return False


def _is_dead(key: str, body: bytes, chosen: Chosen) -> bool:
    """Whether this letter is of that death, and of a message that can be read."""
    try:
        letter = decode(DeadLetter, key, body)
    except CorruptRecord:
        return False
    return letter.message == chosen.message and letter.life == chosen.life and not letter.tombstone
