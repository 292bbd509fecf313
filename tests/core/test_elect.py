import pytest
from msgspec.structs import replace

from s3queue.core.elect import View, look, may_stand, resign, stand
from s3queue.core.ops import Get, Overtaken, Put, Unknown
from s3queue.core.records import Board, Leader, Part, SourceState, Ticket, decode, encode
from s3queue.errors import CorruptRecord, StoreUnsupported
from s3queue.store import Conflict, Found, Missing, Stored, Unchanged
from tests.core.hands import Hand
from tests.core.world import LAYOUT, board, path

KEY = LAYOUT.board
ME = Leader("me")
LEASE = 15.0


def found(turn: int, **fields: object) -> Found:
    return Found(encode(board(turn=turn, **fields)), f"v{turn}")


def viewing(turn: int = 1, **fields: object) -> View:
    """A view that has seen this board once."""
    view = View()
    Hand(look(view, LAYOUT, 0.0)).tell(found(turn, **fields))
    return view


def written(hand: Hand[object]) -> Board:
    assert isinstance(hand.op, Put)
    return decode(Board, hand.op.key, hand.op.body)


def test_a_leader_with_a_longer_lease_than_ours_is_waited_for_as_long_as_it_asks() -> None:
    view = View(Board("n", 3, 9, Leader("h1"), leader_lease=60.0), "v", since=100.0)
    assert view.silent_at(15.0) == 160.0
    for lease_s in (15.0, 60.0):
        assert not may_stand(view, 160.0, lease_s, me="h2", leader_gone=False)
        assert may_stand(view, 160.1, lease_s, me="h2", leader_gone=False)
    assert not may_stand(view, 190.0, 90.0, me="h2", leader_gone=False)


def test_whoever_knows_of_more_work_does_not_wait_for_the_lease_of_an_idle_leader() -> None:
    view = View(Board("n", 3, 9, Leader("h1"), leader_lease=60.0), "v", since=100.0)
    assert not may_stand(view, 115.0, 15.0, me="h2", leader_gone=False, knows_more=True)
    assert may_stand(view, 115.1, 15.0, me="h2", leader_gone=False, knows_more=True)


def test_a_board_of_an_earlier_release_says_nothing_of_its_lease() -> None:
    view = View(Board("n", 3, 9, Leader("h1")), "v", since=100.0)
    assert may_stand(view, 115.1, 15.0, me="h2", leader_gone=False)


class TestLook:
    def test_the_first_look_reads_the_board(self) -> None:
        view = View()
        hand = Hand(look(view, LAYOUT, 5.0))
        assert hand.op == Get(KEY, None)
        hand.tell(found(7))
        assert hand.result is True
        assert (view.version, view.board and view.board.turn, view.since) == ("v7", 7, None)

    def test_a_look_at_the_same_board_costs_no_body_and_starts_the_wait(self) -> None:
        view = viewing(7)
        hand = Hand(look(view, LAYOUT, 5.0))
        assert hand.op == Get(KEY, "v7")
        hand.tell(Unchanged())
        assert hand.result is False
        assert view.since == 5.0

    def test_further_looks_at_the_same_board_do_not_restart_the_wait(self) -> None:
        view = viewing()
        for now in (5.0, 6.0):
            Hand(look(view, LAYOUT, now)).tell(Unchanged())
        assert view.since == 5.0

    def test_a_new_board_restarts_the_wait(self) -> None:
        view = viewing(7)
        Hand(look(view, LAYOUT, 5.0)).tell(Unchanged())
        Hand(look(view, LAYOUT, 6.0)).tell(found(8))
        assert view.since is None

    def test_with_a_clock_beside_it_the_wait_starts_with_the_first_answer(self) -> None:
        view = viewing(7)
        assert view.silent_at(LEASE) == float("inf")
        view.answered(4.0)
        Hand(look(view, LAYOUT, 5.0)).tell(Unchanged())
        view.answered(6.0)
        assert (view.since, view.silent_at(LEASE)) == (4.0, 4.0 + LEASE)

    def test_no_answer_is_no_sight_of_a_board(self) -> None:
        view = View()
        view.answered(4.0)
        assert view.since is None

    def test_a_stale_answer_never_takes_the_view_back(self) -> None:
        view = viewing(7)
        hand = Hand(look(view, LAYOUT, 5.0))
        hand.tell(found(6))
        assert hand.result is False
        assert view.version == "v7"

    def test_no_board_is_no_reason_to_doubt_what_was_seen(self) -> None:
        view = View()
        hand = Hand(look(view, LAYOUT, 5.0))
        hand.tell(Missing())
        assert hand.result is False
        assert (view.board, view.looked) == (None, True)

    @pytest.mark.parametrize(
        "body", [b"", b"{}", b'{"format":2,"nonce":"","epoch":1}', b'{"nonce":"\xff","epoch":1,"format":1}']
    )
    def test_a_board_that_cannot_be_read_is_not_led_and_not_replaced(self, body: bytes) -> None:
        view = View()
        with pytest.raises(CorruptRecord):
            Hand(look(view, LAYOUT, 5.0)).tell(Found(body, "v1"))
        assert not may_stand(view, 1e9, LEASE, me="me", leader_gone=False)

    def test_unavailable_leaves_the_view_as_it_was(self) -> None:
        view = viewing(7)
        Hand(look(view, LAYOUT, 5.0)).lose()
        assert (view.version, view.since) == ("v7", None)


