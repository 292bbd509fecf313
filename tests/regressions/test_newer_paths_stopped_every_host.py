"""A path of a kind that an older release did not know, on the board, ended each turn of every host of that release, and
each cycle of its coordinators. What only a newer release knows is left alone; everything else goes on."""

from __future__ import annotations

from msgspec.structs import replace

from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.records import (
    Board,
    Leader,
    Ledger,
    Mark,
    Memo,
    Part,
    Ready,
    Report,
    Request,
    SourceState,
    Ticket,
    decode,
    encode,
)
from s3queue.store import Found
from tests.core.agent.desk import Desk
from tests.core.office import Office
from tests.core.world import LAYOUT, board, body, claimed, ledger, path

ODD = "wish/q/5/1-1"
OWN = path(1, 4)
MINE = Ticket("h1", (Part(ODD, 0, 1, 1), Part(OWN, 0, 2, 1)))
NEWER = board(
    {"1-0": MINE, "1-1": Ticket("h8", (Part(ODD, 1, 2, 1),))},
    {ODD: SourceState(ready=(Ready(2, 3, 1),)), OWN: SourceState(ready=(Ready(2, 4, 1),))},
    moves={"later/odd": ((ODD, 3),)},
    marks={ODD: {0: Mark()}},
    memos={ODD: {0: Memo(1.0)}},
    leader=None,
)


def parts(of: Board) -> tuple[object, ...]:
    """What only a newer release knows of it."""
    return of.sources[ODD], of.tickets["1-0"], of.tickets["1-1"], of.moves["later/odd"], of.marks[ODD], of.memos[ODD]


class TestCoordinator:
    def test_it_plans_everything_else_and_keeps_what_it_does_not_know_as_it_is(self) -> None:
        office = Office(replace(NEWER, leader=Leader("h9")))
        office.host(ledger("h2", slots=9))
        office.source(OWN, path(2))
        office.cycle()
        assert parts(office.stored_board()) == parts(NEWER)
        mine = {name: one for name, one in office.stored_board().tickets.items() if one.session == "h2"}
        assert {part.source for one in mine.values() for part in one.parts} == {OWN, path(2)}
        done = {name: Report(ok=(0, one.size)) for name, one in mine.items()}
        office.host(ledger("h2", claims=tuple(mine), reports=done))
        for _ in range(4):
            office.cycle()
        after = office.stored_board()
        assert parts(after) == parts(NEWER)
        assert (after.sources[OWN].settled, after.tickets.keys()) == (2, {"1-0", "1-1"})
        assert office.has(LAYOUT.source(OWN))

    def test_outcomes_of_such_a_ticket_stay_in_their_ledger_for_whoever_knows_it(self) -> None:
        office = Office(replace(NEWER, leader=Leader("h9")))
        office.host(claimed("1-1", Report(ok=(0, 1)), session="h8", left=True))
        office.host(ledger("h7", left=True))
        for _ in range(4):
            office.cycle(after_s=10.0)  # with heartbeats
        assert not office.has(LAYOUT.host("h7"))
        assert office.has(LAYOUT.host("h8"))
        assert parts(office.stored_board()) == parts(NEWER)

    def test_request_about_a_message_that_may_be_in_such_a_ticket_waits_for_a_newer_release(self) -> None:
        office = Office(replace(NEWER, leader=Leader("h9")))
        office.source(path(3))
        asked = {
            "do/1800000000000-1": Request("n", "cancel", LAYOUT.message_id(OWN, 0)),
            "do/1800000000001-1": Request("n", "cancel", LAYOUT.message_id(path(3), 0)),
        }
        for request, content in asked.items():
            office.write(LAYOUT.source(request), encode(content))
        office.cycle()
        assert office.stored_board().answers == {"do/1800000000001-1": "cancelled"}


class TestHost:
    def test_it_claims_what_it_knows_and_leaves_the_others_alone(self) -> None:
        desk = Desk()
        known = Ticket("h1", (Part(path(2), 0, 1, 1),))
        stands = replace(
            NEWER,
            leader=Leader("h9"),
            tickets=NEWER.tickets | {"1-2": known},
            sources=NEWER.sources | {path(2): SourceState()},
        )
        desk.start(desk.agent.join())
        assert desk.go(1001.0) == [True]
        desk.store.put(LAYOUT.board, encode(stands), if_version=None)
        desk.start(desk.agent.serve())
        desk.go(1010.0)
        found = desk.store.get(LAYOUT.host("h1"))
        assert isinstance(found, Found)
        assert decode(Ledger, "", found.body).claims == ("1-2",)
        assert desk.host.unknown == {"1-0"}
        assert [told for told in desk.told if told[0] == "warn"] != []
        assert {key for kind, key in desk.told if kind == "warn"} == {"unknown tickets"}

    def test_it_is_elected_over_such_a_board_and_assigns_to_itself(self) -> None:
        desk = Desk()
        desk.store.put(LAYOUT.board, encode(NEWER), if_version=None)
        desk.store.put(LAYOUT.source(path(2)), body(), if_version=None)
        desk.start(desk.agent.join())
        desk.go(1001.0)
        chores = [desk.agent.do_chores(number) for number in range(CHORES_AT_ONCE)]
        desk.start(desk.agent.serve(), desk.agent.coordinate(), *chores)
        desk.go(1010.0)
        found = desk.store.get(LAYOUT.board)
        assert isinstance(found, Found)
        after = decode(Board, "", found.body)
        assert after.leader == Leader("h1")
        assert parts(after) == parts(NEWER)
        assert {part.source for one in desk.host.tickets.values() for part in one.ticket.parts} >= {path(2)}
        assert [told for told in desk.told if told[0] == "fault"] == []
        assert ("warn", "foreign") in desk.told
