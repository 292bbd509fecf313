"""What a thousand hosts share, since they are simulated in one process: what they decode, and what they find on a board.

Nothing else of production is replaced, and nothing here changes what any of them sees.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from s3queue.core.ledger import Host
from s3queue.core.records import Board, Ticket


class Shares:
    """The tickets of each session, picked from a board once instead of once for each host."""

    def __init__(self) -> None:
        self._board: Board | None = None
        self._tickets: dict[str, dict[str, Ticket]] = {}

    def mine(self, board: Board, session: str) -> Board:
        if self._board is not board:
            self._board, self._tickets = board, {}
            for name, ticket in board.tickets.items():
                self._tickets.setdefault(ticket.session, {})[name] = ticket
        return replace(board, tickets=self._tickets.get(session, {}))


class SharingHost(Host):
    """A `Host` that is shown its own tickets only."""

    shares: Shares

    def see(self, board: Board) -> None:
        super().see(self.shares.mine(board, self.session))


def remembering(decode: Callable[..., Any]) -> Callable[..., Any]:
    """Records are frozen: decode each body once. The store counts the time for each reader."""
    kept: OrderedDict[int, tuple[bytes, Any]] = OrderedDict()

    def decoded(kind: Any, key: str, body: bytes) -> Any:
        held = kept.get(id(body))
        if held is None or held[0] is not body:
            held = kept[id(body)] = body, decode(kind, key, body)
            if len(kept) > 64:
                kept.popitem(last=False)
        return held[1]

    return decoded
