"""The summary and the census, written by production steps while messages come and go."""

from __future__ import annotations

import pytest

from s3queue.config import Config
from s3queue.core import operate
from s3queue.core.records import About, Board, Memo
from s3queue.errors import OutcomeUnknown, StoreDenied
from s3queue.messages import message
from s3queue.store import Stored
from tests.core.chores.counting import EVERY, Watched, fail_all, of_queue, summary, told
from tests.regressions.town import QUEUE, SETTINGS, Town, drain, led


@pytest.fixture
def store() -> Watched:
    return Watched()


class TestSummary:
    def test_it_says_what_counting_says(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        town.enqueue(3)
        host.cycles(3)
        fail_all(host)
        host.cycles(1)
        town.enqueue(5)
        town.enqueue(2, due_ms=town.now_ms() + 10**9)
        host.cycles(3)
        seen, counted = told(town), told(town, exact=True)
        for queue in (seen.queues[QUEUE], counted.queues[QUEUE]):
            queue.oldest_s = queue.in_per_s = queue.out_per_s = queue.mean_s = None
        assert seen.queues == counted.queues
        assert seen.queues[QUEUE].waiting == 3
        assert (seen.queues[QUEUE].scheduled, seen.queues[QUEUE].running + seen.queues[QUEUE].ready) == (2, 5)
        assert not seen.queues[QUEUE].at_least
        assert seen.hosts == counted.hosts
        assert (seen.coordinator, seen.epoch, seen.full) == (counted.coordinator, counted.epoch, counted.full)
        assert seen.as_of is not None
        assert counted.as_of is None

    def test_it_tells_how_far_running_messages_are_whose_tasks_say_so(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        town.enqueue(3)
        host.cycles(3)
        (ticket,) = host.claim()
        host.host.note(ticket, 1, Memo(3.0, 10.0, "resizing", b"\xc0"))
        host.host.note(ticket, 2, Memo(state=b"\xc0"))
        host.flush()
        host.cycles(3)
        (seen,) = told(town).hosts
        (one,) = seen.progress
        assert (one.done, one.total, one.text) == (3.0, 10.0, "resizing")
        config = Config(namespace="town")
        assert message(one.message, store, config=config).status() == "running"
        assert str(message(one.message, store, config=config).progress()) == "3 of 10, resizing"

    def test_it_tells_what_hosts_say_of_themselves(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        host.host.about = About("1.2.3", 3, {"oom": 1}, 5_000_000)
        host.flush()
        town.enqueue()
        host.cycles(3)
        (seen,), (counted,) = told(town).hosts, told(town, exact=True).hosts
        assert seen == counted
        assert (seen.release, seen.workers, seen.deaths, seen.rss_bytes) == ("1.2.3", 3, {"oom": 1}, 5_000_000)

    def test_memory_alone_is_no_news(self, store: Watched) -> None:
        _, host = led(store, EVERY)
        host.cycles(20)
        store.take()
        host.host.about = About(rss_bytes=7_000_000)
        host.flush()
        host.cycles(20)
        assert store.take("/summary/") == []

    def test_fences_are_counted_once_and_a_new_leader_goes_on_with_them(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        silent = town.host("silent")
        silent.flush()
        town.enqueue()
        host.cycles(3)
        assert told(town).fences == 0
        for _ in range(40):  # it says nothing for longer than it may
            host.flush()
            host.cycles(1)
        assert told(town).fences == 1
        host.host.slots = 0
        host.flush()
        other = town.host("h2")
        other.look()
        town.now += 100.0
        assert isinstance(other.stand(), Stored)
        town.enqueue()
        other.cycles(1)
        assert (told(town).fences, told(town).coordinator) == (1, "h2")

    def test_reading_it_is_one_get(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        town.enqueue()
        host.cycles(3)
        assert told(town).requests == {"put": 0, "get": 1, "list": 0, "delete": 0}

    def test_where_nobody_has_written_one_it_is_counted(self, store: Watched) -> None:
        town = Town(store, EVERY)
        town.enqueue(4)
        assert of_queue(town).ready == 4
        assert told(town).as_of is None

    def test_one_that_cannot_be_read_is_named_and_it_is_counted(self, store: Watched) -> None:
        town = Town(store, EVERY)
        town.enqueue(4)
        store.put(town.layout.summary, b"{", if_version=None)
        seen = told(town)
        assert (seen.queues[QUEUE].ready, seen.unreadable) == (4, [town.layout.summary])

    def test_while_nothing_changes_but_the_time_nothing_is_written(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        town.enqueue(2, due_ms=town.now_ms() + 10**9)
        host.cycles(10)
        store.take()
        host.cycles(120)
        assert store.take("/summary/") == []

    def test_while_much_changes_it_is_written_as_often_as_it_may_be(self, store: Watched) -> None:
        town, host = led(store, EVERY._replace(summary_s=10.0))
        host.cycles(1)
        store.take()
        for _ in range(60):
            town.enqueue()
            host.cycles(1)
            for ticket in host.claim():
                host.succeed(ticket)
            host.flush()
        assert [kind for kind, _ in store.take("/summary/")] == ["put"] * 6

    def test_without_it_nothing_is_asked(self, store: Watched) -> None:
        town, host = led(store, SETTINGS)
        town.enqueue()
        host.cycles(20)
        assert store.take("/summary/") == []

    def test_deaths_are_told_by_cause_and_a_new_leader_goes_on_with_them(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        for cause in ("rejected", "error", "error"):
            town.enqueue()
            host.cycles(1)
            fail_all(host, kind="dead", cause=cause)
            host.cycles(3)
        assert of_queue(town).died == {"rejected": 1, "error": 2}
        host.host.slots = 0
        host.flush()
        other = town.host("h2")
        other.look()
        town.now += 100.0
        assert isinstance(other.stand(), Stored)
        town.enqueue()
        other.cycles(3)
        fail_all(other, kind="dead", cause="error")
        other.cycles(4)
        seen = told(town)
        assert seen.queues[QUEUE].died == {"rejected": 1, "error": 3}
        assert (seen.coordinator, seen.queues[QUEUE].dead) == ("h2", 4)

    @pytest.mark.parametrize("is_read", [True, False], ids=["", "after a put that was not answered"])
    def test_leader_that_was_replaced_leaves_what_its_successor_wrote(self, store: Watched, is_read: bool) -> None:
        town, host = led(store, EVERY)
        town.enqueue()
        host.cycles(4)
        assert host.lead is not None
        old = host.lead.chores.summaries
        other = town.host("h2")
        other.look()
        town.now += 100.0
        other.stand()
        town.enqueue()
        other.cycles(4)
        theirs = summary(town)
        old.hurry()
        old._is_news, old._stored, old._is_read = True, None, is_read
        step = old.take(town.now, town.now_ms(), "late")
        assert step is not None
        town.driver.run(step)
        assert summary(town) == theirs
        old._is_news = True
        old.hurry()
        assert old.take(town.now, town.now_ms(), "later") is None

    @pytest.mark.parametrize("is_stored", [True, False])
    def test_put_that_is_not_answered_is_found_out(self, store: Watched, is_stored: bool) -> None:
        town, host = led(store, EVERY)
        town.enqueue()

        def lose() -> None:
            store.lose = None
            if not is_stored:
                raise OutcomeUnknown("put", town.layout.summary)

        store.lose = lose
        host.cycles(6)
        assert of_queue(town).running + of_queue(town).ready == 1

    def test_refused_puts_stop_nothing(self, store: Watched) -> None:
        town, host = led(store, EVERY)

        def refuse() -> None:
            raise StoreDenied("put", town.layout.summary, "403")

        store.lose = refuse
        town.enqueue(3)
        drain(town, host)
        assert store.get(town.layout.summary).__class__.__name__ == "Missing"
        store.lose = None
        host.cycles(120)
        assert of_queue(town).done == 3

    def test_rates_are_those_of_the_last_seconds_and_end_with_the_work(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        host.cycles(2)
        for _ in range(20):
            town.enqueue(6)
            host.cycles(1)
            for ticket in host.claim():
                host.succeed(ticket)
            host.flush()
        busy = of_queue(town)
        assert busy.out_per_s == pytest.approx(4, abs=2)
        assert busy.in_per_s == pytest.approx(6, abs=3)
        drain(town, host, rounds=200)
        host.cycles(10)
        quiet = of_queue(town)
        assert (quiet.in_per_s, quiet.out_per_s) == (0.0, 0.0)

    def test_queue_that_nobody_serves_and_one_that_is_paused_are_marked(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        town.enqueue()
        host.cycles(3)
        assert not of_queue(town).is_unserved
        host.host.offers = {}
        host.flush()
        town.driver.run(operate.change(town.layout, operate.pause(QUEUE), "n"))
        host.cycles(3)
        seen = of_queue(town)
        assert seen.is_unserved
        assert seen.paused

    def test_objects_that_cannot_be_read_are_named(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        town.enqueue()
        store.put(f"{town.layout.inbox}junk", b"?", if_version=None)
        host.cycles(3)
        assert told(town).unreadable == [f"{town.layout.inbox}junk"]

    def test_the_board_is_read_by_nobody_for_it(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        host.cycles(1)
        store.take()
        town.enqueue()
        host.cycles(1)
        assert all(kind != "get" for kind, _ in store.take("board"))
        assert isinstance(town.board(), Board)
