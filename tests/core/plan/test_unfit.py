"""Messages that a host does not know, or not so, wait for one that does."""

import pytest
from msgspec.structs import replace

from s3queue.core.keys import moved_path, parse_source
from s3queue.core.plan import Planned, Settings, Settled
from s3queue.core.records import Failed, Failure, Ledger, Offer, Part, Report, SourceState, Ticket, Totals, Unfit
from tests.core.world import NOW_MS, board, claimed, decide, ledger, one_ticket, parts, path, ready

NO_TASK = Failed("unfit", 0.0, Failure(1, "unknown_task", "no task 'send'", NOW_MS), "send@")
NO_FIT = Failed("unfit", 0.0, Failure(1, "signature", "send() takes no 'cc'", NOW_MS), "send@aa")


def knowing(session: str, **tasks: str) -> Ledger:
    return ledger(session, offers={"q": Offer(tasks=tasks)})


def state_of(planned: Planned, source: str) -> SourceState:
    return planned.board.sources[source]


def given_back(outcome: Failed = NO_TASK, **fields: object) -> tuple[Planned, str]:
    before, source = one_ticket(attempt=2)
    return decide(before, [claimed(report=Report(failed={0: outcome}), slots=0, **fields)]), source


class TestGivenBack:
    def test_it_is_ready_with_the_same_attempt_and_is_no_failure(self) -> None:
        planned, source = given_back()
        assert state_of(planned, source) == SourceState(ready=ready((0, 1, 2)), unfit=(Unfit(0, 1, "send@", NOW_MS),))
        assert planned.board.totals == {}
        assert planned.unfit == [("q", "send@", 1)]

    def test_why_its_arguments_do_not_fit_is_kept_once(self) -> None:
        planned, source = given_back(NO_FIT)
        assert state_of(planned, source).failures == {0: (NO_FIT.failure,)}
        before = replace(planned.board, tickets={})
        again = decide(before, [knowing("h2", send="bb")])
        report = Report(failed={0: replace(NO_FIT, token="send@bb")})
        (name,) = again.board.tickets
        back = decide(again.board, [claimed(name, report, "h2", slots=0)])
        assert state_of(back, source).failures == {0: (NO_FIT.failure,)}
        assert state_of(back, source).unfit == (Unfit(0, 1, "send@aa,bb", NOW_MS),)

    def test_it_does_not_go_to_a_host_that_has_not_said_that_it_knows_the_task_otherwise(self) -> None:
        planned, _ = given_back(NO_FIT)
        for host in (ledger("h2"), knowing("h2"), knowing("h2", send="aa"), knowing("h2", other="bb")):
            after = decide(planned.board, [host])
            assert not after.changed
            assert after.unfit == [("q", "send@aa", 1)]

    def test_it_goes_to_a_host_that_knows_the_task_otherwise(self) -> None:
        planned, source = given_back(NO_FIT)
        after = decide(planned.board, [knowing("h2", send="aa"), knowing("h3", send="bb")])
        assert parts(after) == {"h3": [(Part(source, 0, 1, 2),)]}

    def test_it_does_not_go_back_and_forth_between_hosts_that_it_does_not_fit(self) -> None:
        planned, _ = given_back(NO_FIT)
        after = decide(planned.board, [knowing("h2", send="bb")])
        (name,) = after.board.tickets
        report = Report(failed={0: replace(NO_FIT, token="send@bb")})
        hosts = [claimed(name, report, "h2", offers={"q": Offer(tasks={"send": "bb"})}), knowing("h1", send="aa")]
        back = decide(after.board, hosts)
        assert back.board.tickets == {}
        assert back.unfit == [("q", "send@aa,bb", 1)]

    def test_done_it_leaves_no_mark(self) -> None:
        planned, source = given_back(NO_FIT)
        after = decide(planned.board, [knowing("h2", send="bb")])
        (name,) = after.board.tickets
        done = decide(after.board, [claimed(name, Report(ok=(0, 1)), "h2", slots=0)])
        assert state_of(done, source) == SourceState(settled=1)


