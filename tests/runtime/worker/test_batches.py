"""Tasks that take several messages at once, in a worker process and by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw

from s3queue.core.keys import source_path
from s3queue.core.records import Message, Part, decode_result, encode_batch, encode_message
from s3queue.decorators import task
from s3queue.errors import ConfigError
from s3queue.options.batching import ItemResultCodec
from s3queue.registry import registry
from s3queue.runtime.local.journal import FAILED, OK, REJECTED, RUNNING, TOGETHER
from s3queue.runtime.local.wire import FailedNote, Finished, Interrupt, Noted
from s3queue.runtime.worker.attempt import Attempts
from s3queue.runtime.worker.batches import Batches, Member, each
from s3queue.runtime.worker.dealt import Item
from s3queue.runtime.worker.plans import Plan
from s3queue.store import Found, ObjectStore
from tests.runtime import jobs
from tests.runtime.desk import Desk, Pipe, desk


def outcomes(it: Desk, many: int) -> dict[int, tuple[str, float, str]]:
    """By message that did not end well: kind, delay, and the last line of its text."""
    found = {}
    while not isinstance(note := it.next(), Finished):
        if isinstance(note, FailedNote):
            text = note.outcome.failure.text if note.outcome.failure is not None else ""
            found[note.index] = note.outcome.kind, note.outcome.delay_s, text.strip().splitlines()[-1]
    assert len(it.states(0)) == many
    return found


def test_each_message_of_a_batch_has_the_outcome_that_the_task_returns_for_it(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, *[it.message("together", word) for word in ("fine", "retry", "error", "reject")])
        assert outcomes(it, 4) == {
            1: ("retry", 7.0, "again"),
            2: ("retry", 20.0, "ValueError: wrong"),
            3: ("dead", 0.0, "never"),
        }
        assert it.states(0) == [OK, FAILED, FAILED, REJECTED]


@pytest.mark.parametrize(
    ("last", "text"),
    [
        ("raise", "KeyError: 'all of them'"),
        ("few", "TypeError: task 'together' got 4 messages and returned 2 outcomes"),
    ],
)
def test_what_is_raised_for_a_batch_is_the_outcome_of_each(store: ObjectStore, last: str, text: str) -> None:
    with desk(store) as it:
        it.deal_new(0, *[it.message("together", word) for word in ("fine", "fine", "fine", last)])
        found = outcomes(it, 4)
        assert [kind for kind, _, _ in found.values()] == ["retry"] * 4
        assert all(told.startswith(text) for _, _, told in found.values())


def test_message_of_another_task_closes_a_batch_and_runs_after_it(store: ObjectStore, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with desk(store) as it:
        it.deal_new(0, it.message("together", out), it.message("together", out), it.message("append", out, "alone"))
        it.expect(Finished)
    assert Path(out).read_text().splitlines() == ["2", "2", "alone"]


def test_what_is_there_runs_at_once_where_nothing_is_waited_for(store: ObjectStore, tmp_path: Path) -> None:
    words = [str(tmp_path / f"{number}") for number in range(40)]
    with desk(store) as it:
        it.deal_new(0, *[it.message("at_once", word) for word in words], attempt=2)
        told = set()
        while not isinstance(note := it.next(), Finished):
            assert isinstance(note, Noted)
            told.add(note.memo.text)
        assert it.states(0) == [OK] * 40
        assert told == set(words)
    ids = [Path(word).read_text().split() for word in words]
    assert len({one for one, _ in ids}) == 40
    assert {attempt for _, attempt in ids} == {"2"}


def test_slots_gather_one_batch_together(store: ObjectStore, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with desk(store, concurrency=3) as it:
        it.deal_new(0, *[it.message("together", out)] * 4)
        it.expect(Finished)
    assert Path(out).read_text() == "4\n" * 4


def results(it: Desk, path: str, many: int) -> dict[int, tuple[Any, str]]:
    """By message of which there is one: its result, and the ticket of that."""
    keys = [it.layout.result(it.layout.message_id(path, at)) for at in range(many)]
    found = {at: (key, it.store.get(key)) for at, key in enumerate(keys)}
    there = {at: decode_result(key, one.body) for at, (key, one) in found.items() if isinstance(one, Found)}
    return {at: (msgspec.msgpack.decode(one.value), one.ticket) for at, one in there.items()}


def test_what_is_returned_for_a_message_of_a_batch_is_its_result(store: ObjectStore) -> None:
    with desk(store) as it:
        path = it.deal_new(0, *[it.message("measured", word) for word in ("a", "wrong", "abc", "none")], ticket="1-7")
        assert it.expect(FailedNote).index == 1
        # No outcome is reported before the results are stored.
        assert results(it, path, 4) == {0: (1, "1-7"), 2: (3, "1-7"), 3: (None, "1-7")}
        it.expect(Finished)
        assert it.states(0) == [OK, FAILED, OK, OK]


def test_result_that_cannot_be_kept_is_the_failure_of_its_message_alone(store: ObjectStore) -> None:
    with desk(store) as it:
        path = it.deal_new(0, *[it.message("measured", word) for word in ("a", "float", "abc", "ab")])
        found = outcomes(it, 4)
        assert {at: kind for at, (kind, _, _) in found.items()} == {1: "retry"}
        assert "what it returns" in found[1][2]
        assert results(it, path, 4).keys() == {0, 2, 3}


def test_message_of_a_batch_that_returns_nothing_has_that_as_its_result(store: ObjectStore) -> None:
    with desk(store) as it:
        path = it.deal_new(0, *[it.message("measured", word) for word in ("a", "b", "c", "all none")])
        it.expect(Finished)
        assert [value for value, _ in results(it, path, 4).values()] == [None] * 4


def test_arguments_that_do_not_fit_are_the_fault_of_their_message_alone(store: ObjectStore) -> None:
    with desk(store) as it:
        misfit = encode_message(Message("together", Raw(msgspec.msgpack.encode(7))))
        fine = it.message("together", "fine")
        it.deal_new(0, fine, misfit, fine, fine)
        assert {at: kind for at, (kind, _, _) in outcomes(it, 4).items()} == {1: "unfit"}


def test_journal_of_a_batch_names_each_message_and_its_slot_none(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    with desk(store) as it:
        it.deal_new(0, *[it.message("together", word) for word in ("fine", "fine", "fine", "exit")])
        assert it.exit_status() == 7
        assert it.states(0) == [RUNNING] * 4
        (slot,) = it.journal.running()
        assert slot.message == TOGETHER
        assert slot.deadline > slot.started + 590


def test_batch_of_which_one_is_cancelled_goes_on_for_the_others(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    """What is raised for it is the failure of each: its neighbours would pay an attempt."""
    report = pipe("report")
    with desk(store) as it:
        it.deal_new(0, *[it.message("until_first_is_cancelled", report.path)] * 2)
        assert report.line() == "running 2"
        it.send(Interrupt(0, (0,)))
        assert report.line() == "cancelled False"
        it.expect(Finished)
        assert it.states(0) == [OK, OK]


def test_batch_of_which_all_are_cancelled_is_interrupted(store: ObjectStore, pipe: Callable[[str], Pipe]) -> None:
    report = pipe("report")
    with desk(store) as it:
        it.deal_new(0, *[it.message("until_first_is_cancelled", report.path)] * 2)
        assert report.line() == "running 2"
        it.send(Interrupt(0, (0, 1)))
        assert set(outcomes(it, 2).values()) == {("retry", 0.0, "it was cancelled while it ran")}


def test_message_that_is_cancelled_before_its_batch_begins_is_left_out_of_it(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    report = pipe("report")
    with desk(store) as it:
        it.shared.trust_until = 0.0
        it.deal_new(0, *[it.message("until_first_is_cancelled", report.path)] * 2)
        it.send(Interrupt(0, (1,)))
        it.obeyed()  # slots see the trust window without the worker's main thread
        it.trust()
        assert report.line() == "running 1"
        it.send(Interrupt(0, (0,)))
        found = outcomes(it, 2)
        assert found[1] == ("retry", 0.0, "it was cancelled before its batch began")
        assert found[0][0] == "retry"


def test_message_that_expires_before_its_batch_begins_does_not_start(store: ObjectStore, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with desk(store) as it:
        expires_ms = int(time.time() * 1000) + 500
        path = source_path(jobs.QUEUE, sent_ms=1, batch="1", count=1, expires_ms=expires_ms)
        it.store.put(it.layout.source(path), encode_batch([it.message("together", out)], 1), if_version=None)
        it.deal(0, Part(path, 0, 1, 1))
        while time.time() * 1000 < expires_ms:  # the clock that tells workers, too
            time.sleep(0.01)
        it.deal_new(1, *[it.message("together", out)] * 3, ticket="1-8")
        ended = it.next(), it.next(), it.next()
        assert [(note.row, note.outcome.kind) for note in ended if isinstance(note, FailedNote)] == [(0, "expired")]
    assert Path(out).read_text().splitlines() == ["3", "3", "3"]


def test_messages_of_a_new_session_run_though_their_batch_was_opened_by_one_of_the_last(store: ObjectStore) -> None:
    """They were dropped with it, and their host held them for ever."""
    with desk(store) as it:
        it.deal_new(0, *[it.message("together", word) for word in ("fine", "fine", "fine", "error", "fine")])
        assert it.expect(FailedNote).row == 0
        it.cancel()  # the fifth waits for others
        it.deal_new(1, *[it.message("together", word) for word in ("fine", "fine", "error", "fine")])
        note = it.expect(FailedNote)
        assert (note.row, note.index) == (1, 2)


def test_slots_that_meet_a_task_at_once_go_by_one_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a plan each, one of them ran its message alone, and the others waited for it in vain."""
    worker: Any = SimpleNamespace(_find=registry.find, _measures=None, _middleware=(), _plans={})
    found: list[Plan | None] = []

    class Meeting(Plan):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            if not found:  # another slot makes one meanwhile
                found.append(None)
                found[0] = Attempts._plan(worker, jobs.QUEUE, "together")

    monkeypatch.setattr("s3queue.runtime.worker.attempt.Plan", Meeting)
    assert Attempts._plan(worker, jobs.QUEUE, "together") is found[0]
    assert found[0] is not None


