"""A coordinator driven by hand, and its bucket."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core.cycle import Deposed, Doubt, take_office
from s3queue.core.elect import View
from s3queue.core.keys import parse_source
from s3queue.core.ops import Put, Unknown
from s3queue.core.plan import Settings
from s3queue.core.records import (
    Board,
    Leader,
    Ledger,
    SourceState,
    decode,
    encode,
)
from s3queue.store import Found, Stored
from tests.core.hands import Hand, perform, run
from tests.core.world import (
    LAYOUT,
    NOW_MS,
    SETTINGS,
    Whole,
    board,
    body,
    whole_cycle,
)

T = TypeVar("T")
BOARD = LAYOUT.board
DONE = SourceState(settled=1)


class Office:
    """A coordinator, its store, and its steady clock."""

    def __init__(
        self, before: Board | None = None, *, settings: Settings = SETTINGS, store: MemoryStore | None = None
    ) -> None:
        self.store = store or MemoryStore()
        self.now = 1000.0
        self.cycles = 0
        before = before or board()
        stored = self.store.put(BOARD, encode(before), if_version=None)
        assert isinstance(stored, Stored)
        self.view = View(before, stored.version, looked=True)
        self.lead = run(take_office(self.view, LAYOUT, settings, self.now, NOW_MS), self.store)

    # ---- the bucket ----------------------------------------------------------------------------------------

    def write(self, key: str, content: bytes) -> str:
        """Whatever stands there."""
        there = self.store.get(key)
        stored = self.store.put(key, content, if_version=there.version if isinstance(there, Found) else None)
        assert isinstance(stored, Stored)
        return stored.version

    def host(self, one: Ledger) -> None:
        self.write(LAYOUT.host(one.session), encode(one))

    def source(self, *paths: str) -> None:
        for one in paths:
            self.write(LAYOUT.source(one), body(parse_source(one).count))

    def has(self, key: str) -> bool:
        return isinstance(self.store.get(key), Found)

    def stored_board(self) -> Board:
        return decode(Board, BOARD, self.body(BOARD))

    def stored_ledger(self, session: str) -> Ledger:
        return decode(Ledger, session, self.body(LAYOUT.host(session)))

    def body(self, key: str) -> bytes:
        found = self.store.get(key)
        assert isinstance(found, Found)
        return found.body

    def keys(self, prefix: str = "") -> list[str]:
        return [item.key for item in self.store.list(prefix)]

    def another_leads(self) -> Board:
        """Somebody was elected behind our back."""
        now = self.stored_board()
        theirs = replace(now, nonce="theirs", epoch=now.epoch + 1, turn=now.turn + 1, leader=Leader("h9"))
        self.write(BOARD, encode(theirs))
        return theirs

    # ---- cycles --------------------------------------------------------------------------------------------

    def begin(self, after_s: float = 1.0, gone: Collection[str] = ()) -> Hand[Whole | Deposed | Doubt]:
        """A cycle and all that follows from it."""
        self.now += after_s
        self.cycles += 1
        nonce = f"c{self.cycles}"
        return Hand(whole_cycle(self.lead, now=self.now, now_ms=NOW_MS, nonce=nonce, gone=gone), self.store)

    def cycle(self, after_s: float = 1.0, gone: Collection[str] = ()) -> Whole:
        outcome = self.begin(after_s, gone).finish()
        assert isinstance(outcome, Whole)
        return outcome


def land(hand: Hand[object]) -> None:
    """The put takes effect, and nobody hears of it."""
    assert isinstance(hand.op, Put)
    assert isinstance(perform(hand.store, hand.op), Stored)  # type: ignore[arg-type]
    hand.tell(Unknown())