class TestMayStand:
    def test_not_before_the_first_look(self) -> None:
        assert not may_stand(View(), 1e9, LEASE, me="me", leader_gone=False)

    def test_at_once_where_there_is_no_board(self) -> None:
        view = View()
        Hand(look(view, LAYOUT, 0.0)).tell(Missing())
        assert may_stand(view, 0.0, LEASE, me="me", leader_gone=False)

    def test_at_once_after_a_resignation(self) -> None:
        assert may_stand(viewing(leader=None), 0.0, LEASE, me="me", leader_gone=False)

    def test_at_once_where_the_processes_of_the_leader_are_gone(self) -> None:
        assert may_stand(viewing(), 0.0, LEASE, me="me", leader_gone=True)

    def test_at_once_where_an_unanswered_election_of_ours_took_effect(self) -> None:
        assert may_stand(viewing(leader=ME), 0.0, LEASE, me="me", leader_gone=False)

    def test_not_while_the_board_was_seen_only_once(self) -> None:
        assert not may_stand(viewing(), 1e9, LEASE, me="me", leader_gone=False)

    def test_only_after_the_lease_counted_from_the_second_look(self) -> None:
        view = viewing()
        Hand(look(view, LAYOUT, 100.0)).tell(Unchanged())
        assert not may_stand(view, 100.0 + LEASE, LEASE, me="me", leader_gone=False)
        assert may_stand(view, 100.1 + LEASE, LEASE, me="me", leader_gone=False)


