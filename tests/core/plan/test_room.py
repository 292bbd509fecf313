"""What the board has room for: however much fails at once, no plan makes a board that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core import ranges
from s3queue.core.plan import Parking, Planned, Settings, plan
from s3queue.core.records import (
    FATAL_CAUSES,
    Board,
    Failed,
    Failure,
    Ledger,
    Offer,
    Part,
    Ready,
    Report,
    SourceState,
    Ticket,
    encode,
)
from tests.core.world import NOW_MS, board, by_session, claimed, decide, error, ledger, one_ticket, path, ready, retry

#: As long as workers make it.
TEXT = "x" * 2000


def rejected(text: str = TEXT) -> Failed:
    return Failed("dead", 0.0, Failure(1, "rejected", text, NOW_MS))


def flood(hosts: int, batches: int, outcome: Failed) -> tuple[Board, dict[str, Ledger]]:
    """Each host holds so many batches of 1,000 messages, and says the same of all of them."""
    tickets: dict[str, Ticket] = {}
    states: dict[str, SourceState] = {}
    ledgers = []
    for host in range(hosts):
        names = []
        for number in range(batches):
            source = path(host * batches + number, 1000)
            names.append(f"1-{host * batches + number}")
            tickets[names[-1]] = Ticket(f"h{host}", (Part(source, 0, 1000, 1),))
            states[source] = SourceState()
        report = Report(failed=dict.fromkeys(range(1000), outcome))
        ledgers.append(ledger(f"h{host}", claims=tuple(names), reports=dict.fromkeys(names, report)))
    return board(tickets, states, sequence=1000), by_session(*ledgers)


def cycles(of: Board, ledgers: dict[str, Ledger], *, letters: int, settings: Settings) -> Iterator[Planned]:
    """Plans, each with the chores of the one before it done: so many letters are written, and all moves."""
    while True:
        dying = [(source, index) for source, state in of.sources.items() for index in state.dying][:letters]
        planned = plan(
            of,
            ledgers,
            (),
            now_ms=NOW_MS,
            settings=settings,
            letters_written=dying,
            parking=Parking(stored=set(of.moves)),
        )
        yield planned
        if not planned.changed:
            return
        of = planned.board


def test_twenty_thousand_rejects_with_long_texts_never_make_a_large_board() -> None:
    of, ledgers = flood(hosts=2, batches=10, outcome=rejected())
    full: set[str] = set()
    for turn, planned in enumerate(cycles(of, ledgers, letters=400, settings=Settings())):
        assert len(encode(planned.board)) < 3_000_000
        assert sum(len(state.dying) for state in planned.board.sources.values()) <= Settings().max_dying
        full.update(planned.board.full)
        assert turn < 100, "it does not end"
    assert planned.board.totals["q"].dead == 20_000
    assert all(state.settled == 1000 for state in planned.board.sources.values())
    assert full == {"dead letters"}
    assert planned.board.full == ()


def test_forty_thousand_failures_of_four_hosts_that_wait_leave_the_board_small() -> None:
    of, ledgers = flood(hosts=4, batches=10, outcome=Failed("retry", 30.0, error(1, TEXT)))
    moved: dict[str, int] = {}
    for turn, planned in enumerate(cycles(of, ledgers, letters=0, settings=Settings())):
        assert len(encode(planned.board)) < 3_000_000
        moved |= {target: len(members) for target, members in planned.board.moves.items()}
        assert turn < 300, "it does not end"
    waiting = sum(len(state.waiting) for state in planned.board.sources.values())
    assert waiting <= Settings().max_parked
    assert sum(moved.values()) + waiting == 40_000
    assert planned.board.totals["q"].failed == 40_000
    assert not planned.board.tickets
    assert planned.board.full == ()


def test_what_the_board_has_no_room_for_stays_in_its_ticket() -> None:
    before, source = one_ticket(100)
    report = Report(failed=dict.fromkeys(range(100), rejected()))
    planned = decide(before, [claimed(report=report)], settings=Settings(max_dying=30))
    assert planned.board.sources[source].dying == tuple(range(30))
    assert planned.board.tickets["1-0"].taken == (0, 30)
    assert planned.board.full == ("dead letters",)
    again = decide(planned.board, [claimed(report=report)], settings=Settings(max_dying=30))
    assert not again.changed


def test_a_fenced_ledger_keeps_its_ticket_until_all_of_it_is_taken_over() -> None:
    before, source = one_ticket(100)
    dead = claimed(report=Report(ok=(0, 10), failed=dict.fromkeys(range(10, 60), rejected())), fenced=True)
    planned = decide(before, [dead], settings=Settings(max_dying=20))
    state = planned.board.sources[source]
    assert (state.settled, state.dying) == (10, tuple(range(10, 30)))
    assert state.ready == (Ready(60, 100, 2),)
    assert planned.board.tickets["1-0"].left_ranges == (30, 60)
    letters_written = {(source, index) for index in state.dying}
    after = decide(planned.board, [dead], settings=Settings(max_dying=100), letters_written=letters_written)
    assert not after.board.tickets


def test_hosts_that_hold_nothing_but_failures_get_on_however_full_the_board_is() -> None:
    before, source = one_ticket(1000)
    report = Report(failed=dict.fromkeys(range(1000), rejected()))
    settings = Settings(max_failure_bytes=0)
    for _ in range(3):
        before = decide(before, [claimed(report=report)], settings=settings).board
    assert 3 <= len(before.sources[source].dying) <= 100


def test_a_message_that_is_on_the_board_with_its_history_goes_on_with_less_of_it() -> None:
    history = (Failure(1, "killed", "a" * 300, 1), Failure(2, "error", "b" * 300, 2))
    source = path(1)
    of = board(
        {"1-0": Ticket("h1", (Part(source, 0, 1, 3),))}, {source: SourceState(failures={0: history})}
    )  # fmt: skip
    outcome = Failed("retry", 0.0, Failure(3, "error", "c" * 5000, 3))
    for _ in range(20):  # what a plan takes over in any case is used up
        other = path(len(of.sources) + 1)
        of.sources[other] = SourceState()
        of.tickets[f"1-{len(of.tickets)}"] = Ticket("h2", (Part(other, 0, 1, 1),))
    reports = {name: Report(failed={0: retry()}) for name, ticket in of.tickets.items() if ticket.session == "h2"}
    full = ledger("h2", slots=0, claims=tuple(reports), reports=reports)
    tickets = dict(sorted(of.tickets.items(), key=lambda pair: pair[0] == "1-0"))  # it comes last
    host = claimed(report=Report(failed={0: outcome}), slots=0, offers={"q": Offer(max_attempts=9)})
    planned = decide(board(tickets, of.sources), [host, full], settings=Settings(max_failure_bytes=0))
    assert planned.board.tickets.keys() <= full.reports.keys()
    failures = planned.board.sources[source].failures[0]
    assert failures[-1].attempt == 3
    assert failures[-1].text
    assert any(one.cause in FATAL_CAUSES for one in failures)
    assert len(encode_all(failures)) <= len(encode_all(history))


def encode_all(failures: tuple[Failure, ...]) -> str:
    return "".join(f"{one.attempt}{one.cause}{one.text}{one.at_ms}" for one in failures)


class TestTheSizeOfTheBoard:
    SETTINGS = Settings(max_board_bytes=8000)

    def test_new_batches_wait_while_the_board_has_half_of_its_size(self) -> None:
        listed = [path(order) for order in range(500)]
        planned = decide(board(), [ledger(slots=500)], listed, settings=self.SETTINGS)
        assert 10 < planned.assigned < 100
        assert planned.board.full == ("board",)
        assert len(encode(planned.board)) < 4100
        while planned.assigned:
            planned = decide(planned.board, [ledger(slots=500)], listed, settings=self.SETTINGS)
        assert len(encode(planned.board)) < 4100
        assert len(planned.board.sources) < 100

    def test_they_go_on_when_there_is_room(self) -> None:
        listed = [path(order) for order in range(500)]
        first = decide(board(), [ledger(slots=500)], listed, settings=self.SETTINGS).board
        reports = {name: Report(ok=(0, ticket.size)) for name, ticket in first.tickets.items()}
        done = ledger(slots=500, claims=tuple(reports), reports=reports)
        second = decide(first, [done], settings=self.SETTINGS)
        third = decide(second.board, [ledger(slots=500)], listed, settings=self.SETTINGS, retired=tuple(first.sources))
        assert not second.board.tickets
        assert third.assigned > 10

    def test_what_is_on_it_is_assigned_all_the_same(self) -> None:
        states = {path(order): SourceState(ready=ready((0, 1, 2))) for order in range(60)}
        planned = decide(board(states=states), [ledger(slots=60)], [path(900)], settings=self.SETTINGS)
        assert 5 < planned.assigned <= 60
        assert path(900) not in planned.board.sources
        assert len(encode(planned.board)) < 8000

    def test_a_group_waits_in_order(self) -> None:
        first, second = path(1, group="g"), path(2, group="g")
        states = {second: SourceState(ready=ready((0, 1, 1)))} | {
            path(order): SourceState(ready=ready((0, 1, 2))) for order in range(100, 150)
        }
        planned = decide(board(states=states), [ledger(slots=99)], [first], settings=self.SETTINGS)
        assert all(part.source != second for ticket in planned.board.tickets.values() for part in ticket.parts)


def test_ranges_of_what_was_taken_are_those_of_the_ticket() -> None:
    before, source = one_ticket(2)
    report = Report(ok=(1, 9), released=(4, 8), failed={7: rejected()})
    planned = decide(before, [claimed(report=report, slots=0)])
    assert planned.board.tickets["1-0"].taken == (1, 2)
    assert planned.board.sources[source].settled == 1
    assert ranges.size(planned.board.tickets["1-0"].taken) == 1
