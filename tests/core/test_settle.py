import pytest

from s3queue.core.histories import KEPT_FAILURES, MAX_SPARED, clipped, is_suspect
from s3queue.core.records import Failed, Failure, Ready, SourceState, Waiting, encode
from s3queue.core.settle import Draft
from tests.core.world import NOW_MS, ready, retry


def failed(draft: Draft, outcome: Failed, *, index: int = 0, attempt: int = 1) -> bool:
    return draft.failed(index, attempt, outcome, max_attempts=3, now_ms=NOW_MS)


def test_a_batch_is_admitted_with_all_its_messages_ready() -> None:
    assert Draft.admitted(7).freeze() == SourceState(ready=ready((0, 7, 1)))


def test_neighbours_at_one_attempt_are_one_range() -> None:
    draft = Draft(SourceState(ready=ready((4, 5, 1), (0, 2, 1))))
    draft.released(2, 4, 1)
    draft.released(5, 6, 2)
    assert draft.freeze().ready == ready((0, 5, 1), (5, 6, 2))


def test_done_forgets_the_history_of_a_message() -> None:
    draft = Draft(SourceState(failures={0: (Failure(1, "error"),), 3: (Failure(1, "error"),)}))
    draft.done(0, 3)
    assert draft.freeze() == SourceState(settled=3, failures={3: (Failure(1, "error"),)})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Traceback\n  a line of it\nValueError: no", "…\nValueError: no"),
        ("ValueError: of a single long line", "… a single long line"),
        ("ValueError: no", "ValueError: no"),
    ],
)
def test_text_that_is_cut_begins_with_a_line_where_it_can(text: str, kept: str) -> None:
    assert clipped(text, 22) == kept


def test_take_gives_the_lowest_first_and_not_more_than_asked() -> None:
    draft = Draft(SourceState(ready=ready((5, 9, 1), (0, 3, 2))))
    assert draft.take(2) == (ready((0, 2, 2))[0], False)
    assert draft.take(9) == (ready((2, 3, 2))[0], False)
    assert draft.take(9) == (ready((5, 9, 1))[0], False)
    assert draft.take(9) is None


def test_take_of_nothing_gives_nothing() -> None:
    assert Draft.admitted(3).take(0) is None


def test_wake_moves_exactly_what_is_due() -> None:
    draft = Draft(SourceState(waiting=(Waiting(1, 2, NOW_MS), Waiting(2, 2, NOW_MS + 1))))
    assert draft.wake(NOW_MS)
    assert not draft.wake(NOW_MS)
    assert draft.freeze() == SourceState(ready=ready((1, 2, 2)), waiting=(Waiting(2, 2, NOW_MS + 1),))


def test_buried_settles_exactly_those_whose_letters_are_stored() -> None:
    history = {index: (Failure(3, "error"),) for index in (0, 1)}
    draft = Draft(SourceState(dying=(0, 1), failures=history))
    draft.letters_written({1})
    assert draft.freeze() == SourceState(settled=1, dying=(0,), failures={0: history[0]})


def test_a_dead_outcome_without_a_failure_is_dead_all_the_same() -> None:
    draft = Draft(SourceState())
    assert failed(draft, Failed("dead"))
    assert draft.freeze() == SourceState(dying=(0,))


def test_the_history_of_a_message_is_bounded_in_number_and_in_text() -> None:
    draft = Draft(SourceState())
    for attempt in range(1, 9):
        draft.failed(
            0, attempt, Failed("retry", 0.0, Failure(attempt, "error", "x" * 9000)), max_attempts=99, now_ms=NOW_MS
        )
    draft.trim()
    kept = draft.freeze().failures[0]
    assert [failure.attempt for failure in kept] == [4, 5, 6, 7, 8]
    assert len(kept) == KEPT_FAILURES
    assert sum(len(failure.text) for failure in kept) < 1000