class TestStand:
    def test_the_first_leader_creates_the_board(self) -> None:
        view = View(looked=True)
        hand = Hand(stand(view, LAYOUT, ME, "n"))
        assert isinstance(hand.op, Put)
        assert (hand.op.key, hand.op.if_version) == (KEY, None)
        assert written(hand) == Board("n", epoch=1, turn=1, leader=ME)
        hand.tell(Stored("v1"))
        assert hand.result == Stored("v1")
        assert (view.board and view.board.epoch, view.version) == (1, "v1")

    def test_a_successor_keeps_what_is_on_the_board_and_counts_on(self) -> None:
        source = path(1)
        before = board(
            {"3-9": Ticket("h1", (Part(source, 0, 1, 1),))}, {source: SourceState()}, epoch=3, turn=9, uptime_ms=77
        )
        view = View(before, "v9", looked=True)
        hand = Hand(stand(view, LAYOUT, ME, "n"))
        assert isinstance(hand.op, Put)
        assert hand.op.if_version == "v9"
        after = written(hand)
        assert (after.epoch, after.turn, after.leader, after.sequence, after.nonce) == (4, 10, ME, 0, "n")
        assert (after.tickets, after.sources, after.uptime_ms) == (before.tickets, before.sources, 77)

    def test_of_two_that_stand_at_once_the_second_is_overtaken(self) -> None:
        view = viewing(1)
        hand = Hand(stand(view, LAYOUT, ME, "n"))
        assert hand.tell(Conflict()) == Get(KEY)
        hand.tell(found(2))
        assert hand.result == Overtaken(found(2))
        assert view.version == "v1"  # and looks again

    def test_unanswered_and_elected(self) -> None:
        view = viewing(1)
        hand = Hand(stand(view, LAYOUT, ME, "n"))
        body = hand.op.body  # type: ignore[union-attr]
        assert hand.tell(Unknown()) == Get(KEY)
        hand.tell(Found(body, "v2"))
        assert hand.result == Stored("v2")
        assert view.version == "v2"

    def test_unanswered_without_a_trace_is_tried_once_and_changes_nothing(self) -> None:
        view = viewing(1)
        hand = Hand(stand(view, LAYOUT, ME, "n"))
        hand.tell(Unknown())
        hand.tell(found(1))
        assert hand.result == Unknown()
        assert view.version == "v1"

    def test_elected_by_a_write_that_landed_late_it_stands_again_with_the_next_epoch(self) -> None:
        view = viewing(1)
        hand = Hand(stand(view, LAYOUT, ME, "n"))
        late = Found(hand.op.body, "v2")  # type: ignore[union-attr]
        hand.tell(Unknown())
        hand.tell(found(1))
        Hand(look(view, LAYOUT, 1.0)).tell(late)
        assert may_stand(view, 1.0, LEASE, me="me", leader_gone=False)
        again = Hand(stand(view, LAYOUT, ME, "n2"))
        assert again.op.if_version == "v2"  # type: ignore[union-attr]
        assert written(again).epoch == 3

    def test_unavailable_in_the_middle_leaves_the_view_as_it_was(self) -> None:
        for answers in ([], [Unknown()], [Conflict()]):
            view = viewing(1)
            hand = Hand(stand(view, LAYOUT, ME, "n"))
            for answer in answers:
                hand.tell(answer)
            hand.lose()
            assert (view.version, view.board and view.board.turn) == ("v1", 1)


class TestResign:
    def test_the_board_stays_and_names_no_leader(self) -> None:
        view = viewing(4)
        hand = Hand(resign(view, LAYOUT, "n"))
        after = written(hand)
        assert hand.op.if_version == "v4"  # type: ignore[union-attr]
        assert (after.leader, after.epoch, after.turn, after.nonce) == (None, 1, 5, "n")
        hand.tell(Stored("v5"))
        assert view.version == "v5"

    def test_it_is_best_effort(self) -> None:
        for answers in ([Unknown(), found(4)], [Conflict(), found(5)]):
            view = viewing(4)
            hand = Hand(resign(view, LAYOUT, "n"))
            for answer in answers:
                hand.tell(answer)
            assert hand.result is None
            assert view.version == "v4"

    def test_nothing_to_resign_asks_nothing(self) -> None:
        assert not Hand(resign(View(looked=True), LAYOUT, "n")).asked
        assert not Hand(resign(viewing(leader=None), LAYOUT, "n")).asked


def test_two_boards_of_one_turn_are_proof_that_the_store_let_two_writers_win() -> None:
    view = viewing(7)
    hand = Hand(look(view, LAYOUT, 1.0))
    twin = board(turn=7)
    assert twin.nonce == view.board.nonce if view.board else False
    with pytest.raises(StoreUnsupported, match="lets two writers replace the same version"):
        hand.tell(Found(encode(replace(twin, nonce="another")), "v8"))


def test_the_same_board_read_twice_is_no_proof() -> None:
    view = viewing(7)
    hand = Hand(look(view, LAYOUT, 1.0))
    hand.tell(Found(encode(board(turn=7)), "v7 in other words"))
    assert hand.result is False
