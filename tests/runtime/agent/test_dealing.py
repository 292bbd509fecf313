"""What the dealer gives to whom, driven by hand: a host, a journal in plain memory, and a list instead of a socket."""

from __future__ import annotations

import pytest

from s3queue.core.halts import give_back
from s3queue.core.held import Held
from s3queue.core.keys import Layout, source_path
from s3queue.core.ledger import Host
from s3queue.core.records import Board, Failed, Mark, Offer, Part, SourceState, Ticket
from s3queue.runtime.agent.dealing import ABSENT_S, PORTION_S, Dealer
from s3queue.runtime.local.journal import OK, Journal
from s3queue.runtime.local.wire import Deal, Halted, Note, Recall
from tests.runtime.agent.crews import assign, dealer, source


def test_a_message_whose_worker_died_does_not_queue_behind_what_came_after_it() -> None:
    dealing, host, notes = dealer(slots=1)
    assign(host, "1-0", 0, count=50)
    dealing.claimed(["1-0"])
    assign(host, "1-1", 1, attempt=2)
    dealing.claimed(["1-1"])
    dealing.deal(now=0.0)
    assert [note.ticket for note in notes if isinstance(note, Deal)] == ["1-1"]
    assert dealing.pooled == 50


def test_queue_of_batches_is_dealt_as_many_as_its_slots_take_at_once_and_as_many_behind_them() -> None:
    """However long they take: a batch must not go short because its messages are slow."""
    dealing, host, notes = dealer(slots=2)
    host.offers["q"] = Offer(batch=100)
    assign(host, "1-0", 0, count=1000)
    dealing.claimed(["1-0"])
    sizes = []
    for now in range(4):
        dealing.deal(float(now))
        sizes.append(dealing.unfinished)
    assert sizes == [200, 400, 400, 400]
    for _ in range(3):
        dealing.finished(0, next(iter(dealing.loads[0].rows)), busy_s=200.0)
    assert sum(part.stop - part.start for note in notes if isinstance(note, Deal) for part in note.parts) == 400


def test_new_tickets_are_dealt_in_the_order_in_which_they_were_claimed() -> None:
    dealing, host, notes = dealer(slots=3)
    for number in range(3):
        assign(host, f"1-{number}", number)
    dealing.claimed(["1-0", "1-1", "1-2"])
    dealing.deal(now=0.0)
    assert [note.ticket for note in notes if isinstance(note, Deal)] == ["1-0", "1-1", "1-2"]


def test_a_process_is_never_given_more_than_it_may_run() -> None:
    dealing, host, notes = dealer(slots=2, max_messages=3)
    assign(host, "1-0", 0, count=50)
    dealing.claimed(["1-0"])
    for now in range(2):
        dealing.deal(float(now))
        for number, row in dealing.loads[0].rows.items():
            for index in range(row.ok, row.size):
                dealing.loads[0].journal.start(0, number, index, 0.0)
                dealing.loads[0].journal.finish(0, OK)
            dealing.finished(0, number, busy_s=1e-6)
    assert sum(part.stop - part.start for note in notes if isinstance(note, Deal) for part in note.parts) == 3
    assert dealing.pooled == 47
    dealing.leaves(0)
    dealing.deal(2.0)
    assert dealing.pooled == 47
    dealing.comes(0, notes.append)
    dealing.deal(3.0)
    assert dealing.pooled == 44


def test_long_tasks_of_a_process_that_may_run_no_more_do_not_hold_what_waits_behind_them() -> None:
    dealing, host, _ = dealer(slots=4, max_messages=2)
    assign(host, "1-0", 0, count=8)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    for slot in range(2):
        dealing.loads[0].journal.start(slot, 0, slot, 0.0)
    assert dealing.pooled == 6
    assert dealing.recall(100.0)


def test_worker_that_counts_less_than_it_was_given_is_not_left_without_work() -> None:
    dealing, host, notes = dealer(slots=1, max_messages=1)
    assign(host, "1-0", 0)
    assign(host, "1-1", 1)
    dealing.claimed(["1-0", "1-1"])
    dealing.deal(0.0)
    dealing.failed(0, 0, 0, Failed("dead", 0.0))  # nobody could read it
    dealing.finished(0, 0, busy_s=0.0)
    dealing.deal(1.0)
    assert len([note for note in notes if isinstance(note, Deal)]) == 2


def test_what_a_worker_gives_back_is_not_counted_as_its_own() -> None:
    dealing, host, notes = dealer(slots=2, max_messages=2)
    assign(host, "1-0", 0, count=50)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    dealing.returned(0, [(0, 1)])
    dealing.deal(1.0)
    assert len([note for note in notes if isinstance(note, Deal)]) == 2


# ---- several queues --------------------------------------------------------------------------------------------------


