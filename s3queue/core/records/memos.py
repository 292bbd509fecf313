"""The notes of an attempt: progress, for people, and state, for the next attempt."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from s3queue.core.records.format import Delay

#: Bytes of a state at most, and characters of a text: boards and ledgers carry them with every write.
STATE_BYTES, TEXT_CHARS = 2000, 200
#: Bytes that a memo takes on a board besides text and state.
_FRAME = 40


class Memo(Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """The last note of the attempts of one message.

    Attributes:
        done, total: how far it is; ``total`` 0: not said.
        text: for people.
        state: MessagePack, as the task gave it; empty: none.
    """

    done: Delay = 0.0
    total: Delay = 0.0
    text: str = ""
    state: Annotated[bytes, Meta(max_length=2 * STATE_BYTES)] = b""

    @property
    def size(self) -> int:
        """About how many bytes it takes on the board."""
        return _FRAME + len(self.text) * (1 if self.text.isascii() else 3) + len(self.state) * 4 // 3
