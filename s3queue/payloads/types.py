"""Types that messages carry besides those that msgspec knows: paths, pydantic's models, and types that a program
declares.

::

    s3queue.payload_type(Money, encode=str, decode=Money.parse)

    @s3queue.task("shop")
    def pay(amount: Money) -> None: ...

Nothing here is called for what msgspec knows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar, get_origin

import msgspec

from s3queue.errors import ConfigError

__all__ = ["carrier", "from_plain", "payload_type", "schema_of", "to_plain"]

T = TypeVar("T")


class _Carrier(NamedTuple):
    """
    Attributes:
        encode: to anything that is carried itself. decode: back, given the annotated type.
        schema: of what it becomes, as JSON Schema, to tell releases apart.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any, Any], Any]
    schema: Callable[[Any], Any]


def _model_schema(kind: Any) -> Any:
    return kind.model_json_schema()


#: By type.
_named: dict[type, _Carrier] = {}
_PATHS = _Carrier(str, lambda kind, text: kind(text), lambda kind: {"type": "string"})
#: Through JSON, since that is where a strict model, too, takes a text for a time.
_MODELS = _Carrier(
    lambda model: model.model_dump(mode="json", by_alias=True, round_trip=True),
    lambda kind, values: kind.model_validate_json(msgspec.json.encode(values)),
    _model_schema,
)


def payload_type(kind: type[T], *, encode: Callable[[T], Any], decode: Callable[[Any], T]) -> type[T]:
    """Let messages carry values of this type, in every process that makes this call: put it beside the type itself.

    Args:
        encode: makes something of the value that messages already carry. Two values are equal if these are.
        decode: makes the value of that again. It raises a ValueError for what it does not understand.

    Returns:
        The type itself.

    Raises:
        ConfigError: messages carry the type already, or it is no class.
    """
    if not isinstance(kind, type):
        raise ConfigError(f"{kind!r} is no class")
    try:
        is_known = not isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType)
    except TypeError:
        is_known = False
    if is_known:
        raise ConfigError(f"messages carry {kind.__qualname__} already", "annotate it, and leave out payload_type")
    _named[kind] = _Carrier(encode, lambda _, value: decode(value), lambda of: f"{of.__module__}.{of.__qualname__}")
    return kind


def carrier(kind: Any) -> _Carrier | None:
    """What carries values of a type that msgspec does not know; None: nothing does."""
    kind = get_origin(kind) or kind
    if not isinstance(kind, type):
        return None
    if (named := _named.get(kind)) is not None:
        return named
    if issubclass(kind, PurePath):
        return _PATHS
    return _MODELS if hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_validate_json") else None


def to_plain(value: Any) -> Any:
    """For an encoder that does not know this value."""
    for kind in type(value).__mro__:
        if (found := carrier(kind)) is not None:
            return found.encode(value)
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


def from_plain(kind: Any, value: Any) -> Any:
    """For a decoder that does not know this type."""
    found = carrier(kind)
    if found is None:
        raise TypeError(f"{kind} is unsupported")
    return found.decode(get_origin(kind) or kind, value)


def schema_of(kind: Any) -> Any:
    """For `msgspec.json.schema`, which does not know this type."""
    found = carrier(kind)
    if found is None:
        raise TypeError(f"{kind} is unsupported")
    return {"type": "object", "format": msgspec.json.encode(found.schema(kind), order="sorted").decode()}