class Backlogs:
    """Workers that end one message after the other, and queues with a ticket each that has no end."""

    def __init__(self, workers: int, **seconds: float) -> None:
        journal = Journal(bytearray(Journal.size(workers, 1)), workers, 1)
        self.seconds = seconds
        self.host = Host(Layout(), "session", workers, {queue: Offer() for queue in seconds})
        self.dealing = Dealer(self.host, [journal.worker(number) for number in range(workers)], 1)
        self.order: list[str] = []
        for number in range(workers):
            self.dealing.comes(number, lambda _: None)

    def claim(self, queue: str, count: int = 1000) -> None:
        name = f"1-{len(self.host.tickets)}"
        path = source_path(queue, sent_ms=1_700_000_000_000, batch=f"{len(self.host.tickets):016x}", count=count)
        self.host.tickets[name] = Held(Ticket(self.host.session, (Part(path, 0, count, 1),)))
        self.dealing.claimed([name])

    def end_one(self, worker: int) -> None:
        """The worker ends what it was given first, and starts the next."""
        load = self.dealing.loads[worker]
        number, row = next((number, row) for number, row in load.rows.items() if not row.finished)
        load.journal.mark(number, row.ok, OK)
        self.order.append(row.queue)
        load.look()
        if row.ok == row.size:
            self.dealing.finished(worker, number, busy_s=row.size * self.seconds[row.queue])
            self.host.stored_changes = self.host.changes
            self.dealing.stored()


@pytest.mark.parametrize(("long_s", "short_s"), [(1.0, 0.02), (1.0, 0.0001), (0.02, 0.0001)])
def test_queue_of_longer_tasks_has_its_turn_beside_a_backlog_of_short_ones(long_s: float, short_s: float) -> None:
    it = Backlogs(1, short=short_s, long=long_s)
    for queue in ("long", "short"):
        it.claim(queue, count=1)
        it.dealing.deal(0.0)
        it.end_one(0)
    for _ in range(10):
        it.claim("short")
    it.dealing.deal(0.0)
    it.claim("long", count=3)
    it.order.clear()
    while it.order.count("long") < 3:
        it.dealing.deal(0.0)
        it.end_one(0)
    portions = 3 * 3 * max(1, int(PORTION_S / short_s))
    assert it.order.count("short") <= portions


def test_queue_of_unknown_tasks_has_its_turn_beside_a_backlog_of_short_ones() -> None:
    it = Backlogs(2, short=0.02, new=1.0)
    it.claim("short", count=1)
    it.dealing.deal(0.0)
    it.end_one(0)
    it.claim("short")
    it.dealing.deal(0.0)
    it.claim("new", count=1)
    for _ in range(10):
        for worker in range(2):
            it.end_one(worker)
            it.dealing.deal(0.0)
    assert "new" in it.order


def test_backlog_of_short_tasks_goes_on_beside_one_of_long_tasks() -> None:
    it = Backlogs(1, short=0.02, long=1.0)
    it.claim("long")
    it.claim("short")
    for _ in range(20):
        it.dealing.deal(0.0)
        it.end_one(0)
    assert it.order.count("long") >= 5
    assert it.order.count("short") >= 5


def test_worker_at_a_task_without_end_is_not_the_one_that_is_left_to_a_queue() -> None:
    it = Backlogs(2, endless=9000.0, short=0.02, long=1.0)
    it.claim("short", count=1)
    it.dealing.deal(0.0)
    it.end_one(0)
    it.claim("endless", count=1)
    it.dealing.deal(0.0)
    busy = next(number for number in range(2) if it.dealing.loads[number].unfinished)
    row = next(iter(it.dealing.loads[busy].rows))
    it.dealing.loads[busy].journal.start(0, row, 0, 0.0)
    it.claim("short")
    it.dealing.deal(100.0)
    it.claim("long", count=1)
    for _ in range(10):
        it.end_one(1 - busy)
        it.dealing.deal(100.0)
    assert "long" in it.order


# ---- without a worker ------------------------------------------------------------------------------------------------


def test_host_without_a_worker_for_a_second_gives_back_what_it_holds_and_offers_nothing() -> None:
    dealing, host, _ = dealer(slots=2)
    assign(host, "1-0", 0, count=50)
    dealing.claimed(["1-0"])
    dealing.goes(0)
    dealing.deal(10.0)
    dealing.deal(10.0 + ABSENT_S / 2)
    assert dealing.pooled == 50
    dealing.deal(10.0 + ABSENT_S)
    assert (dealing.pooled, host.slots, host.tickets["1-0"].released) == (0, 0, (0, 50))
    dealing.comes(0, lambda note: None)
    dealing.deal(12.0)
    assert host.slots == 2


def test_host_that_holds_nothing_writes_nothing_for_want_of_a_worker() -> None:
    dealing, host, _ = dealer(slots=2)
    dealing.goes(0)
    before = host.changes
    for now in range(5):
        dealing.deal(float(now))
    dealing.comes(0, lambda note: None)
    dealing.deal(6.0)
    assert host.changes == before


# ---- cost ------------------------------------------------------------------------------------------------------------


