"""What a call becomes, and what it becomes again. Annotations are real objects here (no future import), as local types are
used."""

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Raw, Struct

from s3queue import ConfigError
from s3queue.payloads.codec import CallCodec, ValueCodec


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Order(Struct):
    id: UUID
    lines: list[Point] = []


def codec(function: Callable[..., Any]) -> CallCodec:
    return CallCodec(function, "task 'it'")


def arrive(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What the function would be called with at the other end."""
    import inspect

    carrier = codec(function)
    got_args, got_kwargs = carrier.decode(carrier.encode(args, kwargs))
    return dict(inspect.signature(function).bind(*got_args, **got_kwargs).arguments)


def test_a_payload_reads_as_names_and_values() -> None:
    def send(user: int, subject: str = "hi", *, urgent: bool = False) -> None: ...

    payload = codec(send).encode((7,), {"urgent": True})
    assert msgspec.msgpack.decode(payload) == {"user": 7, "urgent": True}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Point, Point(1, 2)),
        (Order, Order(uuid4(), [Point(3)])),
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
        (timedelta, timedelta(seconds=1.5)),
        (UUID, uuid4()),
        (Decimal, Decimal("1.10")),
        (Colour, Colour.RED),
        (bytes, b"\x00\xff"),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (dict[str, Point], {"a": Point(1)}),
        (int | None, None),
        (Literal["a", "b"], "b"),
        (Annotated[int, Meta(ge=1)], 1),
        (Any, {"any": [1, 2.5, None, "x"]}),
    ],
)
def test_annotated_values_arrive_in_their_type(kind: Any, value: Any) -> None:
    def it(v): ...  # type: ignore[no-untyped-def]

    it.__annotations__["v"] = kind
    arrived = arrive(it, value)["v"]
    assert arrived == value
    assert type(arrived) is type(value)


def test_what_is_not_annotated_arrives_as_builtins() -> None:
    def it(v, *more, **rest): ...  # type: ignore[no-untyped-def]

    got = arrive(it, Point(1, 2), (3,), colour=Colour.RED)
    assert got == {"v": {"x": 1, "y": 2}, "more": ([3],), "rest": {"colour": "red"}}


def test_defaults_are_those_of_the_worker_and_need_not_fit_the_annotation() -> None:
    marker: list[int] = [1]

    def it(a: int, b: list[int] = marker, c: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013

    carrier = codec(it)
    payload = carrier.encode((1,), {})
    assert msgspec.msgpack.decode(payload) == {"a": 1}
    args, _ = carrier.decode(payload)
    assert args == (1, marker, None)
    assert args[1] is marker


def test_positional_only_keyword_only_and_the_rest() -> None:
    def it(a: int, /, b: int, *rest: float, key: str, other: str = "o", **more: int) -> None: ...

    got = arrive(it, 1, 2, 3, 4, key="k", x=5)
    assert got == {"a": 1, "b": 2, "rest": (3.0, 4.0), "key": "k", "other": "o", "more": {"x": 5}}


def test_an_object_is_anything() -> None:
    def it(v: object, *rest: object) -> None: ...

    assert arrive(it, [1], "x") == {"v": [1], "rest": ("x",)}


def test_a_parameter_may_be_called_anything() -> None:
    def it(self: int, args: int, kwargs: int, payload: int, delay: int) -> None: ...

    assert arrive(it, 1, 2, 3, payload=4, delay=5) == {"self": 1, "args": 2, "kwargs": 3, "payload": 4, "delay": 5}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_context_is_not_part_of_a_payload(at: int) -> None:
    def first(ctx: Any, a: int, b: int) -> None: ...
    def middle(a: int, ctx: Any, b: int) -> None: ...
    def last(a: int, b: int, *, ctx: Any) -> None: ...

    functions: list[Callable[..., Any]] = [first, middle, last]
    carrier = codec(functions[at])
    payload = carrier.encode((1, 2), {})
    assert msgspec.msgpack.decode(payload) == {"a": 1, "b": 2}
    with pytest.raises(ConfigError, match="ctx"):
        carrier.encode((1, 2), {"ctx": 3})


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, "x", 3), {}, "too many positional"),
        ((1,), {"c": 1}, "takes no argument 'c'"),
        ((), {"c": 1}, "takes no argument 'c'"),
        ((1,), {"a": 1}, "multiple values"),
        (("1",), {}, r"expected `int`, got `str` - at `\$.a`"),
        ((True,), {}, "got `bool`"),
        ((1.5,), {}, "got `float`"),
        ((1, b"x"), {}, "got `bytes`"),
        ((None,), {}, "got `None`"),
        ((object(),), {}, "object is unsupported"),
        ((2**70,), {}, "serialize ints"),
        ((1, "\ud800"), {}, "surrogates"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_the_signature(
    args: tuple[Any, ...], kwargs: dict[str, Any], words: str
) -> None:
    def it(a: int, b: str = "x") -> None: ...

    with pytest.raises(ConfigError, match=words) as caught:
        codec(it).encode(args, kwargs)
    assert caught.value.hint


def test_a_value_that_contains_itself_is_refused() -> None:
    def it(v): ...  # type: ignore[no-untyped-def]

    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ConfigError):
        codec(it).encode((loop,), {})


@pytest.mark.parametrize(
    "kind", [Thread, list[Thread], dict[str, Thread] | None, Callable[[int], int], tuple[int, Thread]]
)
def test_a_type_that_cannot_be_carried_is_refused_where_it_is_declared(kind: Any) -> None:
    def it(v): ...  # type: ignore[no-untyped-def]

    it.__annotations__["v"] = kind
    with pytest.raises(ConfigError, match="parameter 'v'"):
        codec(it)


def test_a_type_that_cannot_be_carried_is_found_inside_a_record() -> None:
    @dataclasses.dataclass
    class Holder:
        inside: list[Thread]

    def it(v: Holder) -> None: ...

    with pytest.raises(ConfigError, match="Thread cannot be carried"):
        codec(it)


class Tree(Struct):
    children: "list[Tree]" = []


def test_a_recursive_type_is_carried() -> None:
    def it(tree: Tree) -> None: ...

    assert arrive(it, Tree([Tree()]))["tree"] == Tree([Tree()])


def test_a_payload_of_another_release_is_refused_unless_it_fits() -> None:
    def old(a: int, gone: int = 0) -> None: ...
    def new(a: int, added: str = "new") -> None: ...

    assert codec(new).decode(codec(old).encode((1,), {})) == ((1, "new"), {})
    with pytest.raises(ValueError, match="gone"):
        codec(new).decode(codec(old).encode((1, 2), {}))


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x01", b"\x91\x01", b"\x81\xa1a\xa1x", b"\x80"])
def test_a_payload_that_is_no_call_is_a_value_error(payload: bytes) -> None:
    def it(a: int) -> None: ...

    with pytest.raises(ValueError):
        codec(it).decode(Raw(payload))


builtins = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    a=builtins, rest=st.lists(builtins, max_size=4), key=builtins, more=st.dictionaries(st.text(), builtins, max_size=3)
)
def test_builtins_arrive_as_they_were(a: Any, rest: list[Any], key: Any, more: dict[str, Any]) -> None:
    def it(a, *rest, key, **more): ...  # type: ignore[no-untyped-def]

    more = {name: value for name, value in more.items() if name not in ("key", "a", "rest", "more", "ctx")}
    carrier = codec(it)
    args, kwargs = carrier.decode(carrier.encode((a, *rest), {"key": key, **more}))
    assert args == (a, *rest)
    assert kwargs == {"key": key, **more}


@given(x=st.integers(-(2**63), 2**63 - 1), names=st.lists(st.text()), when=st.datetimes(timezones=st.just(UTC)))
def test_typed_records_arrive_equal(x: int, names: list[str], when: datetime) -> None:
    class Record(Struct):
        x: int
        names: list[str]
        when: datetime

    def it(record: Record) -> None: ...

    assert arrive(it, Record(x, names, when))["record"] == Record(x, names, when)


class TestHandlers:
    def test_the_payload_is_the_value_in_its_annotated_type(self) -> None:
        def it(point: Point, ctx: Any) -> None: ...

        carrier = ValueCodec(it, "handler of 'q'")
        payload = carrier.encode((Point(1, 2),), {})
        assert msgspec.msgpack.decode(payload) == {"x": 1, "y": 2}
        assert carrier.decode(payload) == ((Point(1, 2),), {})

    def test_raw_is_the_bytes_as_they_were_sent(self) -> None:
        def it(raw: Raw) -> None: ...

        (raw,), _ = ValueCodec(it, "h").decode(Raw(b"\x93\x01\x02\x03"))
        assert bytes(raw) == b"\x93\x01\x02\x03"

    def test_it_takes_exactly_one_payload(self) -> None:
        def two(a: int, b: int) -> None: ...
        def none(ctx: Any) -> None: ...
        def named(*, a: int) -> None: ...
        def one(a: int) -> None: ...

        for wrong in (two, none, named):
            with pytest.raises(ConfigError, match="one payload"):
                ValueCodec(wrong, "h")
        for args, kwargs in (((), {}), ((1, 2), {}), ((), {"a": 1})):
            with pytest.raises(ConfigError, match="one payload"):
                ValueCodec(one, "h").encode(args, kwargs)
        with pytest.raises(ConfigError, match="expected `int`"):
            ValueCodec(one, "h").encode(("x",), {})