class _Plan:
    batch, wait_s = 3, 1e9


def test_message_that_comes_when_another_slot_has_filled_the_batch_stays_for_the_next() -> None:
    ready: SimpleQueue[Item | None] = SimpleQueue()
    plan = cast(Any, _Plan())
    items = [cast(Item, (None, number)) for number in range(4)]

    def member(item: Item) -> Member:
        return Member(item, plan, plan, cast(Any, None), {})

    class Racing(Batches):
        """While the first slot waits for the next message, another one fills the batch."""

    batches = Racing(ready, lambda item: None if item is items[3] else member(item))
    filled: list[list[Member] | None] = []

    def get(timeout: float) -> Item:
        if not filled:
            filled.extend(batches.gather(member(one)) for one in items[1:3])
        return items[0]

    batches._ready = cast(Any, type("Line", (), {"get": staticmethod(get), "put": staticmethod(ready.put)}))
    assert batches.gather(member(items[0])) is None
    assert filled[0] is None
    assert filled[1] is not None
    assert [one.item for one in filled[1]] == [items[0], *items[1:3]]
    assert ready.get_nowait() is items[0]


def test_outcomes_are_none_or_one_for_each() -> None:
    wrong = ValueError()
    assert each("task", 2, None) == [None, None]
    assert each("task", 3, (None, wrong, "anything")) == [None, wrong, "anything"]
    for returned in ([None], "no", 7):
        with pytest.raises(TypeError, match="got 2 messages"):
            each("task", 2, returned)


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"batch": 1001}, {"batch": 2, "wait": -1}, {"batch": 2, "wait": 61}, {"batch": 2, "ack": "manual"},
     {"batch": 2, "result_ttl": 0}, {"batch": 2, "result_ttl": 60, "on_failure": "drop"}],
)  # fmt: skip
def test_batch_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    def several(words: list[str]) -> None: ...

    decorate: Any = task("nowhere", "several", **wrong)
    with pytest.raises(ConfigError):
        decorate(several)


def test_function_that_takes_no_list_is_refused() -> None:
    def several(word: str) -> None: ...

    decorate: Any = task("nowhere", "several", batch=2)
    with pytest.raises(ConfigError, match="annotate a list"):
        decorate(several)


def test_results_of_a_batch_have_the_type_of_what_its_list_holds() -> None:
    def kind_of(annotation: Any) -> Any:
        def several(words: list[str]) -> None: ...

        several.__annotations__["return"] = annotation
        return ItemResultCodec(several, "task")._kind

    assert kind_of(list[int]) is int
    assert kind_of(tuple[int, ...]) is int
    assert kind_of(list[int | ValueError]) is int
    assert kind_of(list[int | str | Exception | None]) == int | str | None
    assert kind_of(list[Exception]) in (None, type(None))
    assert kind_of(list[int] | None) == int | None
    assert kind_of(list) is Any
    assert kind_of(None) in (None, type(None))
    for wrong in (int, dict[str, int], tuple[int, str]):
        with pytest.raises(ConfigError, match="annotate a list"):
            kind_of(wrong)
