"""`Ticket.spans`: which messages of which sources lie at the offsets of a ticket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s3queue.core import ranges
from s3queue.core.records import Part, Ticket
from tests.core.world import path

sizes = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=6)


@given(sizes, st.sets(st.integers(0, 40)))
def test_spans_are_the_messages_at_the_offsets_in_order(parts: list[tuple[int, int]], members: set[int]) -> None:
    ticket = Ticket("h1", tuple(Part(path(n), start, start + size, 1) for n, (start, size) in enumerate(parts)))
    every = [(part.source, index) for part in ticket.parts for index in range(part.start, part.stop)]
    found = [
        (part.source, index) for part in ticket.spans(ranges.of(members)) for index in range(part.start, part.stop)
    ]
    assert found == [one for offset, one in enumerate(every) if offset in members]


def test_a_part_that_is_wanted_whole_is_not_made_anew() -> None:
    ticket = Ticket("h1", (Part(path(1), 0, 1, 1), Part(path(2), 0, 1, 1), Part(path(3), 0, 2, 1)))
    assert all(one is part for one, part in zip(ticket.spans((0, 4)), ticket.parts, strict=True))
