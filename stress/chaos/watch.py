"""A store that writes down who ended whose session, what was claimed and which boards were stored, and counts requests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct

from s3queue.core.keys import Layout, parse_source
from s3queue.errors import OutcomeUnknown, StoreDenied, StoreError
from s3queue.io.clock import clock
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged
from stress.chaos.notes import Assigned, Bell, Claimed, Counter, Ending, Flushed, Notebook, Ruled
from stress.chaos.plan import LATEST, PACED, SHARED

#: Queues whose tickets are written down.
_SHOWN = frozenset({LATEST, PACED, SHARED})


class _Totals(Struct):
    done: int = 0
    dead: int = 0


class _Ticket(Struct, array_like=True):
    session: str
    parts: list[tuple[str, int, int, int]]


class _Board(Struct):
    nonce: str
    epoch: int
    turn: int
    totals: dict[str, _Totals] = {}
    tickets: dict[str, _Ticket] = {}


class _Ledger(Struct):
    nonce: str
    session: str
    fenced: bool = False
    claims: tuple[str, ...] = ()


_board = msgspec.json.Decoder(_Board).decode
_ledger = msgspec.json.Decoder(_Ledger).decode


class WatchedStore:
    """An `ObjectStore` around another."""

    def __init__(self, inner: ObjectStore, namespace: str, folder: Path, party: str) -> None:
        self._inner = inner
        self._party = party
        self._layout = Layout(namespace)
        self._notes = Notebook(folder / "store", party)
        self._counter = Counter(folder / "store", party)
        self._bell = Bell(folder / "bell")
        self._claimed: frozenset[str] = frozenset()
        #: Tickets of the board that this process sent last.
        self._tickets: frozenset[str] = frozenset()
        self._refusals = str(folder / "refuse")

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def url(self) -> str:
        return self._inner.url

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        self._counter.count(1)
        if key.startswith((self._layout.inbox, self._layout.later)) and self._refuses("batches", key, 7):
            raise StoreDenied("get", key, "refused by this run")
        return self._inner.get(key, unless=unless)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        self._counter.count(2)
        return self._inner.list(prefix, after=after, limit=limit)

    def delete(self, keys: Sequence[str]) -> None:
        self._counter.count(3)
        self._inner.delete(keys)

    def close(self) -> None:
        self._inner.close()

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        self._counter.count(0)
        if key.startswith(f"{self._layout.root}/dead/") and self._refuses("letters", key, 2):
            raise StoreDenied("put", key, "refused by this run")
        if key == self._layout.board:
            return self._put_board(key, body, if_version)
        if key.startswith(self._layout.hosts):
            return self._put_ledger(key, body, if_version)
        return self._inner.put(key, body, if_version=if_version)

    def _refuses(self, what: str, key: str, one_in: int) -> bool:
        """Whether the run has the store refuse objects of this kind now, and this is one of them."""
        return crc32(key.encode()) % one_in == 0 and os.path.exists(f"{self._refusals}/{what}")

    def _put_board(self, key: str, body: bytes, if_version: str | None) -> Stored | Conflict:
        board = _board(body)
        settled = sum(totals.done + totals.dead for totals in board.totals.values())
        self._rule(board, "", settled)
        self._assign(board)
        outcome: Stored | Conflict | None = None
        word = "unavailable"
        try:
            outcome = self._inner.put(key, body, if_version=if_version)
            word = type(outcome).__name__.lower()
            return outcome
        except OutcomeUnknown:
            word = "unknown"
            raise
        finally:
            self._rule(board, word, settled)

    def _rule(self, board: _Board, outcome: str, settled: int) -> None:
        self._notes.write(Ruled(clock(), self._party, board.epoch, board.turn, board.nonce, outcome, settled))

    def _assign(self, board: _Board) -> None:
        new = {name: board.tickets[name].parts for name in board.tickets.keys() - self._tickets}
        self._tickets = frozenset(board.tickets)
        shown = {name: parts for name, parts in new.items() if parse_source(parts[0][0]).queue in _SHOWN}
        if shown:
            self._notes.write(Assigned(clock(), board.turn, board.nonce, shown))

    def _put_ledger(self, key: str, body: bytes, if_version: str | None) -> Stored | Conflict:
        ledger = _ledger(body)
        if not ledger.fenced:
            stored, sent_at = False, clock()
            try:
                outcome = self._inner.put(key, body, if_version=if_version)
                stored = isinstance(outcome, Stored)
                return outcome
            finally:
                self._claim(ledger, stored, joins=if_version is None)
                if stored:
                    self._notes.write(Flushed(sent_at, ledger.session))
        # A coordinator derives the nonces of one cycle from one; an heir has a fresh one for each try.
        how = "fence" if "." in ledger.nonce else "bequest"
        self._end(ledger, how, "")
        word = "unavailable"
        try:
            outcome = self._inner.put(key, body, if_version=if_version)
            word = type(outcome).__name__.lower()
            return outcome
        except StoreError as fault:
            word = "unknown" if isinstance(fault, OutcomeUnknown) else word
            raise
        finally:
            self._end(ledger, how, word)
            self._bell.ring(b"F")

    def _claim(self, ledger: _Ledger, stored: bool, *, joins: bool) -> None:
        claims = frozenset(ledger.claims)
        if joins or claims - self._claimed:
            new = tuple(sorted(claims - self._claimed))
            self._notes.write(Claimed(clock(), self._party, os.getpid(), ledger.session, new, stored))
        if stored:
            self._claimed = claims

    def _end(self, ledger: _Ledger, how: str, outcome: str) -> None:
        self._notes.write(Ending(clock(), self._party, ledger.session, how, outcome))
