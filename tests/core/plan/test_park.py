"""Move what waits off the board."""

from __future__ import annotations

from msgspec.structs import replace

from s3queue.core.keys import parse_source
from s3queue.core.plan import Parking, Planned, Settings
from s3queue.core.records import Board, Failure, Report, SourceState, Totals, Waiting
from tests.core.world import NOW_MS, board, claimed, decide, error, ledger, one_ticket, parts, path, retry

HOUR_MS = 3_600_000
SETTINGS = Settings(max_parked=4)


def waiting(*dues: int, count: int | None = None, attempt: int = 2, **fields: object) -> SourceState:
    """Messages that wait, each for so many milliseconds; the others are settled."""
    fields.setdefault("settled", (len(dues) if count is None else count) - len(dues))
    return SourceState(waiting=tuple(Waiting(at, attempt, NOW_MS + due) for at, due in enumerate(dues)), **fields)  # type: ignore[arg-type]


def moves(planned: Planned) -> list[tuple[tuple[str, int], ...]]:
    return list(planned.board.moves.values())


def test_up_to_the_bound_nothing_moves() -> None:
    planned = decide(board(states={path(1, 4): waiting(1, 2, 3, 4)}), settings=SETTINGS)
    assert not planned.changed


def test_beyond_it_those_that_wait_for_longest_go_until_half_of_it_is_left() -> None:
    source = path(1, 6)
    planned = decide(board(states={source: waiting(9000, 1, 9010, 2, 9020, 9030)}), settings=SETTINGS)
    assert moves(planned) == [((source, 0), (source, 2), (source, 4), (source, 5))]
    assert [one.index for one in planned.board.sources[source].waiting] == [1, 3]


def test_the_new_source_says_all_that_has_to_be_known_of_its_messages() -> None:
    first, second = path(7, priority=2), path(9, priority=2)
    states = {one: waiting(HOUR_MS + at, attempt=3) for at, one in enumerate((second, first))}
    planned = decide(board(states=states), settings=Settings(max_parked=1))
    (target,) = planned.board.moves
    source = parse_source(target)
    assert (source.queue, source.priority, source.order, source.count) == ("q", 2, 7, 2)
    assert (source.attempt, source.moved, source.alone, source.group) == (3, True, False, None)
    assert source.due_ms == NOW_MS + HOUR_MS + 1
    assert planned.board.moves[target] == ((first, 0), (second, 0))