class TestOthers:
    def test_others_of_the_queue_and_of_its_batch_go_on(self) -> None:
        source = path(1, 4)
        state = SourceState(ready=ready((0, 4, 1)), unfit=(Unfit(1, 3, "send@", NOW_MS),))
        planned = decide(board(states={source: state}), [ledger(slots=9)], [path(2)])
        assert parts(planned) == {"h1": [(Part(source, 0, 1, 1), Part(source, 3, 4, 1), Part(path(2), 0, 1, 1))]}
        assert state_of(planned, source).ready == ready((1, 3, 1))

    def test_its_group_waits_for_it(self) -> None:
        first, second = path(1, group="g"), path(2, group="g")
        state = SourceState(ready=ready((0, 1, 1)), unfit=(Unfit(0, 1, "send@", NOW_MS),))
        before = board(states={first: state})
        assert not decide(before, [knowing("h1")], [second]).board.tickets
        assert parts(decide(before, [knowing("h1", send="bb")], [second])) == {"h1": [(Part(first, 0, 1, 1),)]}

    def test_a_board_on_which_it_waits_is_not_written_again_and_again(self) -> None:
        state = SourceState(ready=ready((0, 1, 1)), unfit=(Unfit(0, 1, "send@", NOW_MS),))
        assert not decide(board(states={path(1): state}), [ledger()]).changed

    def test_so_many_wait_on_the_board_and_more_are_tried_again_later(self) -> None:
        source = path(2, 3)
        waiting = SourceState(ready=ready((0, 3, 1)), unfit=(Unfit(0, 3, "send@", NOW_MS),))
        before, other = one_ticket()
        before = replace(before, sources=before.sources | {source: waiting})
        planned = decide(
            before, [claimed(report=Report(failed={0: NO_TASK}), slots=0)], settings=Settings(max_parked=3)
        )
        assert state_of(planned, other).ready == ()
        (parked,) = state_of(planned, other).waiting
        assert (parked.attempt, parked.due_ms) == (1, NOW_MS + 300_000)

    def test_those_in_tickets_keep_no_others_from_waiting_for_their_host(self) -> None:
        """They went to the same wrong host again and again, for as long as a ticket with such messages did not end."""
        before, other = one_ticket()
        found = path(2, 3)
        state = SourceState(unfit=(Unfit(0, 3, "send@", NOW_MS),))
        tickets = before.tickets | {"1-1": Ticket("shut out", (Part(found, 0, 3, 1),))}
        before = replace(before, tickets=tickets, sources=before.sources | {found: state})
        planned = decide(
            before,
            [claimed(report=Report(failed={0: NO_TASK})), knowing("h2", send="aa")],
            settings=Settings(max_parked=3),
        )
        assert parts(planned)["h2"] == [(Part(other, 0, 1, 1),)]


class TestInTheEnd:
    @pytest.mark.parametrize(
        ("outcome", "cause", "text"),
        [
            (NO_TASK, "unknown_task", "no host knew the task 'send'"),
            (NO_FIT, "signature", "no host had a task 'send' that takes these arguments: send() takes no 'cc'"),
        ],
    )
    def test_after_a_day_it_is_dead_and_says_why(self, outcome: Failed, cause: str, text: str) -> None:
        planned, source = given_back(outcome)
        before = planned.board
        assert not decide(before, now_ms=NOW_MS + 86_399_999).changed
        after = decide(before, now_ms=NOW_MS + 86_400_000)
        assert state_of(after, source).dying == (0,)
        assert state_of(after, source).ready == ()
        last = state_of(after, source).failures[0][-1]
        assert (last.attempt, last.cause, last.text) == (2, cause, text)
        assert after.board.totals == {"q": Totals(dead=1)}
        assert after.settled == [Settled("", source, 0, 1, 2, "dead")]
        settled = decide(after.board, letters_written={(source, 0)})
        assert state_of(settled, source) == SourceState(settled=1)

    def test_suspects_beside_one_that_is_dead_still_run_alone(self) -> None:
        source = moved_path(parse_source(path(1)), due_ms=1, batch="a1", count=3, attempt=2, alone=True)
        state = SourceState(ready=ready((0, 3, 2)), unfit=(Unfit(0, 1, "send@", 0),))
        planned = decide(board(states={source: state}), [ledger(slots=9)])
        assert state_of(planned, source).dying == (0,)
        assert parts(planned) == {"h1": [(Part(source, 1, 2, 2),), (Part(source, 2, 3, 2),)]}

    def test_one_that_is_out_is_not_dead(self) -> None:
        before, source = one_ticket()
        before = replace(before, sources={source: SourceState(unfit=(Unfit(0, 1, "send@", 0),))})
        assert not decide(before, [claimed(slots=0)]).changed