def test_entering_a_failure_takes_no_longer_for_those_that_failed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes through the messages of a row, or through the rows of a worker, for each note."""
    dealing, host, _ = dealer(slots=1000)
    assign(host, "1-0", 0, count=1000)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)

    def counted(*_: object) -> bytes:
        raise AssertionError("the states of a row are read for one note")

    with monkeypatch.context() as patch:
        patch.setattr(type(dealing.loads[0].journal), "states", counted)
        for index in range(999):
            assert dealing.failed(0, 0, index, Failed("dead"))
            assert dealing.unfinished == 999 - index
    assert dealing.failed(0, 0, 999, Failed("dead"))
    assert dealing.loads[0].rows[0].ended_at is not None


def test_rows_do_not_cap_how_many_messages_of_groups_run_at_once() -> None:
    dealing, host, notes = dealer(slots=200)
    names = [f"1-{number}" for number in range(200)]
    for number, name in enumerate(names):
        assign(host, name, number)
    dealing.claimed(names)
    dealing.deal(0.0)
    assert len([note for note in notes if isinstance(note, Deal)]) == 200


# ---- what operators have cancelled ------------------------------------------------------------------------------------


def test_marked_messages_of_the_pool_are_given_back_and_not_dealt() -> None:
    dealing, host, notes = dealer(slots=1)
    assign(host, "1-0", 0, count=5)
    dealing.claimed(["1-0"])
    host.marked = {"1-0": (0, 2, 3, 4)}
    dealing.deal(now=0.0)
    assert host.tickets["1-0"].released == (0, 2, 3, 4)
    assert [[(one.start, one.stop) for one in note.parts] for note in notes if isinstance(note, Deal)] == [[(2, 3)]]
    assert dealing.pooled == 1


def test_marked_message_that_a_worker_has_not_begun_is_recalled_once_and_given_back() -> None:
    dealing, host, notes = dealer(slots=2)
    assign(host, "1-0", 0, count=2)
    dealing.claimed(["1-0"])
    dealing.deal(now=0.0)
    dealing.loads[0].journal.start(0, 0, 0, 0.0, 0.0)
    host.marked = {"1-0": (0, 2)}
    dealing.deal(now=0.1)
    dealing.deal(now=0.2)
    assert sum(isinstance(note, Recall) for note in notes) == 1
    assert dealing.returned(0, [(0, 1)])
    dealing.deal(now=0.3)
    assert host.tickets["1-0"].released == (1, 2), "the one that runs goes on"
    assert sum(isinstance(note, Recall) for note in notes) == 1


def test_host_reads_its_marks_from_the_board_and_forgets_them_with_it() -> None:
    _, host, _ = dealer(slots=2)
    ticket = Ticket(host.session, (Part(source(0, 9), 2, 4, 1), Part(source(1, 9), 5, 9, 1)))
    marks = {source(0, 9): {1: Mark(), 3: Mark()}, source(1, 9): {5: Mark(), 9: Mark()}}
    states = {source(0, 9): SourceState(), source(1, 9): SourceState()}
    host.see(Board("n", 1, 1, tickets={"1-0": ticket}, sources=states, marks=marks))
    assert host.marked == {"1-0": (1, 3)}
    host.see(Board("n", 1, 2, tickets={"1-0": ticket}, sources=states))
    assert host.marked == {}


# ---- paused tasks ----------------------------------------------------------------------------------------------------


def see(host: Host, *, halted: dict[str, tuple[str, ...]]) -> None:
    """Read a board that names these paused tasks, and assigns what the host has."""
    tickets = {name: held.ticket for name, held in host.tickets.items()}
    host.see(Board("b", 1, tickets=tickets, halted=halted))


def test_workers_hear_of_a_paused_task_before_anything_that_came_with_the_same_board() -> None:
    dealing, host, notes = dealer(slots=1)
    assign(host, "1-0", 0)
    see(host, halted={"q": ("send",)})
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    assert [type(note) for note in notes] == [Halted, Deal]
    assert notes[0] == Halted({"q": ("send",)})


def test_workers_hear_of_paused_tasks_once_and_of_their_end() -> None:
    dealing, host, notes = dealer(slots=1)
    dealing.deal(0.0)
    assert notes == []
    for halted in ({"q": ("send",)}, {"q": ("send",)}, {}):
        see(host, halted=halted)
        dealing.deal(0.0)
    assert notes == [Halted({"q": ("send",)}), Halted({})]


def test_worker_that_comes_later_hears_of_paused_tasks_first() -> None:
    dealing, host, _ = dealer(slots=1)
    see(host, halted={"q": ("send",)})
    dealing.interrupt(0.0)
    later: list[Note] = []
    dealing.comes(0, later.append)
    assert later == [Halted({"q": ("send",)})]


def test_what_was_not_started_for_a_pause_does_not_count_as_a_short_task() -> None:
    """It would have hosts be given thousands of messages, of a task that takes long."""
    dealing, host, notes = dealer(slots=1)
    assign(host, "1-0", 0, count=2)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    for note in [note for note in notes if isinstance(note, Deal)]:
        for index in range(note.parts[0].stop - note.parts[0].start):
            assert dealing.failed(0, note.row, index, give_back("send"))
        assert dealing.finished(0, note.row, busy_s=1e-6)
    assert dealing.mean_s("q", 1.0) == 0.0
