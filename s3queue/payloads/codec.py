"""Encodes calls as payloads, and decodes payloads to calls.

A task's payload is a MessagePack map from parameter names to values: readable in a dead letter, and open to new
parameters that have a default. Extra positional arguments stand under ``*name``, extra keyword arguments under
``**name``. A handler's payload is the value itself.

What a producer may enqueue is exactly what a worker can decode, because the producer decodes it first. Annotated
parameters arrive in their annotated type (dataclass, Struct, datetime, UUID, Enum: whatever msgspec knows, and what
`s3queue.payloads.types` adds), equal to what
was given, or are refused; those without an annotation arrive as builtins.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, get_type_hints

import msgspec
from msgspec import Raw

from s3queue.errors import ConfigError
from s3queue.payloads.types import carrier, from_plain, schema_of, to_plain

if TYPE_CHECKING:
    from s3queue.options.resources import Resource


#: The parameter that receives the `s3queue.Context`, wherever it stands.
CONTEXT = "ctx"


class Given:
    """The default of a parameter that a resource is handed to."""

    def __init__(self, resource: Resource[Any]) -> None:
        self.resource = resource

    def __repr__(self) -> str:
        return f"given({self.resource!r})"


_encode = msgspec.msgpack.Encoder(enc_hook=to_plain).encode
_NO_KWARGS: dict[str, Any] = {}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Codec(Protocol):
    """Turns arguments into a payload and back."""

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, exact: bool = True) -> Raw:
        """Raises `ConfigError`: the function could not be called with these arguments, or they cannot be carried.

        Args:
            exact: whether to refuse what would arrive as something else than was given. False for values that come from
                JSON: a text may then stand for a time.
        """
        ...

    def decode(self, payload: Raw) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Raises `ValueError`: the payload does not fit the function."""
        ...

    def store(self, payload: Any) -> Raw:
        """Encode a payload as `DeadLetter.payload` tells it: a task's arguments by name. Raises `ConfigError`: it does not
        fit the function, or cannot be carried."""
        ...

    def digest(self) -> str:
        """Of what the function takes: names, types, and what may be left out."""
        ...


