"""Checks that an argument arrives equal to what was enqueued.

A message carries values, not objects: an instance of a subclass arrives as an instance of the annotated class, without
the fields that only the subclass has; a list arrives as the annotated set, without duplicates. The worker could not tell.
The producer, who decodes what it has encoded anyway, can: what arrives is equal to what was given, or is refused.

Equal is what Python calls equal, so an IntEnum may travel as the int that it is. Without an annotation (also for ``Any``
inside of one) only builtins are promised: a dataclass arrives as a dict, a tuple as a list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from s3queue.errors import ConfigError

__all__ = ["check_same"]

#: What a value without an annotation arrives as.
_BUILTINS = (dict, list, str, int, float, bytes, bool, type(None), datetime)


class _Change(NamedTuple):
    given: Any
    arrived: Any


def check_same(given: Any, arrived: Any, kind: Any, what: str, parameter: str = "") -> None:
    """Raises `ConfigError` where a value would arrive as another one.

    Args:
        kind: the annotated type.
        what, parameter: whose, for the message.
    """
    change = _change(given, arrived, _says_any(kind))
    if change is not None:
        where = f"{what}, parameter {parameter!r}" if parameter else what
        raise ConfigError(f"{where}: {_tell(change)}", "annotate the type that is given, or give what is annotated")


def _change(given: Any, arrived: Any, loose: bool) -> _Change | None:
    """The first part that arrives as something else, or None.

    Args:
        loose: whether the annotated type promises only builtins somewhere.
    """
    try:
        if given is arrived or given == arrived:
            return None
    except Exception:  # noqa: BLE001
        pass
    parts = _parts(given, arrived)
    if parts is not None:
        return next((found for one, other in parts if (found := _change(one, other, loose)) is not None), None)
    if _is_nan(given) and _is_nan(arrived):
        return None
    if isinstance(given, datetime) and isinstance(arrived, datetime) and given.tzinfo and arrived.tzinfo:
        # In an hour that a clock goes through twice two zones never compare equal (PEP 495).
        return None if given.astimezone(UTC) == arrived.astimezone(UTC) else _Change(given, arrived)
    if loose and type(arrived) in _BUILTINS and type(given) is not type(arrived):
        return None
    return _Change(given, arrived)


def _parts(given: Any, arrived: Any) -> list[tuple[Any, Any]] | None:
    """What both are made of, in pairs; None where they are not of the same making."""
    if isinstance(given, Mapping) and isinstance(arrived, Mapping):
        return [(given[key], arrived[key]) for key in given] if given.keys() == arrived.keys() else None
    if type(given) is not type(arrived) or isinstance(given, Set):
        return None
    if isinstance(given, list | tuple):
        return list(zip(given, arrived, strict=True)) if len(given) == len(arrived) else None
    names: Any = ()
    if isinstance(given, msgspec.Struct):
        names = given.__struct_fields__
    elif dataclasses.is_dataclass(given):
        names = [field.name for field in dataclasses.fields(given)]
    elif hasattr(given, "__attrs_attrs__"):
        names = [field.name for field in given.__attrs_attrs__]
    return [(getattr(given, name), getattr(arrived, name)) for name in names] if names else None


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | Decimal) and value != value


def _says_any(kind: Any) -> bool:
    """Whether a type leaves it open somewhere what a value is."""
    return _any_in(msgspec.inspect.type_info(kind), set())


def _any_in(info: Any, seen: set[int]) -> bool:
    if isinstance(info, msgspec.inspect.AnyType):
        return True
    if id(info) in seen:
        return False
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        parts = [getattr(info, name) for name in info.__struct_fields__ if name not in ("default", "default_factory")]
    else:
        parts = list(info) if isinstance(info, tuple) else []
    return any(_any_in(part, seen) for part in parts)


def _tell(change: _Change) -> str:
    given, arrived = type(change.given).__qualname__, type(change.arrived).__qualname__
    return f"{given} would arrive as {arrived}" if given != arrived else f"{given} would arrive with another value"
