"""What workers have of limited tickets stays within the places of their host."""

from __future__ import annotations

from collections.abc import Callable
from cProfile import Profile

from s3queue.core.held import Held
from s3queue.core.keys import Layout
from s3queue.core.ledger import Host
from s3queue.core.records import Allowed, Offer, Part, Ticket
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.pool import Piece, Pool
from s3queue.runtime.local.journal import OK, Journal
from s3queue.runtime.local.wire import Deal, Note
from tests.core.world import path


class Crew:
    """A host with workers, each with so many slots."""

    def __init__(self, workers: int, slots: int, places: dict[str, int], many: int = 10) -> None:
        self.host = Host(Layout(), "h1", workers * slots, {"q": Offer()})
        journal = Journal(bytearray(Journal.size(workers, slots)), workers, slots)
        self.journals = [journal.worker(number) for number in range(workers)]
        self.dealer = Dealer(self.host, self.journals, slots)
        self.sent: list[list[Note]] = [[] for _ in range(workers)]
        for number, sent in enumerate(self.sent):
            self.dealer.comes(number, sent.append)
        for order, name in enumerate(places, 1):
            self.host.tickets[name] = Held(Ticket("h1", (Part(path(order, many), 0, many, 1),)))
        self.host.allowed = {name: Allowed("", at_once) for name, at_once in places.items()}
        self.dealer.claimed(list(places))

    def dealt(self) -> list[int]:
        """By worker, how many messages it has."""
        self.dealer.deal(0.0)
        return [load.unfinished for load in self.dealer.loads]

    def ends(self, worker: int) -> None:
        """The worker has finished its oldest deal."""
        deal = next(note for note in self.sent[worker] if isinstance(note, Deal))
        self.sent[worker].remove(deal)
        size = sum(part.stop - part.start for part in deal.parts)
        states = self.journals[worker].states(deal.row)
        for index in range(size):
            states[index] = OK
        self.dealer.finished(worker, deal.row, 1.0 * size)


def calls(what: Callable[[], object]) -> int:
    """How many functions it calls."""
    profile = Profile()
    profile.runcall(what)
    return sum(entry.callcount for entry in profile.getstats())


def test_no_more_is_dealt_than_the_host_has_places() -> None:
    crew = Crew(4, 1, {"1-1": 2})
    assert sum(crew.dealt()) == 2
    assert sum(crew.dealt()) == 2


def test_places_of_several_tickets_add_up_and_serve_any_of_them() -> None:
    crew = Crew(4, 1, {"1-1": 3, "1-2": 0})
    assert sum(crew.dealt()) == 3


def test_a_place_is_used_again_once_its_message_has_ended() -> None:
    crew = Crew(2, 1, {"1-1": 1})
    first = crew.dealt()
    crew.ends(first.index(1))
    assert sum(crew.dealt()) == 1
    assert crew.host.tickets["1-1"].left == 9


def test_a_worker_with_many_slots_gets_no_more_than_there_are_places() -> None:
    crew = Crew(1, 8, {"1-1": 3})
    assert crew.dealt() == [3]


def test_other_messages_take_the_slots_that_a_limit_leaves() -> None:
    crew = Crew(4, 1, {"1-1": 1})
    crew.host.tickets["1-2"] = Held(Ticket("h1", (Part(path(9, 10), 0, 10, 1),)))
    crew.dealer.claimed(["1-2"])
    assert sum(crew.dealt()) == 4


def test_worker_that_has_enough_is_offered_no_line_and_else_few_more_than_it_takes() -> None:
    """However many keys with limits wait: that was asked at each note of a worker."""
    keys = [f"1-{number}" for number in range(2000)]
    crew = Crew(2, 1, dict.fromkeys(keys, 1), many=1)
    crew.host.allowed = {name: Allowed(name, 1) for name in keys}
    crew.dealer = Dealer(crew.host, crew.journals, 1)
    for number, sent in enumerate(crew.sent):
        crew.dealer.comes(number, sent.append)
    crew.dealer.claimed(keys)
    assert sum(crew.dealt()) == 2
    assert calls(crew.dealt) < 200
    crew.ends(0)
    assert calls(crew.dealt) < 20 * len(keys)
    assert sum(crew.dealt()) == 2


def test_a_host_without_places_deals_nothing_of_it() -> None:
    assert sum(Crew(2, 1, {"1-1": 0}).dealt()) == 0


def test_keys_take_turns_in_the_pool() -> None:
    pool = Pool()
    pool.add("q", [Piece("1-1", 0, 100, "large"), Piece("1-2", 0, 1, "a"), Piece("1-2", 1, 2, "b")])
    first = pool.take("q")
    assert first == Piece("1-1", 0, 100, "large")
    pool.rest("q", first._replace(start=5))
    assert [pool.take("q"), pool.take("q"), pool.take("q")] == [
        Piece("1-2", 0, 1, "a"), Piece("1-2", 1, 2, "b"), Piece("1-1", 5, 100, "large"),
    ]  # fmt: skip
    assert pool.size == 0
