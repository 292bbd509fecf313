"""Gates are freed by those that they name, before these are forgotten."""

from __future__ import annotations

import contextlib
from typing import Any

from s3queue.core.chores.gates import Gates, free
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import DEDUP, UNIQUE, Layout, gate_of, source_path
from s3queue.core.ops import Delete, Gather, Get, Missed, Put, Unknown
from s3queue.core.records import Board, Gate, SourceState, decode, encode
from s3queue.errors import StoreDenied
from s3queue.store import Conflict, Found, Listed, Missing, Stored

LAYOUT = Layout()
GATE = gate_of(UNIQUE, "it")
KEY = LAYOUT.gate("q", GATE)
PATH, OTHER = (source_path("q", sent_ms=1_700_000_000_000, batch=name, count=1, gate=GATE) for name in ("a", "b"))


def there(path: str, *, held: bool = True, nonce: str = "n", **more: Any) -> Found:
    return Found(encode(Gate(nonce, path, held, **more)), "v")


def end(step: Any, given: Any) -> Any:
    try:
        step.send(given)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it goes on")


def test_gate_is_freed_by_the_source_that_it_names() -> None:
    step = free(LAYOUT, PATH, "mine")
    assert next(step) == Get(KEY)
    put = step.send(there(PATH, made_ms=5, window_ms=7))
    assert isinstance(put, Put)
    assert put.if_version == "v"
    assert decode(Gate, KEY, put.body) == Gate("mine", PATH, False, 5, 7)
    assert end(step, Stored("w")) is True


def test_gate_of_another_source_is_left_alone() -> None:
    for found in (there(OTHER), there(PATH, held=False), Missing()):
        step = free(LAYOUT, PATH, "mine")
        next(step)
        assert end(step, found) is True


def test_gate_that_was_taken_meanwhile_is_looked_at_again() -> None:
    step = free(LAYOUT, PATH, "mine")
    next(step)
    step.send(there(PATH))
    step.send(Conflict())
    assert end(step, there(OTHER)) is False


def test_finished_source_is_held_until_its_gate_is_known_to_be_free() -> None:
    gates, board = Gates(LAYOUT, 0.0, Troubles()), Board("b", epoch=1, sources={PATH: SourceState(settled=1)})
    gates.follow(board, [PATH], [])
    assert gates.held == {PATH}
    step = gates.take(1.0, 0, "nonce")
    assert step is not None
    next(step)
    step.send(there(PATH))
    step.send(Unknown())
    assert end_of(step, there(PATH)) is None
    gates.follow(board, [PATH], [])
    assert gates.held == {PATH}
    step = gates.take(2.0, 0, "again")
    assert step is not None
    next(step)
    assert end(step, there(PATH, held=False)) is True
    gates.follow(board, [PATH], [])
    assert gates.held == set()


def end_of(step: Any, given: Any) -> None:
    with contextlib.suppress(StopIteration):
        for _ in range(9):
            step.send(given if isinstance(given, Found) else None)
            given = Conflict()


def test_gate_that_is_free_and_unchanged_for_a_day_is_deleted() -> None:
    gates, gate = Gates(LAYOUT, 0.0, Troubles()), gate_of(DEDUP, "it")
    listed = [Listed(LAYOUT.gate("q", gate), "v", 1)]
    gates.follow(Board("b", epoch=1), [], [])
    assert gates.take(599.0, 0, "n") is None
    step = gates.take(600.0, 0, "n")
    assert step is not None
    next(step)
    assert end(step, listed) is False
    step = gates.take(600.0 + 86_400.0, 10_000, "n")
    assert step is not None
    next(step)
    assert isinstance(step.send(listed), Gather)
    assert step.send([there(PATH, held=False, made_ms=1000, window_ms=2000)]) == Delete((listed[0].key,))


def test_gate_that_cannot_be_read_or_deleted_keeps_no_other() -> None:
    troubles = Troubles()
    gates, keys = Gates(LAYOUT, 0.0, troubles), [LAYOUT.gate("q", gate_of(DEDUP, name)) for name in "abc"]
    listed = [Listed(key, "v", 1) for key in keys]
    gates.follow(Board("b", epoch=1), [], [])
    for at_s in (600.0, 600.0 + 86_400.0):
        step = gates.take(at_s, 10_000, "n")
        assert step is not None
        next(step)
        if at_s == 600.0:
            assert end(step, listed) is False
    assert step is not None
    step.send(listed)
    over = there(PATH, held=False, made_ms=1000, window_ms=2000)
    assert step.send([Missed(StoreDenied("get", keys[0])), over, over]) == Delete((keys[1], keys[2]))
    assert step.throw(StoreDenied("delete", keys[1])) == Delete((keys[1],))
    assert step.throw(StoreDenied("delete", keys[1])) == Delete((keys[2],))
    assert end(step, None) is False
    assert {key for key, _ in troubles.take_new()} == {f"{LAYOUT.gates}*"}


def test_gate_that_is_free_stays_so_for_a_source_that_a_survey_passes_over() -> None:
    """Surveys see a crowd of scheduled batches in turns: none of them was ever admitted, since its gate was freed anew at
    each look."""
    gates, board = Gates(LAYOUT, 0.0, Troubles()), Board("b", epoch=1)
    gates.follow(board, [], [PATH])
    step = gates.take(1.0, 0, "nonce")
    assert step is not None
    next(step)
    assert end(step, there(PATH, held=False)) is True
    gates.follow(board, [], [])
    gates.follow(board, [], [OTHER])
    assert gates.freed == {PATH}
    gates.follow(Board("b", epoch=1, sources={PATH: SourceState()}), [], [])
    assert gates.freed == {PATH}
    gates.follow(board, [], [])
    assert gates.freed == set(), "it is over"
