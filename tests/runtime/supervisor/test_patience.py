from __future__ import annotations

import pytest

from s3queue.runtime.supervisor.patience import FIRST_WAIT_S, GROWN_UP_S, LONGEST_WAIT_S, STILLBIRTHS, Patience


def dies(patience: Patience, *, up: bool = True, age_s: float = 1.0, blameless: bool = False) -> float:
    return patience.died(up=up, age_s=age_s, blameless=blameless)


def test_child_that_keeps_dying_young_is_replaced_ever_later() -> None:
    patience = Patience()
    waits = [dies(patience) for _ in range(12)]
    assert waits[:5] == [0.0, 0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == LONGEST_WAIT_S
    assert dies(patience, age_s=GROWN_UP_S) == 0.0
    assert dies(patience) == 0.0


def test_child_that_ended_because_it_was_told_to_is_replaced_at_once() -> None:
    patience = Patience()
    assert [dies(patience, blameless=True) for _ in range(5)] == [0.0] * 5


def test_child_that_works_is_replaced_at_once_however_often_it_dies() -> None:
    patience = Patience()
    dies(patience)
    dies(patience)
    assert {dies(patience, age_s=0.5, blameless=True) for _ in range(20)} == {0.0}
    assert dies(patience) == 0.0, "and what was before is forgotten"


def test_deaths_before_a_child_was_up_are_counted_until_one_is() -> None:
    patience = Patience()
    for _ in range(STILLBIRTHS - 1):
        dies(patience, up=False)
    assert patience.stillborn == STILLBIRTHS - 1
    assert not patience.is_over
    patience.is_up()
    dies(patience, up=False)
    assert patience.stillborn == 1


def test_patience_is_over_after_so_many_stillbirths() -> None:
    patience = Patience()
    for _ in range(STILLBIRTHS):
        dies(patience, up=False)
    assert patience.is_over


def test_death_while_the_store_does_not_answer_is_no_stillbirth() -> None:
    patience = Patience()
    waits = [patience.died(up=False, age_s=1.0, blameless=False, waiting=True) for _ in range(12)]
    assert patience.stillborn == 0
    assert waits[-1] == LONGEST_WAIT_S


@pytest.mark.parametrize("times", [1, 5, 50])
def test_start_without_room_is_tried_again_ever_later_and_is_no_stillbirth(times: int) -> None:
    patience = Patience()
    waits = [patience.refused() for _ in range(times)]
    assert waits[0] == FIRST_WAIT_S
    assert waits == sorted(waits)
    assert waits[-1] <= LONGEST_WAIT_S
    assert patience.stillborn == 0