def encode_value(value: Any, what: str) -> Raw:
    """The MessagePack form of anything that msgspec encodes; `ConfigError` for anything else."""
    try:
        return Raw(_encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as wrong:
        raise ConfigError(
            f"{what}: {_lower(wrong)}",
            "a payload is builtins, dataclasses, Structs, … (docs/reference/payloads.md)",
        ) from wrong


class CallCodec:
    """The arguments of a task.

    Raises:
        ConfigError: an annotation that msgspec cannot carry.
        NameError: an annotation names something that is not defined (yet).
    """

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        self._what = what
        signature = inspect.signature(function)
        parameters = [p for p in signature.parameters.values() if _travels(p)]
        self._signature = signature.replace(parameters=parameters)
        hints = _hints(function)
        self._keys: dict[str, str] = {}
        fields: list[tuple[str, Any, Any]] = []
        for number, parameter in enumerate(parameters):
            kind: Any = hints.get(parameter.name, Any)
            key = parameter.name
            default = parameter.default
            if parameter.kind is parameter.VAR_POSITIONAL:
                key, kind, default = f"*{key}", list[kind], []
            elif parameter.kind is parameter.VAR_KEYWORD:
                key, kind, default = f"**{key}", dict[str, kind], {}
            _check_type(kind, f"{what}, parameter {parameter.name!r}")
            self._keys[parameter.name] = key
            fields.append((f"p{number}", kind, _field(key, default)))
        record = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
        self._record = msgspec.msgpack.Decoder(record, dec_hook=from_plain).decode
        self._takes = [
            (self._keys[p.name], kind, p.default is p.empty) for p, (_, kind, _) in zip(parameters, fields, strict=True)
        ]
        self._plain = all(p.kind in _POSITIONAL for p in parameters)
        self._kinds = tuple((p.name, p.kind) for p in parameters)
        #: By key: the attribute of the record, and the annotated type.
        self._attributes = {self._keys[p.name]: f"p{number}" for number, p in enumerate(parameters)}
        self._hints = {self._keys[p.name]: field[1] for p, field in zip(parameters, fields, strict=True)}
        #: Whether every parameter may be given by name, so that the usual call is soon bound; and how many by place, too.
        self._simple = all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in parameters)
        self._by_place = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        self._by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        self._open = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._required = {p.name for p in parameters if p.default is p.empty}

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, exact: bool = True) -> Raw:
        given = self._bind(args, kwargs)
        payload = encode_value(given, self._what)
        try:
            record = self._record(payload)
        except ValueError as wrong:
            raise ConfigError(f"{self._what}: {_lower(wrong)}", f"it takes {self._signature}") from wrong
        if exact:
            attributes = self._attributes
            for key, value in given.items():
                arrived = getattr(record, attributes[key])
                if arrived is not value:
                    _check_same(value, arrived, self._hints[key], self._what, key)
        return payload

    def store(self, payload: Any) -> Raw:
        encoded = encode_value(payload, self._what)
        try:
            self._record(encoded)
        except ValueError as wrong:
            given = payload if isinstance(payload, Mapping) else {}
            unknown = ", ".join(repr(key) for key in given if key not in self._attributes)
            why = f"it takes no argument {unknown}" if unknown else _lower(wrong)
            raise ConfigError(f"{self._what}: {why}", f"it takes {self._signature}") from wrong
        return encoded

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a call by key. Raises `ConfigError`: the function could not be called like this."""
        if self._simple and len(args) <= self._by_place:
            given = dict(zip(self._keys, args, strict=False))
            given.update(kwargs)
            if (
                len(given) == len(args) + len(kwargs)
                and given.keys() >= self._required
                and (not kwargs or given.keys() <= self._keys.keys())
            ):
                return given
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as wrong:
            # Python would tell of what is missing first, which is often only misspelt.
            unknown = ", ".join(map(repr, kwargs.keys() - self._by_name))
            why = f"it takes no argument {unknown}" if unknown and not self._open else wrong
            raise ConfigError(f"{self._what}: {why}", f"it takes {self._signature}") from None
        return {
            self._keys[name]: list(value) if self._keys[name] == f"*{name}" else value
            for name, value in bound.arguments.items()
        }

    def decode(self, payload: Raw) -> tuple[tuple[Any, ...], dict[str, Any]]:
        values = msgspec.structs.astuple(self._record(payload))
        if self._plain:
            return values, _NO_KWARGS
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for (name, kind), value in zip(self._kinds, values, strict=True):
            if kind in _POSITIONAL:
                args.append(value)
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                args.extend(value)
            elif kind is inspect.Parameter.KEYWORD_ONLY:
                kwargs[name] = value
            else:
                kwargs.update(value)
        return tuple(args), kwargs

    def digest(self) -> str:
        return _digest(self._takes)


class ValueCodec:
    """The one argument of a handler."""

    #: What its function takes.
    takes = f"a handler takes one payload and, if it likes, {CONTEXT}"

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        self._what = what
        parameters = [p for p in inspect.signature(function).parameters.values() if _travels(p)]
        if len(parameters) != 1 or parameters[0].kind not in _POSITIONAL:
            raise ConfigError(f"{what}: {self.takes}")
        kind = self._kind_of(_hints(function).get(parameters[0].name, Any))
        _check_type(kind, f"{what}, parameter {parameters[0].name!r}")
        self._kind = kind
        self._value: Callable[[Any], Any] = msgspec.msgpack.Decoder(kind, dec_hook=from_plain).decode

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, exact: bool = True) -> Raw:
        if len(args) != 1 or kwargs:
            raise ConfigError(f"{self._what}: is sent one payload, not {len(args) + len(kwargs)} arguments")
        payload, arrived = self._carried(args[0])
        if exact:
            _check_same(args[0], arrived, self._kind, self._what)
        return payload

    def store(self, payload: Any) -> Raw:
        return self._carried(payload)[0]

    def _carried(self, value: Any) -> tuple[Raw, Any]:
        payload = encode_value(value, self._what)
        try:
            return payload, self._value(payload)
        except ValueError as wrong:
            raise ConfigError(f"{self._what}: {_lower(wrong)}") from wrong

    def _kind_of(self, kind: Any) -> Any:
        """What one message holds, by the annotation."""
        return kind

    def decode(self, payload: Raw) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self._value(payload),), _NO_KWARGS

    def digest(self) -> str:
        return _digest([("", self._kind, True)])


class ResultCodec:
    """What a task returns.

    Raises:
        ConfigError: an annotation that msgspec cannot carry.
        NameError: the annotation names something that is not defined (yet).
    """

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        self._what = f"{what}, what it returns"
        function = inspect.unwrap(function)
        notes = {name: a for name, a in getattr(function, "__annotations__", {}).items() if name == "return"}
        holder: Any = SimpleNamespace(__annotations__=notes)
        kind = get_type_hints(holder, globalns=getattr(function, "__globals__", None), include_extras=True)
        self._kind: Any = self._kind_of(Any if kind.get("return", object) is object else kind["return"])
        _check_type(self._kind, self._what)
        self._value: Callable[[Any], Any] = msgspec.msgpack.Decoder(self._kind, dec_hook=from_plain).decode

    def _kind_of(self, kind: Any) -> Any:
        """What the result of one message is, by the annotation."""
        return kind

    def encode(self, value: Any) -> Raw:
        """Raises `ConfigError`: it cannot be carried, or would arrive as something else."""
        encoded = encode_value(value, self._what)
        try:
            arrived = self._value(encoded)
        except ValueError as wrong:
            raise ConfigError(f"{self._what}: {_lower(wrong)}") from wrong
        _check_same(value, arrived, self._kind, self._what)
        return encoded

    def decode(self, value: Raw) -> Any:
        """Raises `ValueError`: it does not fit what the task is annotated with here."""
        return self._value(value)


def _digest(takes: Iterable[tuple[str, Any, bool]]) -> str:
    """Of parameters, each a key, a type, and whether it has to be given. Their order is none of it: payloads are maps."""
    import hashlib  # only for who offers tasks

    described = []
    for key, kind, required in sorted(takes, key=lambda one: one[0]):
        try:
            shape: Any = _bare(msgspec.json.schema(kind, schema_hook=schema_of))
        except (TypeError, ValueError):  # a type that JSON has no form for
            shape = str(kind)
        described.append((key, shape, required))
    text = msgspec.json.encode(described, order="sorted")
    return hashlib.blake2b(text, digest_size=4).hexdigest()


#: Parts of a schema that are for people.
_TOLD = frozenset({"title", "description", "default", "examples"})


def _bare(schema: Any, named: bool = False) -> Any:
    """The schema without what is only told about it. ``named``: its keys are names of fields or types."""
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _bare(one, not named and key in ("properties", "$defs"))
        for key, one in schema.items()
        if named or key not in _TOLD
    }


def _check_same(given: Any, arrived: Any, kind: Any, what: str, parameter: str = "") -> None:
    """As `s3queue.payloads.sameness.check_same`, and soon done in the usual case."""
    try:
        if given == arrived:
            return
    except Exception:  # noqa: BLE001 - of the user's own types; looked at more closely there
        pass
    from s3queue.payloads.sameness import check_same

    check_same(given, arrived, kind, what, parameter)


def _lower(wrong: Exception) -> str:
    """The message of an exception as the second half of a sentence."""
    text = str(wrong)
    return text[:1].lower() + text[1:]


def _travels(parameter: inspect.Parameter) -> bool:
    """Whether it is part of a message: not what the worker hands to the task."""
    return parameter.name != CONTEXT and not isinstance(parameter.default, Given)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters that travel, resolved. Others need not resolve."""
    function = inspect.unwrap(function)
    travel = {p.name for p in inspect.signature(function).parameters.values() if _travels(p)}
    given = {n: a for n, a in getattr(function, "__annotations__", {}).items() if n in travel}
    holder: Any = SimpleNamespace(__annotations__=given)
    hints = get_type_hints(holder, globalns=getattr(function, "__globals__", None), include_extras=True)
    return {name: Any if kind is object else kind for name, kind in hints.items()}


