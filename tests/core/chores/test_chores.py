"""Chores of all kinds: none holds up the others."""

from __future__ import annotations

import pytest

from s3queue.core.chores import Chores, Facts
from s3queue.core.ops import Delete, Get
from s3queue.core.records import SourceState
from s3queue.core.survey import Survey
from tests.core.world import LAYOUT, NOW_MS, board, path

DYING, OVER = path(1), path(2)


def test_chore_that_fails_as_nobody_expects_holds_up_no_other_kind() -> None:
    """It was taken again before all others, for ever."""
    of = board(states={DYING: SourceState(dying=(0,)), OVER: SourceState(settled=1)})
    seen = Survey(listed={DYING, OVER})
    chores = Chores(LAYOUT, of.epoch, {}, 0.0)
    chores.follow(Facts(of, seen, 0.0, (), (), 0), {}, 1200.0)

    letter = chores.take(0.0, NOW_MS, "n")
    assert letter is not None
    assert isinstance(next(letter), Get)
    with pytest.raises(ZeroDivisionError):
        letter.throw(ZeroDivisionError())

    deletion = chores.take(0.0, NOW_MS, "n")
    assert deletion is not None
    assert next(deletion) == Delete((LAYOUT.source(OVER),))
    assert chores.take(0.0, NOW_MS, "n") is None

    again = chores.take(chores.next_at(0.0), NOW_MS, "n")
    assert again is not None
    assert isinstance(next(again), Get)
