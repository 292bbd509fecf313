"""The types that ``docs/reference/payloads.md`` names are carried, as it says; others are refused."""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from msgspec import Meta

import s3queue
from s3queue import ConfigError, MessageId, payload_type
from s3queue.payloads.codec import CallCodec

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "payloads.md"


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: int
    y: int


class Record(msgspec.Struct):
    x: int


class Pair(NamedTuple):
    x: int
    y: str


class Options(TypedDict):
    x: int


@attrs.define
class Bag:
    x: int


class User(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    id: int
    at: datetime
    home: Path = Path("/home")


class Stranger:
    pass


def example() -> dict[str, Any]:
    """What the page's example defines."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": __name__}
    exec(code, names)
    return names


Money: Any = example()["Money"]
NAMES: dict[str, Any] = {
    **{one.__name__: one for one in (Color, Level, Point, Record, Pair, Options, Bag, User, Money, MessageId, UUID)},
    **{one.__name__: one for one in (datetime, date, time, timedelta, Decimal, Path, PurePosixPath)},
    "Any": Any, "Annotated": Annotated, "Literal": Literal, "Mapping": Mapping, "Meta": Meta, "Sequence": Sequence,
    "UTC": UTC,
}  # fmt: skip


def rows() -> list[tuple[str, str]]:
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)][1:-1]
        if len(cells) == 3 and cells[0].startswith("`") and cells[1].startswith("`"):
            kind, value = (re.match(r"`([^`]*)`", cell) for cell in cells[:2])
            assert kind is not None
            assert value is not None
            found.append((kind[1].replace("\\|", "|"), value[1]))
    return found


def codec(kind: Any) -> CallCodec:
    def function(it) -> None: ...  # type: ignore[no-untyped-def]

    function.__annotations__["it"] = kind
    return CallCodec(function, "task 't'")


def carry(kind: Any, value: Any) -> Any:
    carrier = codec(kind)
    (arrived,), _ = carrier.decode(carrier.encode((value,), {}))
    return arrived


def test_the_page_has_rows() -> None:
    assert len(rows()) > 35
    assert len({kind for kind, _ in rows()}) == len(rows())


@pytest.mark.parametrize(("kind", "value"), rows(), ids=lambda text: text)
def test_what_the_page_says_is_carried_arrives_equal_and_of_its_type(kind: str, value: str) -> None:
    annotation, given = eval(kind, dict(NAMES)), eval(value, dict(NAMES))  # of our own page
    arrived = carry(annotation, given)
    assert arrived == given
    assert type(arrived) is type(given)
    assert codec(annotation).digest() == codec(annotation).digest()


@pytest.mark.parametrize(
    ("given", "arrived"),
    [
        ((1, 2), [1, 2]),
        ({1}, [1]),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Color.RED, "red"),
        (Path("a/b"), "a/b"),
        (UUID(int=7), str(UUID(int=7))),
        (Decimal("1.10"), "1.10"),
        (User(id=1, at=datetime(2030, 1, 31, tzinfo=UTC)), {"id": 1, "at": "2030-01-31T00:00:00Z", "home": "/home"}),
        (datetime(2030, 1, 31, tzinfo=UTC), datetime(2030, 1, 31, tzinfo=UTC)),
    ],
)
def test_without_an_annotation_builtins_arrive(given: Any, arrived: Any) -> None:
    assert carry(Any, given) == arrived


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Path, "a/b", "str would arrive as"),
        (User, {"id": 1, "at": "2030-01-31T00:00:00Z"}, "dict would arrive as User"),
        (User, 7, "valid"),
        (str, Path("a"), "Path would arrive as str"),
        (Any, Stranger(), "Stranger is unsupported"),
        (Any, 2**70, "serialize ints"),
    ],
)
def test_what_would_arrive_as_something_else_is_refused(kind: Any, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        codec(kind).encode((value,), {})


def test_model_that_hides_a_value_is_refused() -> None:
    """A secret is dumped as asterisks, and would arrive as those."""

    class Login(pydantic.BaseModel):
        password: pydantic.SecretStr

    with pytest.raises(ConfigError, match="another value"):
        codec(Login).encode((Login(password=pydantic.SecretStr("x")),), {})


def test_other_version_of_a_model_has_another_digest() -> None:
    def model(name: str) -> Any:
        return pydantic.create_model("Model", **{name: (int, ...)})  # type: ignore[call-overload]

    assert codec(model("a")).digest() == codec(model("a")).digest()
    assert codec(model("a")).digest() != codec(model("b")).digest()


def test_payload_that_a_type_does_not_understand_does_not_fit() -> None:
    carrier = codec(Money)
    for payload in (b"\x81\xa2it\x07", b"\x81\xa2it\x91\x01"):
        with pytest.raises(ValueError, match=r"\$\.it|argument"):
            carrier.decode(msgspec.Raw(payload))


@pytest.mark.parametrize("wrong", [int, Point, Record, Bag, Color, "Money", Literal["a"]])
def test_type_that_is_carried_already_or_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        payload_type(wrong, encode=str, decode=str)


def test_type_that_nothing_carries_is_refused_where_the_task_is_declared() -> None:
    with pytest.raises(ConfigError, match="Stranger cannot be carried"):
        codec(Stranger)


def test_pydantic_is_not_imported_by_the_library() -> None:
    import subprocess

    code = "import sys, s3queue, s3queue.queue; sys.exit('pydantic' in sys.modules or 'attrs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert s3queue.payload_type is payload_type