def test_none_runs_early_and_none_more_than_a_twentieth_of_its_wait_late() -> None:
    dues = [HOUR_MS - at * HOUR_MS // 100 for at in range(40)]
    planned = decide(board(states={path(1, 40): waiting(*dues)}), settings=Settings(max_parked=1))
    for target, members in planned.board.moves.items():
        due_ms = parse_source(target).due_ms
        assert due_ms is not None
        for _, index in members:
            assert 0 <= due_ms - (NOW_MS + dues[index]) <= HOUR_MS // 20
    assert len(planned.board.moves) == 4


def test_attempts_priorities_and_suspects_are_not_mixed() -> None:
    states = {
        path(1): waiting(9000),
        path(2): waiting(9000, attempt=3),
        path(3, priority=0): waiting(9000),
        path(4): waiting(9000, failures={0: (Failure(1, "killed"),)}),
    }
    planned = decide(board(states=states), settings=Settings(max_parked=1))
    assert len(planned.board.moves) == 4
    (alone,) = [target for target in planned.board.moves if parse_source(target).alone]
    assert planned.board.moves[alone] == ((path(4), 0),)


def test_groups_stay_and_what_was_spared_and_what_cannot_be_read() -> None:
    states = {path(order, group=f"g{order}"): waiting(9000) for order in range(9)}
    states[path(10)] = waiting(9000, spared={0: 1})
    states[path(11)] = waiting(9000)
    planned = decide(board(states=states), settings=Settings(max_parked=0), parking=Parking(unmovable={path(11)}))
    assert not planned.board.moves


def test_a_move_is_no_larger_than_what_fitted_the_last_time() -> None:
    planned = decide(
        board(states={path(1, 9): waiting(*[9000] * 9)}), settings=Settings(max_parked=0), parking=Parking(most=2)
    )
    assert [len(members) for members in moves(planned)] == [2, 2, 2, 2]


def test_where_there_is_no_room_for_histories_those_that_wait_for_a_ticket_go_too() -> None:
    before, source = one_ticket(100)
    report = Report(failed=dict.fromkeys(range(100), retry()))
    planned = decide(before, [claimed(report=report, slots=0)], settings=Settings(max_failure_bytes=0))
    (members,) = moves(planned)
    assert members == tuple((source, index) for index in range(len(members)))
    assert len(members) > 10
    assert planned.board.sources[source].ready == ()
    assert planned.board.tickets["1-0"].left == 100 - len(members)


def moved_off() -> tuple[Board, str, str]:
    """A board with a move of two messages of three; their source, and where they go."""
    source = path(1, 3)
    of = decide(
        board(
            states={source: waiting(1, 9000, 9000, failures={at: (error(),) for at in range(3)})},
            totals={"q": Totals(1, 1, 1)},
        ),
        settings=Settings(max_parked=2),
    ).board
    (target,) = of.moves
    return of, source, target


class TestTheEndOfAMove:
    def test_once_stored_the_messages_are_settled_where_they_were_and_nothing_is_counted(self) -> None:
        of, source, target = moved_off()
        planned = decide(of, parking=Parking(stored={target}), now_ms=NOW_MS)
        state = planned.board.sources[source]
        assert (state.settled, [one.index for one in state.waiting], list(state.failures)) == (2, [0], [0])
        assert planned.board.moves == {}
        assert planned.board.totals == {"q": replace(of.totals["q"], moved=2)}
        assert planned.settled == []

    def test_before_that_nobody_admits_the_new_source(self) -> None:
        of, _, target = moved_off()
        planned = decide(of, [ledger()], [target], now_ms=NOW_MS + HOUR_MS)
        assert target not in planned.board.sources
        assert target in planned.board.moves

    def test_after_that_it_goes_on_with_its_attempt(self) -> None:
        of, _, target = moved_off()
        of = decide(of, parking=Parking(stored={target})).board
        planned = decide(of, [ledger()], [target], now_ms=NOW_MS + HOUR_MS)
        given = [part for tickets in parts(planned)["h1"] for part in tickets if part.source == target]
        assert [(part.start, part.stop, part.attempt) for part in given] == [(0, 2, 2)]

    def test_suspects_are_ticketed_alone_from_there_too(self) -> None:
        source = path(1, 2)
        state = waiting(9000, 9000, failures={at: (Failure(1, "lost"),) for at in (0, 1)})
        of = decide(board(states={source: state}), settings=Settings(max_parked=1)).board
        (target,) = of.moves
        of = decide(of, parking=Parking(stored={target})).board
        planned = decide(of, [ledger()], [target], now_ms=NOW_MS + HOUR_MS)
        assert sorted(ticket.size for ticket in planned.board.tickets.values()) == [1, 1]

    def test_if_it_cannot_be_stored_they_wait_where_they_were_and_its_name_is_used_up(self) -> None:
        of, source, target = moved_off()
        planned = decide(of, parking=Parking(refused={target}))
        state = planned.board.sources[source]
        assert sorted((one.index, one.attempt) for one in state.waiting) == [(0, 2), (1, 2), (2, 2)]
        assert planned.board.sources[target] == SourceState(settled=2)
        late = decide(planned.board, [ledger()], [target], now_ms=NOW_MS + HOUR_MS)
        assert all(part.source == source for tickets in parts(late)["h1"] for part in tickets)

    def test_another_coordinators_late_copy_is_refused_by_the_window(self) -> None:
        target = next(iter(moved_off()[0].moves))
        planned = decide(board(), [ledger()], [target], now_ms=NOW_MS + HOUR_MS, window={parse_source(target).id})
        assert planned.refused == [target]

    def test_names_are_never_used_twice(self) -> None:
        of, _, target = moved_off()
        again = decide(decide(of, parking=Parking(refused={target})).board, settings=Settings(max_parked=2))
        assert again.board.moves
        assert target not in again.board.moves


def test_a_thousand_and_one_that_wait_do_not_stop_an_urgent_one() -> None:
    states = {path(order): waiting(600_000) for order in range(1001)}
    urgent = path(5000, priority=0)
    planned = decide(board(states=states), [ledger()], [urgent])
    assert [part.source for tickets in parts(planned)["h1"] for part in tickets] == [urgent]
    assert sum(map(len, moves(planned))) == 501