def test_what_is_kept_of_a_text_is_its_end_where_a_traceback_says_what_went_wrong() -> None:
    draft = Draft(SourceState())
    for attempt in (1, 2):
        text = "Traceback" + " of a deep call" * 500 + f"\nValueError: no {attempt}"
        draft.failed(0, attempt, Failed("retry", 0.0, Failure(attempt, "error", text)), max_attempts=3, now_ms=NOW_MS)
    draft.trim()
    kept = draft.freeze().failures[0]
    assert [one.text.splitlines()[-1] for one in kept] == ["ValueError: no 1", "ValueError: no 2"]
    assert [(one.text[0], len(one.text)) for one in kept] == [("…", 118), ("…", 398)]


def test_the_last_failure_of_a_dying_message_keeps_its_text_for_the_letter() -> None:
    draft = Draft(SourceState())
    assert failed(draft, Failed("dead", 0.0, Failure(1, "error", "x" * 9000)))
    draft.trim()
    assert len(draft.freeze().failures[0][-1].text) == 4000


def test_the_state_that_a_draft_is_made_from_is_not_touched() -> None:
    state = SourceState(ready=ready((0, 2, 1)), failures={0: (Failure(1, "error"),)})
    draft = Draft(state)
    draft.take(1)
    draft.done(0, 1)
    failed(draft, retry(), index=1)
    assert state == SourceState(ready=ready((0, 2, 1)), failures={0: (Failure(1, "error"),)})


def interrupted(attempt: int, cause: str = "interrupted") -> Failed:
    return Failed("interrupted", 0.0, Failure(attempt, cause))


def test_an_interrupted_message_goes_on_as_another_attempt_that_is_not_charged() -> None:
    draft = Draft(SourceState())
    assert not failed(draft, interrupted(1))
    assert not failed(draft, retry(), attempt=2)
    assert not failed(draft, retry(), attempt=3)
    assert draft.freeze().ready == ready((0, 1, 2), (0, 1, 3), (0, 1, 4))
    assert failed(draft, retry(), attempt=4), "three of its four attempts were its own"


def test_a_message_that_was_always_interrupted_comes_to_an_end() -> None:
    draft, attempt = Draft(SourceState()), 1
    while not failed(draft, interrupted(attempt), attempt=attempt):
        attempt += 1
    assert attempt == MAX_SPARED + 3


def test_an_interrupted_message_is_ticketed_alone_and_a_suspect_after_a_death_or_the_second_time() -> None:
    draft = Draft.admitted(3)
    draft.take(3)
    failed(draft, interrupted(1))
    failed(draft, interrupted(1, "exited"), index=1)
    failed(draft, interrupted(1), index=2)
    failed(draft, interrupted(2), index=2, attempt=2)
    state = draft.freeze()
    assert [is_suspect(state.failures, state.spared, index) for index in range(3)] == [False, True, True]
    draft.ready = draft.ready[:2] + draft.ready[3:]
    assert draft.take(9) == (ready((0, 1, 2))[0], True)


def test_what_a_message_was_spared_is_forgotten_when_it_is_settled() -> None:
    draft = Draft(SourceState(spared={0: 1, 1: 2, 2: 1}, dying=(1,)))
    draft.done(0, 1)
    draft.letters_written({1})
    assert draft.freeze() == SourceState(settled=2, spared={2: 1})


def test_a_draft_never_changes_the_state_that_it_was_made_of() -> None:
    why = Failure(1, "error", "no")
    state = SourceState(
        ready=(Ready(0, 4, 1),), waiting=(Waiting(4, 2, 5),), dying=(5,), failures={4: (why,)}, spared={4: 1}
    )
    before = encode(state)
    draft = Draft(state)
    draft.take(1)
    draft.failed(0, 1, Failed("retry", 1.0, why), max_attempts=3, now_ms=0)
    draft.failed(0, 1, Failed("interrupted", 0.0, why), max_attempts=3, now_ms=0)
    draft.wake(10)
    draft.moving(4)
    draft.moved(4)
    draft.trim()
    assert encode(state) == before
    assert draft.freeze() != state


def test_admitted_sources_share_nothing_that_changes() -> None:
    first = Draft.admitted(1)
    first.take(1)
    first.failed(0, 1, Failed("retry", 1.0, Failure(1, "error", "no")), max_attempts=3, now_ms=0)
    assert Draft.admitted(1).freeze() == SourceState(ready=(Ready(0, 1, 1),))