def _field(key: str, default: Any) -> Any:
    if default is inspect.Parameter.empty:
        return msgspec.field(name=key)
    # The very object that Python would use, which msgspec would copy or refuse where it is mutable.
    return msgspec.field(name=key, default_factory=lambda: default)


def _check_type(kind: Any, what: str) -> None:
    """Raises `ConfigError` where msgspec could only ever refuse a value of this type."""
    try:
        foreign = _foreign(msgspec.inspect.type_info(kind), set())
    except TypeError as wrong:
        raise ConfigError(f"{what}: {_lower(wrong)}") from wrong
    if foreign is not None:
        name = getattr(foreign, "__qualname__", str(foreign))
        raise ConfigError(
            f"{what}: {name} cannot be carried in a message",
            "annotate a type that messages carry (docs/reference/payloads.md), or name it with s3queue.payload_type",
        )


def _foreign(info: Any, seen: set[int]) -> Any:
    """The first type inside that msgspec does not know, or None."""
    if isinstance(info, msgspec.inspect.CustomType):
        return None if carrier(info.cls) is not None else info.cls
    if id(info) in seen:
        return None
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        parts = [getattr(info, name) for name in info.__struct_fields__ if name not in ("default", "default_factory")]
    elif isinstance(info, tuple):
        parts = list(info)
    else:
        return None
    return next((found for part in parts if (found := _foreign(part, seen)) is not None), None)
