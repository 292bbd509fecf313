"""Expired results are deleted, and no others."""

from __future__ import annotations

import contextlib
from typing import Any

from msgspec import Raw

from s3queue.core.chores.results import Results
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout
from s3queue.core.ops import Delete
from s3queue.core.plan import Settings
from s3queue.core.records import Board, Ready, Result, SourceState, encode_result
from s3queue.store import Found, Listed

LAYOUT = Layout()
SETTINGS = Settings(result_grace_s=60.0)
PATHS = [f"in/q/5/170000000000{n}-0000000000000000-1" for n in range(4)]
MESSAGES = [LAYOUT.message_id(path, 0) for path in PATHS]
NOW_MS = 1_000_000


def result(number: int, *, expires_ms: int, ticket: str = "1-1") -> Found:
    return Found(encode_result(Result("n", MESSAGES[number], ticket, Raw(b"\xc0"), expires_ms)), "v")


def deleted(board: Board, *found: Found) -> tuple[str, ...]:
    of = Results(LAYOUT, 0.0, SETTINGS, Troubles())
    of.follow(board)
    step = of.take(100.0, NOW_MS)
    assert step is not None
    keys = [LAYOUT.result(message) for message in MESSAGES[: len(found)]]
    next(step)
    step.send([Listed(key, "v", 1) for key in keys])
    try:
        wish = step.send(list(found))
    except StopIteration:
        return ()
    assert isinstance(wish, Delete)
    return wish.keys


def over(**more: Any) -> Board:
    return Board("b", epoch=1, sequence=5, **more)


def test_result_is_deleted_when_it_has_expired_for_so_long() -> None:
    late, early = result(0, expires_ms=NOW_MS - 60_000), result(1, expires_ms=NOW_MS - 59_999)
    assert deleted(over(), late, early) == (LAYOUT.result(MESSAGES[0]),)


def test_result_of_a_message_that_may_run_again_is_kept() -> None:
    listed = over(sources={PATHS[0]: SourceState(ready=(Ready(0, 1, 2),))})
    assert deleted(listed, result(0, expires_ms=0)) == ()


def test_result_of_a_ticket_that_this_coordinator_has_not_heard_of_is_kept() -> None:
    assert deleted(over(), result(0, expires_ms=0, ticket="2-0")) == ()
    assert deleted(over(), result(0, expires_ms=0, ticket="1-5")) == ()


def test_what_nobody_can_read_is_kept() -> None:
    assert deleted(over(), Found(b"{", "v")) == ()


def test_range_is_walked_again_when_its_first_result_is_due() -> None:
    of = Results(LAYOUT, 0.0, SETTINGS, Troubles())
    of.follow(over())
    assert of.take(9.0, NOW_MS) is None
    step = of.take(10.0, NOW_MS)
    assert step is not None
    next(step)
    step.send([Listed(LAYOUT.result(MESSAGES[0]), "v", 1)])
    for _ in range(2):
        try:
            step.send([result(0, expires_ms=NOW_MS + 40_000)])
        except StopIteration:
            break
    assert of.next_at() == 110.0
    assert of.take(109.0, NOW_MS) is None
    assert of.take(110.0, NOW_MS) is not None


def test_namespace_without_results_is_listed_once_in_so_long() -> None:
    of = Results(LAYOUT, 0.0, SETTINGS, Troubles())
    of.follow(over())
    step = of.take(10.0, NOW_MS)
    assert step is not None
    next(step)
    with contextlib.suppress(StopIteration):
        step.send([])
    assert of.next_at() == 70.0
