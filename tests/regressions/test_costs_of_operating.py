"""What operating costs, counted by the driver that sends the requests, while the production steps run."""

from __future__ import annotations

from s3queue.core import operate
from s3queue.core.halts import give_back
from s3queue.core.keys import request_path
from s3queue.core.ops import get
from s3queue.core.produce import Accepted
from s3queue.core.records import Chosen, Control, Failed, Failure, LetterRequest, Request
from s3queue.store import Found, ObjectStore
from tests.regressions.town import QUEUE, drain, led


def test_a_pause_holds_after_one_cycle_and_costs_at_most_three_writes_and_four_reads(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.cycles(2)
    town.enqueue()
    before = town.meter.as_dict()
    changed = town.driver.run(operate.change(town.layout, operate.pause(QUEUE), "n"))
    assert isinstance(changed, Control)
    assert not operate.has_planned(town.board(), changed.turn)
    leader.cycle()
    assert operate.has_planned(town.board(), changed.turn)
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert town.board().tickets == {}
    assert (spent["put"], spent["get"], spent["list"]) == (2, 3, 1), (
        "the board's included, and without the operator's looks"
    )


def test_a_namespace_in_which_something_is_paused_costs_no_more_while_it_is_idle(store: ObjectStore) -> None:
    town, leader = led(store)
    town.driver.run(operate.change(town.layout, operate.pause(QUEUE), "n"))
    leader.cycles(1)
    before = town.meter.as_dict()
    leader.cycles(60)
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert (spent["list"], spent["get"]) == (60, 0)


def test_a_cancel_holds_after_one_cycle_and_costs_at_most_three_writes_and_four_reads(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.cycles(2)
    source = town.enqueue(due_ms=town.now_ms() + 3_600_000)
    before = town.meter.as_dict()
    path = request_path(town.now_ms(), "1")
    request = Request("n", "cancel", town.layout.message_id(source, 0))
    assert town.driver.run(operate.ask(town.layout, path, request)) == Accepted()
    leader.cycle()
    assert town.driver.run(operate.read_answer(town.layout, path)) == "cancelled"
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert (spent["put"], spent["get"]) == (3, 2), "request, board, answer; request, answer"
    leader.cycles(5)
    assert (town.sources(), town.board().answers, town.board().sources) == ([], {}, {})
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    # What comes after the answer is shared by up to 500 requests: one retired page, and the boards that forget them.
    assert spent["put"] <= 7


def test_a_redrive_holds_after_one_cycle_and_costs_at_most_three_writes_and_four_reads(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.cycles(2)
    source = town.enqueue()
    leader.cycle()
    (ticket,) = leader.claim()
    leader.fail(ticket, 0, Failed("dead", 0.0, Failure(1, "rejected", "never")))
    leader.flush()
    leader.cycles(4)
    message = town.layout.message_id(source, 0)
    assert town.dead() == [town.layout.dead(QUEUE, message)]
    assert town.board().totals[QUEUE].dead_now == 1
    before = town.meter.as_dict()
    path = request_path(town.now_ms(), "1", about_letters=True)
    assert isinstance(town.driver.run(get(town.layout.dead(QUEUE, message))), Found)
    request = LetterRequest("n", "redrive", QUEUE, (Chosen(message, 1),))
    assert town.driver.run(operate.ask(town.layout, path, request)) == Accepted()
    leader.cycle()
    leader.cycle()
    assert town.driver.run(operate.read_answer(town.layout, path)) == "redriven"
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert (spent["put"] <= 3, spent["get"] <= 4) == (True, True), spent
    assert town.board().totals[QUEUE].dead_now == 0


def test_a_cancel_of_five_hundred_messages_costs_what_one_costs_and_their_lookup(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.cycles(2)
    sources = [town.enqueue(due_ms=town.now_ms() + 3_600_000) for _ in range(500)]
    before = town.meter.as_dict()
    path = request_path(town.now_ms(), "1")
    messages = tuple(town.layout.message_id(source, 0) for source in sources)
    assert town.driver.run(operate.ask(town.layout, path, Request("n", "cancel", "", messages=messages))) == Accepted()
    leader.cycle()
    assert town.driver.run(operate.read_answer(town.layout, path)) == "c" * 500
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert (spent["put"], spent["list"]) == (3, 1)
    assert spent["get"] <= 2 + 500, "one for each batch that the survey does not show"


def test_a_purge_of_thousands_of_batches_costs_few_requests_for_each_thousand(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.cycles(2)
    many = 3000
    for _ in range(many):
        town.enqueue()
    waits = town.enqueue(due_ms=town.now_ms() + 3_600_000)
    before = town.meter.as_dict()
    path = request_path(town.now_ms(), "1")
    assert town.driver.run(operate.ask(town.layout, path, Request("n", "purge", "", queue=QUEUE))) == Accepted()
    seconds = 0
    while (answer := town.driver.run(operate.read_answer(town.layout, path))) is None and seconds < 60:
        leader.cycles(1)
        seconds += 1
    assert answer == f"purged {many + 1}"
    assert waits not in town.sources() or town.board().sources[waits].settled == 1
    leader.cycles(12)
    assert (town.sources(), town.board().sources, town.board().purges) == ([], {}, {})
    spent = {kind: count - before[kind] - (kind == "get") * seconds for kind, count in town.meter.as_dict().items()}
    assert spent["put"] <= 3 * many / 1000 + 12
    assert spent["delete"] <= many / 1000 + 4
    assert spent["get"] <= 8, "nothing is looked up one by one"


def test_operators_are_heard_on_a_real_server(server_store: ObjectStore) -> None:
    """Its folders are sorted by their own rules, and what operators store is seen with everything else."""
    town, leader = led(server_store)
    scheduled = town.enqueue(2, due_ms=town.now_ms() + 3_600_000)
    waits = town.enqueue(1)
    changed = town.driver.run(operate.change(town.layout, operate.pause(QUEUE), "n"))
    assert isinstance(changed, Control)
    answers = []
    for number, (kind, path, index) in enumerate(
        [("cancel", waits, 0), ("cancel", scheduled, 1), ("run_now", waits, 0)]
    ):
        request = request_path(town.now_ms(), f"{number}")
        town.driver.run(operate.ask(town.layout, request, Request("n", kind, town.layout.message_id(path, index))))
        leader.cycles(1)
        answers.append(town.driver.run(operate.read_answer(town.layout, request)))
    assert answers == ["cancelled", "cancelled", "over"]
    assert (town.board().control, town.board().tickets) == (changed.turn, {})
    leader.cycles(6)
    assert (town.sources(), town.board().answers) == ([scheduled], {})
    assert not list(server_store.list(town.layout.requests))


def test_message_of_a_paused_task_costs_one_assignment_and_no_attempt(store: ObjectStore) -> None:
    town, leader = led(store)
    town.driver.run(operate.change(town.layout, operate.pause_task(QUEUE, "work"), "n"))
    message = town.enqueue()
    leader.cycles(1)
    (ticket,) = leader.claim()
    assert leader.host.halted == town.board().halted == {QUEUE: ("work",)}
    leader.fail(ticket, 0, give_back("work"))
    leader.flush()
    leader.cycles(1)
    before = town.meter.as_dict()
    leader.cycles(60)
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert (spent["list"], spent["get"]) == (60, 0)
    assert (len(leader.claimed), town.board().tickets) == (1, {})
    town.driver.run(operate.change(town.layout, operate.resume_task(QUEUE, "work"), "m"))
    leader.cycles(1)
    assert [part.attempt for one in town.board().tickets.values() for part in one.parts] == [1]
    assert town.board().sources[message].unfit == ()
    drain(town, leader)
    assert (town.board().totals[QUEUE].done, town.board().totals[QUEUE].failed, town.board().halted) == (1, 0, {})


def test_pause_of_a_task_holds_after_one_cycle_and_costs_what_that_of_a_queue_costs(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.cycles(2)
    before = town.meter.as_dict()
    changed = town.driver.run(operate.change(town.layout, operate.pause_task(QUEUE, "work"), "n"))
    assert isinstance(changed, Control)
    assert not operate.has_halted(town.board(), changed.turn, QUEUE, "work")
    leader.cycle()
    assert operate.has_halted(town.board(), changed.turn, QUEUE, "work")
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert (spent["put"], spent["get"], spent["list"]) == (2, 3, 1)
