from __future__ import annotations

import ast
import logging
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

import s3queue
from s3queue import ConfigError
from s3queue.events import KINDS, Dead, Enqueued, Event, decode_event
from s3queue.observe.beside import Beside
from s3queue.observe.events import LEVELS, Events
from s3queue.observe.subscribing import Subscribers, here

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "_calls", {})


def tell(kind: str, **fields: Any) -> None:
    """In a process that is done then."""
    sink = Events("worker")
    sink.emit(kind, **fields)
    sink.close()


def test_subscriber_gets_the_typed_event_of_its_kind_and_no_other() -> None:
    heard: list[Event] = []

    @s3queue.on("dead", "enqueued")
    def keep(event: Event) -> None:
        heard.append(event)

    sink = Events("worker")
    sink.emit("dead", message="m", attempt=3, task="send", cause="error", text="no such user")
    sink.emit("snoozed", message="m", attempt=1)
    sink.emit("enqueued", ids=["a"], queue="mail")
    sink.close()
    dead, enqueued = heard
    assert isinstance(dead, Dead)
    assert (dead.kind, dead.message, dead.attempt, dead.task, dead.role, dead.pid) == (
        "dead", "m", 3, "send", "worker", os.getpid(),
    )  # fmt: skip
    assert dead.at > 0
    assert enqueued == Enqueued(ids=["a"], queue="mail", at=enqueued.at, role="worker", pid=os.getpid())


def test_kind_is_wanted_only_once_somebody_subscribes() -> None:
    own = Subscribers()
    sink = Events("worker", subscribers=own)
    assert not sink.wants("succeeded")
    own.on("succeeded")(print)
    assert sink.wants("succeeded")


@pytest.mark.parametrize("raised", [RuntimeError("the pager is away"), SystemExit("the pager is away")])
def test_subscriber_that_raises_is_logged_and_the_next_one_is_called(
    raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []

    @s3queue.on("dead")
    def breaks(event: Dead) -> None:
        raise raised

    s3queue.on("dead")(heard.append)
    tell("dead", message="m", attempt=1)
    assert len(heard) == 1
    assert f"a subscriber of dead raised {type(raised).__name__}: the pager is away" in caplog.text


def test_coroutine_function_is_no_subscriber() -> None:
    async def page(event: Dead) -> None: ...

    with pytest.raises(ConfigError, match="is async"):
        s3queue.on("dead")(page)


def test_subscriber_that_ends_the_program_does_not_end_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    """The message would be dead because its worker exited, and not of its error."""

    @s3queue.on("dead")
    def gives_up(event: Dead) -> None:
        sys.exit("the pager is away")

    tell("dead", message="m", attempt=1)
    assert "a subscriber of dead raised SystemExit: the pager is away" in caplog.text


def test_subscriber_that_hangs_delays_nothing_and_what_it_misses_is_counted_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, gate, entered, heard = Subscribers(), threading.Event(), threading.Event(), list[str]()
    monkeypatch.setattr(own, "_beside", Beside(most=3))

    @own.on("dead")
    def hang(event: Dead) -> None:
        entered.set()
        gate.wait()
        heard.append(event.message)

    sink = Events("agent", subscribers=own)
    sink.emit("dead", message="first", attempt=1)
    entered.wait()
    for message in "abcdefgh":  # three wait for it
        sink.emit("dead", message=message, attempt=1)
    assert heard == []
    assert caplog.text.count("an event dead was dropped: its subscribers are too slow, or hang") == 1
    gate.set()
    sink.close()
    assert heard == ["first", "a", "b", "c"]


def test_subscriber_that_hangs_does_not_keep_a_process_from_ending(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, gate, entered, heard = Subscribers(), threading.Event(), threading.Event(), list[str]()
    beside = Beside()
    monkeypatch.setattr(own, "_beside", beside)
    monkeypatch.setattr(beside, "finish", partial(beside.finish, 0.0))

    @own.on("dead")
    def hang(event: Dead) -> None:
        entered.set()
        gate.wait()
        heard.append(event.message)

    sink = Events("agent", subscribers=own)
    for message in ("first", "a", "b"):
        sink.emit("dead", message=message, attempt=1)
    entered.wait()
    thread = beside._thread
    assert thread is not None
    sink.close()
    assert "2 events dropped at the end: their subscribers are too slow, or hang" in caplog.text
    gate.set()
    thread.join()
    assert heard == ["first"]


def test_tests_may_have_subscribers_called_at_once() -> None:
    heard: list[Event] = []
    s3queue.on("dead")(heard.append)
    with here.at_once():
        Events("worker").emit("dead", message="m", attempt=1)
        assert len(heard) == 1


@pytest.mark.parametrize("kinds", [(), ("deed",)])
def test_kind_that_does_not_exist_is_refused_where_it_is_written(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        s3queue.on(*kinds)


def test_line_of_a_history_is_read_as_the_event_that_was_told(tmp_path: Path) -> None:
    sink = Events("worker", str(tmp_path))
    sink.emit("dead", message="m", attempt=3, cause="error")
    sink.close()
    (line,) = (tmp_path / f"worker-{os.getpid()}.jsonl").read_text().splitlines()
    event = decode_event(line)
    assert isinstance(event, Dead)
    assert (event.message, event.attempt, event.cause) == ("m", 3, "error")


# ---- what is told is what is promised ---------------------------------------------------------------------------------


def emits() -> Iterator[tuple[str, str, set[str], bool]]:
    """Where an event is told in the code: place, kind, names of its fields, and whether more are added there."""
    for file in sorted((ROOT / "s3queue").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first: Any = node.args[0]
            if name == "emit" and isinstance(first, ast.Constant) and isinstance(first.value, str):
                fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                more = any(keyword.arg is None for keyword in node.keywords)
                yield f"{file.relative_to(ROOT)}:{node.lineno}", first.value, fields, more


def test_every_event_that_is_told_has_the_fields_of_its_kind() -> None:
    told = list(emits())
    assert len(told) > 20
    for place, kind, fields, more in told:
        assert kind in KINDS, place
        known = {field.name: field for field in msgspec.structs.fields(KINDS[kind])}
        assert fields <= known.keys(), (place, fields - known.keys())
        needed = {name for name, field in known.items() if field.required}
        assert more or needed <= fields, (place, needed - fields)


def test_every_kind_has_a_known_level_and_no_level_is_for_an_unknown_kind() -> None:
    assert set(LEVELS) <= set(KINDS)
    assert logging.getLevelName(LEVELS["dead"]) == "ERROR"


def test_reference_names_every_kind_with_its_fields() -> None:
    rows = [
        line for line in (ROOT / "docs/reference/events.md").read_text("utf-8").splitlines() if line.startswith("| `")
    ]
    told = {row.split("`")[1]: row for row in rows}
    assert list(told) == list(KINDS)
    common = {"at", "role", "pid"}
    for kind, struct in KINDS.items():
        for field in msgspec.structs.fields(struct):
            assert field.name in common or f"`{field.name}`" in told[kind], (kind, field.name)
