"""`write`: the one way to replace a register. Every row of what may come of a put."""

import pytest

from s3queue.core.ops import (
    Delete,
    Gather,
    Get,
    List,
    Overtaken,
    Put,
    Step,
    Unknown,
    delete,
    get_all,
    list_all,
    list_pages,
    write,
)
from s3queue.errors import StoreUnsupported
from s3queue.store import Conflict, Found, Listed, Missing, Stored
from tests.core.hands import Hand

OURS = b'{"nonce":"ours"}'
THEIRS = b'{"nonce":"theirs"}'
PUT = Put("k", OURS, "v1")


def begin() -> Hand[Stored | Overtaken | Unknown]:
    hand = Hand(write("k", OURS, nonce="ours", if_version="v1"))
    assert hand.op == PUT
    return hand


class TestWrite:
    def test_an_answered_put_is_one_request(self) -> None:
        hand = begin()
        hand.tell(Stored("v2"))
        assert hand.result == Stored("v2")

    def test_unanswered_and_it_landed(self) -> None:
        hand = begin()
        assert hand.tell(Unknown()) == Get("k")
        hand.tell(Found(OURS, "v2"))
        assert hand.result == Stored("v2")

    def test_unanswered_and_it_did_not_land_so_the_same_is_sent_again(self) -> None:
        hand = begin()
        hand.tell(Unknown())
        assert hand.tell(Found(THEIRS, "v1")) == PUT
        hand.tell(Stored("v2"))
        assert hand.result == Stored("v2")

    def test_unanswered_and_it_lands_after_the_second_look_so_the_resend_conflicts_with_it(self) -> None:
        hand = begin()
        hand.tell(Unknown())
        hand.tell(Found(THEIRS, "v1"))
        assert hand.tell(Conflict()) == Get("k")
        hand.tell(Found(OURS, "v2"))
        assert hand.result == Stored("v2")

    def test_unanswered_and_somebody_else_wrote_meanwhile(self) -> None:
        hand = begin()
        hand.tell(Unknown())
        assert hand.tell(Found(THEIRS, "v9")) == PUT  # it cannot take effect any more; the Conflict proves it
        hand.tell(Conflict())
        hand.tell(Found(THEIRS, "v9"))
        assert hand.result == Overtaken(Found(THEIRS, "v9"))

    def test_a_conflict_with_our_own_earlier_try_is_a_success(self) -> None:
        hand = begin()
        assert hand.tell(Conflict()) == Get("k")
        hand.tell(Found(OURS, "v2"))
        assert hand.result == Stored("v2")

    @pytest.mark.parametrize("there", [Found(THEIRS, "v9"), Found(b"\xff no record", "v9"), Missing()])
    def test_a_conflict_with_anything_else_is_the_end(self, there: Found | Missing) -> None:
        hand = begin()
        hand.tell(Conflict())
        hand.tell(there)
        assert hand.result == Overtaken(there)

    def test_never_answered_stays_unknown_and_every_try_is_the_same_put(self) -> None:
        hand = begin()
        for _ in range(3):
            assert hand.op == PUT
            hand.tell(Unknown())
            hand.tell(Missing())
        assert hand.result == Unknown()

    def test_the_store_becoming_unavailable_ends_it(self) -> None:
        begin().lose()
        hand = begin()
        hand.tell(Unknown())
        hand.lose()

    @pytest.mark.parametrize("body", [b"", OURS[:1], OURS[:-1]])
    @pytest.mark.parametrize("answer", [Unknown(), Conflict()])
    def test_a_put_that_was_kept_without_its_end_is_told_and_not_taken_for_somebody_elses(
        self, body: bytes, answer: object
    ) -> None:
        hand = begin()
        hand.tell(answer)
        with pytest.raises(StoreUnsupported, match=f"{len(body)} of {len(OURS)}"):
            hand.tell(Found(body, "v9"))

    @pytest.mark.parametrize("body", [b"[]", b"\xff", b'{"nonce":"\xff"}', b'{"nonce":1}', b"[" * 100_000])
    def test_an_object_that_cannot_be_read_does_not_carry_our_nonce(self, body: bytes) -> None:
        hand = begin()
        hand.tell(Conflict())
        hand.tell(Found(body, "v9"))
        assert hand.result == Overtaken(Found(body, "v9"))


class TestTheRest:
    @pytest.mark.parametrize("step", [lambda: get_all([]), lambda: delete([])])
    def test_nothing_to_ask_asks_nothing(self, step: object) -> None:
        asked: Step[object] = step()  # type: ignore[operator]
        assert not Hand(asked).asked

    def test_many_reads_are_one_gather(self) -> None:
        hand = Hand(get_all(["a", "b"]))
        assert hand.op == Gather((Get("a"), Get("b")))
        hand.tell([Missing(), Found(b"", "v")])
        assert hand.result == [Missing(), Found(b"", "v")]

    def test_many_pages_are_one_gather_and_one_page_is_one_list(self) -> None:
        pages = [List("p/", "a"), List("p/", "b")]
        hand = Hand(list_pages(pages))
        assert hand.op == Gather(tuple(pages))
        hand.tell([[], []])
        assert hand.result == [[], []]
        assert Hand(list_pages(pages[:1])).op == pages[0]

    def test_many_deletes_are_one_operation(self) -> None:
        hand = Hand(delete(["a", "b"]))
        assert hand.op == Delete(("a", "b"))
        hand.tell(None)
        assert hand.result is None

    def test_a_listing_is_read_to_its_end(self) -> None:
        first = [Listed(f"p/{number:04}", "v", 1) for number in range(1000)]
        hand = Hand(list_all("p/"))
        assert hand.op == List("p/", "", 1000)
        assert hand.tell(first) == List("p/", "p/0999", 1000)
        hand.tell([])
        assert hand.result == first
