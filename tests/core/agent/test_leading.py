"""The coordinator's loop: what stops it, what does not, and how often it asks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from s3queue.core import cycle
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.ops import Get, List, Put
from s3queue.core.records import Board, Control, Failed, Failure, Leader, Report, decode, encode
from s3queue.errors import StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.store import Found, Stored
from tests.core.agent.desk import Desk
from tests.core.hands import perform
from tests.core.world import LAYOUT, body, claimed, ledger, path


def led(**options: bool) -> Desk:
    """An agent that has joined, and leads."""
    desk = Desk(**options)
    desk.start(desk.agent.join())
    assert desk.go(1001.0) == [True]
    chores = [desk.agent.do_chores(number) for number in range(CHORES_AT_ONCE)]
    desk.start(desk.agent.serve(), desk.agent.coordinate(), *chores)
    desk.go(1002.0)
    assert desk.agent.lead is not None
    return desk


def stored_board(desk: Desk) -> Board:
    found = desk.store.get(LAYOUT.board)
    assert isinstance(found, Found)
    return decode(Board, LAYOUT.board, found.body)


def test_fault_in_a_plan_is_told_backed_off_and_the_leader_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = led()
    original, broken = cycle.plan, True

    def plan(*args: object, **more: object) -> object:
        if broken:
            raise MemoryError
        return original(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(cycle, "plan", plan)
    before = len(desk.asked)
    desk.go(1062.0)
    assert desk.told.count(("fault", "cycle")) >= 10
    lists = sum(isinstance(op, List) for op in desk.asked[before:])
    assert lists < 40, "60 seconds, with pauses that grow"
    broken = False
    desk.store.put(LAYOUT.source(path(1)), body(), if_version=None)
    desk.go(1072.0)
    assert stored_board(desk).tickets


def test_store_that_refuses_everything_is_asked_less_and_less() -> None:
    desk = led()
    desk.refuse = lambda op: StoreDenied("any", getattr(op, "key", ""))
    before = len(desk.asked)
    desk.go(1002.0 + 300.0)
    assert len(desk.asked) - before < 200, "an idle host asked eight times a second"


def test_ledger_that_cannot_be_read_or_is_not_answered_holds_up_no_cycle() -> None:
    desk = led()
    bad = LAYOUT.host("bad")
    desk.store.put(bad, encode(ledger("bad")), if_version=None)

    original = desk.store.get

    def get(key: str, *, unless: str | None = None) -> object:
        if key == bad:
            raise StoreDenied("get", key)
        return original(key, unless=unless)

    desk.store.get = get  # type: ignore[method-assign,assignment]
    desk.store.put(LAYOUT.source(path(1)), body(), if_version=None)
    desk.go(1010.0)
    assert stored_board(desk).tickets, "the healthy message is assigned"
    assert ("warn", bad) in desk.told


def test_request_of_a_chore_that_takes_longer_than_a_lease_holds_up_no_cycle() -> None:
    desk = led()
    source, letter = path(1), LAYOUT.dead("q")
    desk.store.put(LAYOUT.source(source), body(), if_version=None)
    desk.go(1005.0)
    (name,) = stored_board(desk).tickets
    desk.host.fail(name, 0, Failed("dead", 0.0, Failure(1, "rejected")))
    desk.takes_s = lambda op: 40.0 if isinstance(op, Put) and op.key.startswith(letter) else 0.001
    boards = desk.count(Put, LAYOUT.board)
    desk.go(1035.0)
    assert desk.count(Put, LAYOUT.board) >= boards + 5, "a heartbeat every third of a lease"
    assert desk.agent.lead is not None
    assert not list(desk.store.list(letter)), "it is still on its way"


def test_delay_of_a_retry_counts_from_after_the_survey_and_is_never_over_early() -> None:
    desk = led()
    source = path(1)
    desk.store.put(LAYOUT.source(source), body(), if_version=None)
    desk.store.put(LAYOUT.host("far"), encode(ledger("far")), if_version=None)
    desk.go(1005.0)
    board = stored_board(desk)
    ((name, ticket),) = board.tickets.items()
    # Its host reports the failure while a survey of three seconds is under way.
    desk.takes_s = lambda op: 3.0 if isinstance(op, List) else 0.001
    if ticket.session == "h1":
        desk.host.fail(name, 0, Failed("retry", 10.0, Failure(1, "error")))
    else:
        there = desk.store.get(LAYOUT.host("far"))
        assert isinstance(there, Found)
        report = Report(failed={0: Failed("retry", 10.0, Failure(1, "error"))})
        desk.store.put(LAYOUT.host("far"), encode(claimed(name, report, session="far")), if_version=there.version)
    failed_at = desk.now_ms()
    desk.go(1012.0)
    (waiting,) = stored_board(desk).sources[source].waiting
    assert waiting.due_ms >= failed_at + 10_000


def test_step_of_the_wall_clock_starts_no_retry() -> None:
    desk = led()
    source = path(1)
    desk.store.put(LAYOUT.source(source), body(), if_version=None)
    desk.go(1005.0)
    (name,) = stored_board(desk).tickets
    desk.host.fail(name, 0, Failed("retry", 3600.0, Failure(1, "error")))
    desk.go(1010.0)
    assert stored_board(desk).sources[source].waiting
    honest = desk.now_ms
    desk.now_ms = lambda: honest() + 86_400_000  # type: ignore[method-assign]
    desk.go(1100.0)
    assert stored_board(desk).sources[source].waiting


def test_store_that_is_seen_to_break_a_promise_ends_the_loop() -> None:
    desk = led()
    desk.refuse = lambda op: StoreUnsupported("atomic replace") if isinstance(op, List) else None
    with pytest.raises(StoreUnsupported):
        desk.go(1040.0)


def test_store_that_is_seen_to_break_a_promise_by_a_heartbeat_ends_the_loop() -> None:
    desk = led()
    proofs = [StoreUnsupported("atomic replace")]
    desk.refuse = lambda op: proofs.pop() if proofs and isinstance(op, Put) and op.key == LAYOUT.board else None
    with pytest.raises(StoreUnsupported):
        desk.go(1040.0)


def test_outage_is_waited_for_and_leads_to_no_fence() -> None:
    desk = led()
    desk.store.put(LAYOUT.host("far"), encode(ledger("far")), if_version=None)
    desk.go(1010.0)
    desk.refuse = lambda op: StoreUnavailable("any")
    desk.go(1100.0)
    desk.refuse = lambda op: None
    desk.go(1105.0)
    found = desk.store.get(LAYOUT.host("far"))
    assert isinstance(found, Found)
    assert b"fenced" not in found.body


def test_reads_are_counted_once_each() -> None:
    desk = led()
    desk.go(1010.0)
    assert desk.count(Get) < 40


def test_leader_that_was_replaced_before_it_heard_of_its_election_does_not_lead_the_term_of_another() -> None:
    desk = Desk()
    desk.start(desk.agent.join())
    assert desk.go(1001.0) == [True]
    view, leading = desk.agent.view, desk.agent._hosting.leading
    view.looked = True
    standing = leading._stand(desk.time)
    op = next(standing)
    while not isinstance(op, Put):
        op = standing.send(perform(desk.store, op))
    ours = perform(desk.store, op)
    assert isinstance(ours, Stored)
    # The answer is slow. Another candidate waits for a lease, is elected, and our host's loop reads its board.
    theirs = replace(stored_board(desk), nonce="theirs", epoch=2, turn=2, leader=Leader("other"))
    stored = desk.store.put(LAYOUT.board, encode(theirs), if_version=ours.version)
    assert isinstance(stored, Stored)
    assert view.learn(theirs, stored.version)
    with pytest.raises(StopIteration):
        standing.send(ours)
    assert desk.agent.lead is None


@pytest.mark.parametrize("is_answered", [True, False])
def test_host_that_leaves_during_its_election_resigns(is_answered: bool) -> None:
    """The next host would wait for a lease that nobody keeps, for instance after `s3queue run --until-empty`."""
    desk = Desk()
    desk.start(desk.agent.join())
    assert desk.go(1001.0) == [True]
    desk.start(desk.agent.serve())
    desk.go(1002.0)
    leading = desk.agent._hosting.leading
    election = leading._stand(desk.time)
    asked = next(election)
    while not (isinstance(asked, Put) and asked.key == LAYOUT.board):
        asked = election.send(perform(desk.store, asked))
    answer = perform(desk.store, asked)
    if is_answered:
        election.send(answer)
    election.close()
    leader = stored_board(desk).leader
    assert leader is not None
    assert leader.session == "h1"
    assert desk.agent.lead is None
    desk.start(desk.agent.hand_over())
    desk.go(1010.0)
    assert stored_board(desk).leader is None


def test_only_hosts_that_have_not_claimed_their_tickets_are_knocked_at() -> None:
    desk = led()
    for session in ("h2", "h3"):
        desk.store.put(LAYOUT.host(session), encode(ledger(session, knock=f"{session}:7")), if_version=None)
    for order in range(1, 10):
        desk.store.put(LAYOUT.source(path(order)), body(), if_version=None)
    desk.go(1003.0)
    tickets = stored_board(desk).tickets
    assert {"h2", "h3"} <= {ticket.session for ticket in tickets.values()}
    assert ("knock", "h2:7 h3:7") in desk.told
    mine = tuple(name for name, ticket in tickets.items() if ticket.session == "h2")
    desk.told.clear()
    there = desk.store.get(LAYOUT.host("h2"))
    assert isinstance(there, Found)
    now = encode(ledger("h2", knock="h2:7", claims=mine))
    desk.store.put(LAYOUT.host("h2"), now, if_version=there.version)
    desk.store.put(LAYOUT.source(path(10)), body(), if_version=None)
    desk.go(1010.0)
    assert [text for kind, text in desk.told if kind == "knock"][-1] == "h3:7"


def test_leader_that_is_knocked_at_looks_at_once() -> None:
    desk = led(billed=True)
    desk.go(1100.0)
    desk.store.put(LAYOUT.source(path(1)), body(), if_version=None)
    before = desk.count(Put, LAYOUT.board)
    desk.agent.look()
    desk.go(1100.1)
    assert desk.count(Put, LAYOUT.board) == before + 1


def test_coordinator_tells_what_it_has_committed() -> None:
    desk = led()
    desk.store.put(LAYOUT.source(path(1)), body(), if_version=None)
    desk.go(1010.0)
    (ticket,) = stored_board(desk).tickets
    control = Control("c", turn=1, paused={"q": 0, "r": 0})
    desk.store.put(LAYOUT.control, encode(control), if_version=None)
    desk.go(1030.0)
    now = desk.store.get(LAYOUT.control)
    assert isinstance(now, Found)
    desk.store.put(LAYOUT.control, encode(Control("d", turn=2, paused={"q": 0})), if_version=now.version)
    desk.go(1050.0)
    told = [(kind, text) for kind, text in desk.told if kind not in ("warn", "claimed")]
    assert ("elected", str({"session": "h1", "epoch": 1})) in told
    assert ("tickets_assigned", str({"messages": 1, "tickets": 1})) in told
    assert [text for kind, text in told if kind == "paused"] == [
        str({"queue": queue, "until_ms": 0}) for queue in ("q", "r")
    ]
    assert [text for kind, text in told if kind == "resumed"] == [str({"queue": "r"})]
    assert ("claimed", str({"session": "h1", "tickets": [ticket]})) in desk.told
