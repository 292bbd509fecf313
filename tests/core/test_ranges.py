from hypothesis import given, settings
from hypothesis import strategies as st

from s3queue.core import ranges
from tests.core.profile import BRIEF

integers = st.sets(st.integers(0, 40))


@BRIEF
@given(integers)
def test_a_set_of_integers_survives_the_round_trip(members: set[int]) -> None:
    made = ranges.of(members)
    assert list(ranges.members(made)) == sorted(members)
    assert ranges.size(made) == len(members)


@BRIEF
@given(integers)
def test_what_is_built_is_sorted_disjoint_and_not_adjacent(members: set[int]) -> None:
    made = ranges.of(members)
    assert ranges.is_proper(made)
    assert all(
        stop < start for (_, stop), (start, _) in zip(ranges.pairs(made), list(ranges.pairs(made))[1:], strict=False)
    )


@BRIEF
@given(integers, integers)
def test_union_is_that_of_sets(one: set[int], other: set[int]) -> None:
    assert ranges.union(ranges.pairs(ranges.of(one)), ranges.pairs(ranges.of(other))) == ranges.of(one | other)


@BRIEF
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))))
def test_union_of_any_pairs_covers_exactly_what_they_cover(pairs: list[tuple[int, int]]) -> None:
    covered = {member for start, stop in pairs for member in range(start, stop)}
    assert ranges.union(pairs) == ranges.of(covered)


@BRIEF
@given(integers, integers)
def test_minus_is_that_of_sets(one: set[int], other: set[int]) -> None:
    assert ranges.minus(ranges.of(one), ranges.of(other)) == ranges.of(one - other)


@settings(BRIEF)
@given(integers, st.integers(0, 41))
def test_contains_is_that_of_sets(members: set[int], member: int) -> None:
    assert ranges.contains(ranges.of(members), member) == (member in members)


def test_nothing_is_the_empty_tuple() -> None:
    assert ranges.union() == ranges.of(()) == ranges.minus((), (0, 3)) == ranges.EMPTY
    assert ranges.size(()) == 0


def test_what_a_stored_record_calls_ranges_may_be_none() -> None:
    assert ranges.is_proper(())
    assert ranges.is_proper((0, 1, 2, 5))
    for wrong in ((0,), (3, 1), (0, 2, 2, 3), (-1, 2), (0, 5, 3, 7)):
        assert not ranges.is_proper(wrong)
