"""Chores write nothing while a cycle is under way, where a store has one writer at a time."""

from __future__ import annotations

from typing import Any

import pytest

from s3queue.core.agent.environment import TICK_S
from s3queue.core.agent.precedence import Precedence
from s3queue.core.ops import Delete, Get, Op, Put, Step, Wait, delete, get, put
from s3queue.errors import StoreUnavailable
from s3queue.store import Missing, Stored
from tests.core.agent.desk import Desk


def chore() -> Step[bool]:
    """Reads, writes and deletes."""
    yield from get("a")
    yield from put("b", b"", None)
    yield from delete(["c"])
    return True


def asked(program: Any, answers: list[Any]) -> list[type[Op]]:
    """What the program asks for until it ends, with the last of these answers."""
    seen = [type(next(program))]
    seen += [type(program.send(answer)) for answer in answers[:-1]]
    with pytest.raises(StopIteration) as end:
        program.send(answers[-1])
    assert end.value.value is True
    return seen


def test_chore_writes_when_the_cycle_is_over() -> None:
    precedence = Precedence(Desk(), 2, holds=True)
    program = precedence.behind(chore(), 1)
    assert isinstance(next(program), Get)
    precedence.begin()
    held = program.send(Missing())
    assert isinstance(held, Wait)
    precedence.end()
    assert held.wake_on.take()
    assert isinstance(program.send(True), Put)


def test_cycle_that_takes_long_holds_up_a_write_for_a_moment_only() -> None:
    desk = Desk()
    precedence = Precedence(desk, 1, holds=True)
    program = precedence.behind(chore(), 0)
    next(program)
    precedence.begin()
    held = program.send(Missing())
    assert (type(held), held.until) == (Wait, desk.now() + TICK_S)
    assert isinstance(program.send(False), Put)
    assert isinstance(program.send(Stored("1")), Wait)  # so does the next write
    assert isinstance(program.send(False), Delete)


def test_signal_of_an_earlier_cycle_ends_no_wait() -> None:
    precedence = Precedence(Desk(), 1, holds=True)
    precedence.begin()
    precedence.end()
    program = precedence.behind(chore(), 0)
    next(program)
    precedence.begin()
    held = program.send(Missing())
    assert isinstance(held, Wait)
    assert not held.wake_on.is_set


@pytest.mark.parametrize("holds", [True, False])
def test_nothing_waits_without_a_cycle_or_where_many_may_write(holds: bool) -> None:
    precedence = Precedence(Desk(), 1, holds=holds)
    if not holds:
        precedence.begin()
    answers = [Missing(), Stored("1"), None]
    assert asked(precedence.behind(chore(), 0), answers) == [Get, Put, Delete]


def test_chore_hears_of_the_fault_of_its_own_request() -> None:
    def patient() -> Step[str]:
        try:
            yield from put("b", b"", None)
        except StoreUnavailable:
            return "heard"
        return "stored"

    program = Precedence(Desk(), 1, holds=True).behind(patient(), 0)
    next(program)
    with pytest.raises(StopIteration) as end:
        program.throw(StoreUnavailable("put", "b"))
    assert end.value.value == "heard"


def test_chore_that_is_stopped_is_closed() -> None:
    ended: list[str] = []

    def tidy() -> Step[bool]:
        try:
            yield from get("a")
        finally:
            ended.append("closed")
        return True

    program = Precedence(Desk(), 1, holds=True).behind(tidy(), 0)
    next(program)
    program.close()
    assert ended == ["closed"]
