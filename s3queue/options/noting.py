"""The notes of an attempt, for people and for the next attempt: `Context.progress` and `Context.state`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import msgspec
from msgspec.structs import replace

from s3queue.core.records.memos import STATE_BYTES, TEXT_CHARS, Memo
from s3queue.errors import ConfigError

__all__ = ["Page", "State"]

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
_NOTHING = Memo()
#: The greatest number that a record holds.
_MOST = 1e9


class State(MutableMapping[str, Any]):
    """A small dict of builtins that one attempt of a message keeps for the next. Setting a key is noticed; a change inside
    a value is not: set the key again."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._values: dict[str, Any] = _decode(page.memo.state) if page.memo.state else {}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.set({**self._values, key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self._values:
            raise KeyError(key)
        self.set({one: value for one, value in self._values.items() if one != key})

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def set(self, values: Mapping[str, Any]) -> None:
        """Replace all of it. Values become what the next attempt will see at once: a tuple becomes a list.

        Raises:
            ConfigError: a key is no string, a value cannot be encoded, or together they exceed 2,000 bytes.
        """
        if any(not isinstance(key, str) for key in values):
            raise ConfigError("a key of ctx.state is not a string")
        try:
            body = _encode(dict(values)) if values else b""
        except (TypeError, ValueError, OverflowError, RecursionError) as wrong:
            raise ConfigError(f"ctx.state: {wrong}", "numbers, texts, bytes, lists and dicts of them") from wrong
        if len(body) > STATE_BYTES:
            raise ConfigError(
                f"ctx.state takes {len(body):,} bytes",
                f"at most {STATE_BYTES:,}; store what is larger elsewhere, and keep its name",
            )
        self._values = _decode(body) if body else {}
        self._page.write(replace(self._page.memo, state=body))


class Page:
    """What one attempt has noted.

    Args:
        given: the last word of the attempts before.
        send: told of each change; None: no listener.
    """

    __slots__ = ("_send", "_state", "memo")

    def __init__(self, given: Memo | None = None, send: Callable[[], object] | None = None) -> None:
        self.memo = given or _NOTHING
        self._send = send
        self._state: State | None = None

    @property
    def state(self) -> State:
        if self._state is None:
            self._state = State(self)
        return self._state

    def progress(self, done: float, total: float, text: str) -> None:
        for number in (done, total):
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise ConfigError(f"progress is {number!r}", "for example ctx.progress(3, 10)")
        text = str(text)[:TEXT_CHARS].encode("utf-8", "backslashreplace").decode()[:TEXT_CHARS]
        done, total = (float(min(_MOST, max(0.0, number))) for number in (done, total))
        self.write(replace(self.memo, done=done, total=total, text=text))

    def write(self, memo: Memo) -> None:
        if memo != self.memo:
            self.memo = memo
            if self._send is not None:
                self._send()
