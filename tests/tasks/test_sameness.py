"""What arrives equals what was given, or is refused. Annotations are real objects here, as local types are used."""

import dataclasses
import enum
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import Struct

from s3queue import ConfigError
from s3queue.payloads.codec import CallCodec, ValueCodec


@dataclasses.dataclass
class Base:
    x: float
    more: Any = None


@dataclasses.dataclass
class Extended(Base):
    y: int = 0


class OnlyMethods(Base):
    pass


class Record(Struct):
    x: int
    base: Base | None = None


class Longer(Record):
    y: int = 0


class Unequal(Struct, eq=False):
    x: float


class UnequalToo(Unequal, eq=False):
    pass


@dataclasses.dataclass(eq=False)
class Plain:
    x: float


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    pass


class Moment(datetime):
    pass


class Pair(NamedTuple):
    a: int
    b: int


class Options(TypedDict):
    a: int


def carry(kind: Any, value: Any, *, exact: bool = True) -> Any:
    """What arrives of a value that is given for a parameter of this type."""

    def it(v): ...  # type: ignore[no-untyped-def]

    if kind is not None:
        it.__annotations__["v"] = kind
    codec = CallCodec(it, "task 'it'")
    (arrived,), _ = codec.decode(codec.encode((value,), {}, exact=exact))
    return arrived


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Base, Extended(1, y=2)),
        (Base, OnlyMethods(1)),
        (list[Base], [Base(1), Extended(1)]),
        (dict[str, Base], {"a": Extended(1)}),
        (tuple[Base, int], (Extended(1), 1)),
        (Base | None, Extended(1)),
        (Record, Longer(1)),
        (Record, Record(1, Extended(1))),
        (Unequal, UnequalToo(1)),
        (Base, {"x": 1}),
        (Base, {"x": 1, "unknown": 2}),
        (Options, {"a": 1, "unknown": 2}),
        (set[int], [1, 1, 2]),
        (tuple[int, ...], [1, 2]),
        (list[int], (1, 2)),
        (list[int], {1, 2}),
        (Colour, "red"),
        (str, Colour.RED),
        (str, Decimal("1.0")),
        (str, UUID(int=1)),
        (datetime, "2030-01-01T00:00:00Z"),
        (float, 2**53 + 1),
        (list[int], Pair(1, 2)),
    ],
)
def test_what_would_arrive_as_something_else_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ConfigError, match="would arrive") as caught:
        carry(kind, value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Base, Base(1, [2])),
        (int, Level.LOW),
        (str, Word.YES),
        (datetime, datetime(2030, 1, 1)),  # noqa: DTZ001
        (datetime, datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=3)))),
        (tuple[int, int], Pair(1, 2)),
        (Pair, Pair(1, 2)),
        (dict[str, int], defaultdict(int, a=1)),
        (dict[str, int], OrderedDict(b=1, a=2)),
        (dict[str, int], Counter("aab")),
        (Options, {"a": 1}),
        (float, 3),
        (set[int], frozenset({1})),
        (bytes, bytearray(b"x")),
        (Decimal, Decimal("1.10")),
        (UUID, UUID(int=1)),
        (timedelta, timedelta(seconds=1.5)),
    ],
)
def test_what_is_equal_arrives(kind: Any, value: Any) -> None:
    assert carry(kind, value) == value


@pytest.mark.parametrize("value", [Text("x"), Moment(2030, 1, 1, tzinfo=UTC)])
def test_a_subclass_of_a_builtin_that_msgspec_does_not_know_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="unsupported"):
        carry(type(value).__mro__[1], value)


def test_a_value_that_is_not_equal_to_itself_is_compared_part_by_part() -> None:
    assert carry(float, NAN) != carry(float, NAN)
    assert str(carry(Decimal, Decimal("NaN"))) == "NaN"
    assert carry(Unequal, Unequal(1)).x == 1
    assert carry(list[Plain], [Plain(NAN)])[0].x != 1
    assert carry(dict[str, float], {"a": NAN}).keys() == {"a"}
    assert carry(Base, Base(NAN, [NAN])).x != 1


def test_a_time_in_the_hour_that_a_clock_goes_through_twice() -> None:
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert carry(datetime, twice).timestamp() == twice.timestamp()
    assert carry(Base, Base(1, twice)).more.timestamp() == twice.timestamp()


@pytest.mark.parametrize(
    ("kind", "value", "arrived"),
    [
        (None, (1, 2), [1, 2]),
        (None, Base(1), {"x": 1, "more": None}),
        (None, Colour.RED, "red"),
        (Any, {1}, [1]),
        (dict, {"a": (1, UUID(int=1))}, {"a": [1, str(UUID(int=1))]}),
        (list[Any], [(1,), Base(1)], [[1], {"x": 1, "more": None}]),
        (Base, Base(1, (2, 3)), Base(1, [2, 3])),
    ],
)
def test_without_an_annotation_builtins_arrive(kind: Any, value: Any, arrived: Any) -> None:
    assert carry(kind, value) == arrived


@pytest.mark.parametrize("value", [Extended(1), [Extended(1)]])
def test_an_annotation_beside_any_is_still_kept(value: Any) -> None:
    with pytest.raises(ConfigError, match="Extended would arrive as Base"):
        carry(dict[str, Base | list[Base]], {"a": value})


def test_the_parameter_is_named() -> None:
    def it(a: int, *rest: Base, b: Base | None = None, **more: Base) -> None: ...

    codec = CallCodec(it, "task 'it'")
    codec.encode((1, Base(1)), {"b": Base(2), "c": Base(3)})
    calls: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((1, Extended(1)), {}, r"'\*rest'"),
        ((1,), {"b": Extended(1)}, "'b'"),
        ((1,), {"c": Extended(1)}, r"'\*\*more'"),
    ]
    for args, kwargs, name in calls:
        with pytest.raises(ConfigError, match=f"task 'it', parameter {name}: Extended would arrive as Base"):
            codec.encode(args, kwargs)


def test_values_from_json_may_become_what_is_annotated() -> None:
    assert carry(Base, {"x": 1}, exact=False) == Base(1)
    assert carry(tuple[int, ...], [1, 2], exact=False) == (1, 2)
    assert carry(datetime, "2030-01-01T00:00:00Z", exact=False) == datetime(2030, 1, 1, tzinfo=UTC)


def test_the_payload_of_a_handler_is_compared_too() -> None:
    def it(payload: Base) -> None: ...

    codec = ValueCodec(it, "handler of 'q'")
    with pytest.raises(ConfigError, match="would arrive as Base"):
        codec.encode((Extended(1),), {})


@pytest.mark.parametrize(
    ("args", "kwargs"), [((1,), {}), ((1, 2), {}), ((1,), {"b": 2}), ((), {"a": 1, "c": 3}), ((1,), {"c": 3, "b": 2})]
)
def test_a_call_is_bound_as_python_binds_it(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    def it(a: int, b: int = 0, *, c: int = 0) -> dict[str, int]:
        return {"a": a, "b": b, "c": c}

    def carried(function: Callable[..., Any]) -> Any:
        codec = CallCodec(function, "task 'it'")
        payload = codec.encode(args, kwargs)
        got_args, got_kwargs = codec.decode(payload)
        return function(*got_args, **got_kwargs), msgspec.msgpack.decode(payload)

    result, payload = carried(it)
    assert result == it(*args, **kwargs)
    assert payload == {**dict(zip("ab", args, strict=False)), **kwargs}
