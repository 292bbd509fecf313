"""Fields of a newer release in a record, which this release does not know.

A leader of an older release may replace the board of a newer one, and fence its ledgers. It keeps unknown fields: of the
record itself, of each ticket and source that is still there, and of unchanged parts of those.
"""

from __future__ import annotations

from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from s3queue.core.records.codec import UNREADABLE, encode

#: The unknown fields at one place. For a record: by name, or those after its last known one. For a collection: by key, or
#: by the known fields of a member. Empty: there are none.
Newer: TypeAlias = dict[str, Any]

_REST = "\x00rest"


def newer(record: Struct, body: bytes) -> Newer:
    """The unknown fields of a body. Costs one encoding; more only if there are any.

    Damaged parts, such as an invalid name, are not kept: decoders skip them.

    Args:
        record: decoded from the body.
    """
    if not body or encode(record) == body:
        return {}
    try:
        everything = msgspec.json.decode(body)
    except UNREADABLE:
        return {}
    return _of_struct(type(record), everything)


def encode_with(record: Struct, more: Newer) -> bytes:
    """As `encode`, with the unknown fields of parts that are still there."""
    if not more:
        return encode(record)
    return msgspec.json.encode(_into_struct(type(record), msgspec.to_builtins(record, str_keys=True), more))


def encode_over(record: Struct, before: Struct, body: bytes) -> bytes:
    """As `encode`, for a record that replaces the one read from this body, with its unknown fields."""
    return encode_with(record, newer(before, body))


# ---- take apart ------------------------------------------------------------------------------------------------------


def _of(kind: Any, value: Any) -> Newer:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _of_struct(kind, value)
    member = _member(kind)
    if member is None or not isinstance(value, (dict, list)):
        return {}
    pairs = value.items() if isinstance(value, dict) else ((_name(member, one), one) for one in value)
    return {key: more for key, one in pairs if (more := _of(member, one))}


def _of_struct(kind: type[Struct], value: Any) -> Newer:
    names, kinds = kind.__struct_encode_fields__, _kinds(kind)
    if isinstance(value, list):
        found = {name: more for name, one in zip(names, value, strict=False) if (more := _of(kinds[name], one))}
        rest: Any = value[len(names) :]
    elif isinstance(value, dict):
        found = {name: more for name in names if name in value and (more := _of(kinds[name], value[name]))}
        rest = {name: one for name, one in value.items() if name not in names}
    else:
        return {}
    return found | {_REST: rest} if rest else found


# ---- put together ----------------------------------------------------------------------------------------------------


def _into(kind: Any, value: Any, more: Newer) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _into_struct(kind, value, more)
    member = _member(kind)
    if isinstance(value, dict):
        return {key: _into(member, one, more[key]) if key in more else one for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_into(member, one, more[name]) if (name := _name(member, one)) in more else one for one in value]
    return value


def _into_struct(kind: type[Struct], value: Any, more: Newer) -> Any:
    names, kinds, rest = kind.__struct_encode_fields__, _kinds(kind), more.get(_REST)
    if isinstance(value, dict):
        inner = {name: _into(kinds[name], one, more[name]) if name in more else one for name, one in value.items()}
        return inner | rest if rest else inner
    if isinstance(value, (list, tuple)):
        items = zip(names, value, strict=True)
        inner_items = [_into(kinds[name], one, more[name]) if name in more else one for name, one in items]
        return [*inner_items, *rest] if rest else inner_items
    return value


def _member(kind: Any) -> Any:
    """The type of the records in a collection; None if it holds no records."""
    arguments = get_args(kind)
    if get_origin(kind) in (dict, tuple, list) and arguments:
        return arguments[-1] if arguments[-1] is not ... else arguments[0]
    return None


def _name(member: Any, value: Any) -> str:
    """The known fields of a member of a list: if they change, its unknown fields no longer apply."""
    if isinstance(member, type) and issubclass(member, Struct) and isinstance(value, (list, tuple)):
        value = value[: len(member.__struct_encode_fields__)]
    return msgspec.json.encode(value).decode()


_cached: dict[type[Struct], dict[str, Any]] = {}


def _kinds(kind: type[Struct]) -> dict[str, Any]:
    known = _cached.get(kind)
    if known is None:
        known = _cached[kind] = {name: _bare(hint) for name, hint in get_type_hints(kind).items()}
    return known


def _bare(hint: Any) -> Any:
    """The type without None."""
    kinds = [one for one in get_args(hint) if one is not type(None)]
    optional = len(kinds) == 1 and type(None) in get_args(hint)
    return kinds[0] if optional else hint
