from __future__ import annotations

from s3queue.core.records import (
    Part,
    Ticket,
)
from tests.core.world import path


class TestTickets:
    TICKET = Ticket("h", (Part(path(1, 9), 5, 9, 1), Part(path(2, 3), 0, 3, 2)), (1, 3))

    def test_a_ticket_counts_its_messages(self) -> None:
        assert (self.TICKET.size, self.TICKET.left, self.TICKET.queue) == (7, 5, "q")

    def test_offsets_become_messages_of_sources(self) -> None:
        assert list(self.TICKET.spans((0, 1, 3, 6))) == [
            Part(path(1, 9), 5, 6, 1),
            Part(path(1, 9), 8, 9, 1),
            Part(path(2, 3), 0, 2, 2),
        ]

    def test_offsets_beyond_it_are_none_of_its_messages(self) -> None:
        assert list(self.TICKET.spans((7, 99))) == []
