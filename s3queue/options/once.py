"""Options of a call that enqueues something only once: what makes two messages equal, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw

from s3queue.core.keys import DEBOUNCE, DEDUP, UNIQUE, WAITING, gate_of
from s3queue.errors import ConfigError
from s3queue.options.times import seconds_of

__all__ = ["OnlyOnce", "Unique", "check_unique", "once_of"]

#: Of a task: whether a message with the same arguments is not enqueued again until it is over, or while it waits.
Unique: TypeAlias = bool | Literal["waiting"]

#: The options of such a call.
ONCE = frozenset({"dedup_id", "dedup_window", "unique", "debounce"})

_sorted = msgspec.msgpack.Encoder(order="deterministic").encode


class OnlyOnce(NamedTuple):
    """How a message is enqueued only once.

    Attributes:
        gate: as in the path of its source.
        window_s: for how long, from the first call, an earlier message counts though it is over.
        takes_over: the later call replaces the earlier one, if that has not begun.
    """

    gate: str
    window_s: float = 0.0
    takes_over: bool = False


def check_unique(unique: object) -> None:
    """Raises `ConfigError` for what cannot be meant."""
    if unique not in (True, False, "waiting") or isinstance(unique, int) != isinstance(unique, bool):
        raise ConfigError(f"unique is {unique!r}", "True: until it is over; 'waiting': until it begins; False")


def once_of(
    task: str,
    payloads: Sequence[Raw],
    *,
    dedup_id: str | None,
    dedup_window: float | timedelta | None,
    unique: Unique,
    debounce: float | timedelta | None,
    default_window_s: float,
) -> OnlyOnce | None:
    """None: it is enqueued as often as it is asked for.

    Raises:
        ConfigError: options that exclude each other, or of more than one message.
    """
    if dedup_id is None and not unique and debounce is None:
        if dedup_window is not None:
            raise ConfigError("dedup_window without a dedup_id", "say what must not be enqueued twice: dedup_id=…")
        return None
    check_unique(unique)
    if unique and (dedup_id is not None or debounce is not None):
        raise ConfigError("unique was given together with dedup_id or debounce", "give only one of them")
    if dedup_id is not None and not (isinstance(dedup_id, str) and dedup_id):
        raise ConfigError(f"dedup_id is {dedup_id!r}", "a text")
    if len(payloads) != 1:
        raise ConfigError(
            f"{len(payloads):,} messages are to be enqueued only once in one call", "enqueue them one by one"
        )
    if debounce is not None:
        if dedup_window is not None:
            raise ConfigError(
                "dedup_window was given together with debounce", "a debounced message is replaced until it begins"
            )
        seconds_of(debounce, "debounce")
        what = _arguments(payloads[0]) if dedup_id is None else dedup_id
        return OnlyOnce(gate_of(DEBOUNCE, task, what), takes_over=True)
    if dedup_id is not None:
        window_s = default_window_s if dedup_window is None else seconds_of(dedup_window, "dedup_window")
        return OnlyOnce(gate_of(DEDUP, dedup_id), window_s)
    if dedup_window is not None:
        raise ConfigError("dedup_window was given together with unique", "it needs a dedup_id")
    return OnlyOnce(gate_of(WAITING if unique == "waiting" else UNIQUE, task, _arguments(payloads[0])))


def _arguments(payload: Raw) -> str:
    """Equal for equal arguments, in whatever order they were given by name."""
    return _sorted(msgspec.msgpack.decode(payload)).hex()
