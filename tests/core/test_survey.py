from __future__ import annotations

import math

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core.hearing import Heard
from s3queue.core.keys import life_path, moved_path, parse_source
from s3queue.core.ops import Gather, Get, List
from s3queue.core.records import encode
from s3queue.core.survey import Survey, survey
from s3queue.core.sweeps import Sweep
from s3queue.store import Found, Listed, Missing
from tests.core.hands import Hand, run
from tests.core.looking import HOME, begin, listed, look, stored
from tests.core.world import LAYOUT, NOW_MS, ledger, path


class TestOneListing:
    def test_a_small_system_is_one_list(self) -> None:
        hand = begin()
        assert hand.op == List(HOME, LAYOUT.board, 1000)
        hand.tell(listed(path(1), path(2)))
        seen = hand.result
        assert [source.order for source in seen.sources] == [1, 2]
        assert seen.listed == {path(1), path(2)}
        assert not seen.corrupt

    def test_an_empty_object_is_a_put_that_was_cut_short_and_is_not_admitted(self) -> None:
        hand = begin()
        hand.tell([*listed(path(1)), Listed(HOME + path(2), "v", 0), *listed(path(3))])
        assert [source.order for source in hand.result.sources] == [1, 3]
        assert [corrupt.key for corrupt in hand.result.corrupt] == [HOME + path(2)]
        assert not hand.result.shows_gone(HOME + path(2), path(2))

    def test_what_it_shows_gone_is_what_it_covers_and_does_not_list(self) -> None:
        hand = begin()
        hand.tell(listed(path(1)))
        assert not hand.result.shows_gone(HOME + path(1), path(1))
        assert hand.result.shows_gone(HOME + path(2), path(2))
        assert hand.result.shows_gone(HOME + path(9, due_ms=NOW_MS), path(9, due_ms=NOW_MS))

    def test_what_is_due_may_run_and_what_is_not_says_when(self) -> None:
        due, soon, late = (path(1, due_ms=NOW_MS + delay) for delay in (0, 5, 9))
        hand = begin()
        hand.tell(listed(due, soon, late))
        assert [source.path for source in hand.result.sources] == [due]
        assert hand.result.next_due_ms == NOW_MS + 5
        assert hand.result.listed == {due, soon, late}

    def test_a_key_that_is_no_batch_is_reported_and_the_rest_goes_on(self) -> None:
        hand = begin()
        hand.tell(listed("in/q/5/nonsense", path(1), "zzz"))
        assert [corrupt.key for corrupt in hand.result.corrupt] == ["in/q/5/nonsense", "zzz"]
        assert [source.path for source in hand.result.sources] == [path(1)]


class TestSizes:
    def test_batch_too_large_to_be_read_is_reported_and_left_and_the_rest_goes_on(self) -> None:
        store = stored(path(1), path(3))
        store.put(HOME + path(2), b"x" * 1001, if_version=None)
        seen = look(store, largest=1000)
        assert [source.path for source in seen.sources] == [path(1), path(3)]
        assert [corrupt.key for corrupt in seen.corrupt] == [HOME + path(2)]
        assert "1001 bytes" in str(seen.corrupt[0])
        assert "max_message_bytes" in str(seen.corrupt[0])
        assert not seen.shows_gone(HOME + path(2), path(2))

    def test_batch_that_is_as_large_as_allowed_may_run(self) -> None:
        store = stored()
        store.put(HOME + path(2), b"x" * 1000, if_version=None)
        seen = look(store, largest=1000)
        assert [source.path for source in seen.sources] == [path(2)]
        assert not seen.corrupt

    def test_batch_that_is_on_the_board_stays_there_whatever_its_size(self) -> None:
        store = stored()
        store.put(HOME + path(2), b"x" * 1001, if_version=None)
        seen = look(store, largest=1000, known={path(2)})
        assert not seen.corrupt


class TestLedgers:
    def test_a_ledger_that_changed_is_read_and_one_that_did_not_is_silent(self) -> None:
        heard = {"h1": Heard("v", ledger("h1")), "h2": Heard("old", ledger("h2"))}
        hand = begin(heard, now=10.0)
        assert hand.tell(listed("hosts/h1", "hosts/h2")) == Gather((Get(LAYOUT.host("h2")),), math.inf)
        hand.tell([Found(encode(ledger("h2", slots=7)), "new")])
        assert (heard["h1"].since, heard["h2"].since) == (10.0, None)
        assert heard["h2"].version == "new"
        assert heard["h2"].ledger == ledger("h2", slots=7)

    def test_silence_counts_from_the_cycle_that_saw_it_second(self) -> None:
        heard: dict[str, Heard] = {}
        for now in (10.0, 20.0, 30.0):
            hand = begin(heard, now=now)
            hand.tell(listed("hosts/h1"))
            if hand.op is not None:
                hand.tell([Found(encode(ledger()), "v")])
        assert heard["h1"].since == 20.0

    def test_a_write_that_lands_between_the_list_and_the_get_is_what_is_heard(self) -> None:
        heard: dict[str, Heard] = {}
        hand = begin(heard)
        hand.tell(listed("hosts/h1", version="v1"))
        hand.tell([Found(encode(ledger(slots=9)), "v2")])
        assert heard["h1"].version == "v2"
        again = begin(heard)
        again.tell(listed("hosts/h1", version="v2"))
        assert again.op is None  # not read twice

    def test_a_ledger_that_is_gone_is_forgotten(self) -> None:
        heard = {"h1": Heard("v", ledger("h1")), "h2": Heard("v", ledger("h2"))}
        hand = begin(heard)
        hand.tell(listed("hosts/h1", version="w"))
        hand.tell([Missing()])  # deleted between the list and the get
        assert not heard

    @pytest.mark.parametrize(
        "body", [b"", b'{"nonce":"n","session":"h1","format":9}', b'{"nonce":"\xff","session":"h1","format":1}',
                 b'{"nonce":"n","session":"h1","format":1,"reports":{"1-0":{"ok":[3,1]}}}']
    )  # fmt: skip
    def test_a_ledger_that_cannot_be_read_is_heard_of_without_its_content(self, body: bytes) -> None:
        heard: dict[str, Heard] = {}
        hand = begin(heard)
        hand.tell(listed("hosts/h1"))
        hand.tell([Found(body, "v")])
        assert heard["h1"] == Heard("v", None)
        assert [corrupt.key for corrupt in hand.result.corrupt] == [LAYOUT.host("h1")]
        again = begin(heard, now=11.0)
        again.tell(listed("hosts/h1"))
        assert heard["h1"].since == 11.0  # its silence counts like anybody's

    def test_more_hosts_than_a_page_holds_are_all_heard(self) -> None:
        store = MemoryStore()
        for number in range(25):
            store.put(LAYOUT.host(f"h{number:02}"), encode(ledger(f"h{number:02}")), if_version=None)
        store.put(HOME + path(1), b"x", if_version=None)
        heard: dict[str, Heard] = {}
        seen = run(survey(LAYOUT, heard, now=1.0, now_ms=NOW_MS, wanted={}, known=(), limit=7), store)
        assert len(heard) == 25
        assert [source.path for source in seen.sources] == [path(1)]

    def test_unavailable_in_the_middle_leaves_what_was_heard(self) -> None:
        heard = {"h1": Heard("v", ledger("h1"))}
        begin(heard).lose()
        hand = begin(heard)
        hand.tell(listed("hosts/h1", "hosts/h2"))
        hand.lose()
        assert heard["h1"].version == "v"


class TestBacklogs:
    def test_a_backlog_is_skipped_over_once_there_are_as_many_as_are_wanted(self) -> None:
        store = stored(*(path(n) for n in range(50)), path(1, queue="z"), path(1, due_ms=NOW_MS))
        hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={"q": 5}, known=(), limit=8), store)
        hand.do()
        assert hand.op == List(HOME, LAYOUT.lanes("q"), 8)
        seen = hand.finish()
        assert [source.queue for source in seen.sources] == ["q"] * 8 + ["z", "q"]
        assert not seen.shows_gone(HOME + path(99), path(99))  # nobody looked there
        assert seen.shows_gone(HOME + path(9, queue="z"), path(9, queue="z"))

    def test_a_queue_that_nobody_serves_costs_one_page(self) -> None:
        store = stored(*(path(n, queue="a") for n in range(5000)), path(1))
        hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={"q": 5}, known=(), limit=8), store)
        assert path(1) in hand.finish().listed
        assert hand.count(List) == 2

    def test_what_is_on_the_board_already_does_not_count_as_found(self) -> None:
        store = stored(*(path(n) for n in range(50)))
        known = {path(n) for n in range(20)}
        seen = look(store, wanted={"q": 5}, known=known, limit=8)
        assert {path(n) for n in range(20, 25)} <= seen.listed

    def test_a_queue_whose_name_continues_that_of_another_is_not_skipped_with_it(self) -> None:
        names = ("q", "q-a", "q.a", "q0", "qa")
        store = stored(*(path(n, queue=name) for name in names for n in range(20)))
        seen = look(store, wanted=dict.fromkeys(names, 1), limit=3)
        assert {source.queue for source in seen.sources} == set(names)

    def test_a_thousand_batches_of_one_group_are_one_that_can_be_assigned(self) -> None:
        store = stored(*(path(n, group="g") for n in range(1500)), path(9999))
        assert path(9999) in look(store, wanted={"q": 2}, limit=8).listed

    def test_a_group_with_a_message_out_is_none_that_can_be_assigned(self) -> None:
        groups = [f"g{n}" for n in range(4)]
        first = [path(n, group=group) for n, group in enumerate(groups)]
        store = stored(*first, *(path(100 + n, group=group) for n, group in enumerate(groups)), path(9999))
        assert path(9999) in look(store, wanted={"q": 4}, known=set(first), limit=8).listed

    def test_the_cost_of_a_deep_backlog_of_one_group_is_bounded(self) -> None:
        store = stored(*(path(n, group="g") for n in range(9000)), path(1, queue="z"))
        hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={"q": 2}, known=(), limit=8), store)
        assert path(1, queue="z") in hand.finish().listed
        assert hand.count(List) == 9

    @pytest.mark.parametrize("limit", [1, 2, 3, 5])
    def test_small_pages_see_the_heads_of_all_queues(self, limit: int) -> None:
        store = stored(
            *(path(n, queue=queue) for queue in "abc" for n in range(7)),
            *(path(n, due_ms=NOW_MS - 9 + n) for n in range(20)),
            "in/junk", "hosts/h1",
        )  # fmt: skip
        seen = look(store, wanted=dict.fromkeys("abcq", 1), limit=limit)
        assert {path(0, queue=queue) for queue in "abc"} <= seen.listed
        assert {path(n, due_ms=NOW_MS - 9 + n) for n in range(10)} <= {source.path for source in seen.sources}
        assert seen.next_due_ms == NOW_MS + 1


class TestWhatIsDue:
    """Batches in ``later/`` lie by due time, so those of one queue cannot be skipped."""

    CROWD = 20_000

    def crowd(self) -> MemoryStore:
        """A queue that nobody serves, and behind it one that somebody does."""
        return stored(
            *(path(n, queue="a", due_ms=NOW_MS - 90_000 + n) for n in range(self.CROWD)),
            path(1, due_ms=NOW_MS), path(2, due_ms=NOW_MS + 7),
        )  # fmt: skip

    def test_a_crowd_of_due_batches_costs_a_bounded_number_of_pages_and_hides_nothing_for_ever(self) -> None:
        store, sweep = self.crowd(), Sweep()
        seen: list[Survey] = []
        for _ in range(4):
            hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={}, known=(), limit=64, sweep=sweep), store)
            seen.append(hand.finish())
            assert hand.count(List) <= 8
            if path(1, due_ms=NOW_MS) in seen[-1].listed:
                break
        assert seen[-1].next_due_ms == NOW_MS + 7
        assert sweep == Sweep()  # from the beginning again
        assert path(0, queue="a", due_ms=NOW_MS - 90_000) in seen[-1].listed  # the head is in every survey

    def test_what_was_not_looked_at_is_not_shown_gone(self) -> None:
        sweep = Sweep()
        seen = look(self.crowd(), sweep=sweep)
        key = HOME + path(self.CROWD - 1, queue="a", due_ms=NOW_MS - 90_000 + self.CROWD - 1)
        assert not seen.covers(key)
        assert sweep.after < key

    def test_a_group_keeps_its_order_though_its_later_batch_comes_into_sight_alone(self) -> None:
        earlier = [path(n, group="g", due_ms=NOW_MS - 90_000 + 2_000 + n) for n in range(2)]
        later = path(9, group="g", due_ms=NOW_MS - 1)
        free = path(8, group="h", due_ms=NOW_MS - 2)
        store = self.crowd()
        for one in (*earlier, later, free):
            store.put(HOME + one, b"x", if_version=None)
        sweep = Sweep()
        offered = [
            {source.path for source in look(store, sweep=sweep).sources} & {*earlier, later, free} for _ in range(3)
        ]
        assert offered == [set(earlier), set(), {free}]

    def test_unavailable_in_the_middle_does_not_take_the_sweep_on(self) -> None:
        sweep = Sweep()
        hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={}, known=(), sweep=sweep), self.crowd())
        for _ in range(3):
            hand.do()
        hand.lose()
        assert sweep == Sweep()

    def test_the_listing_ends_with_what_is_not_due(self) -> None:
        store = stored(*(path(n, due_ms=NOW_MS + 5 + n) for n in range(5000)))
        hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={}, known=(), limit=8), store)
        assert hand.finish().next_due_ms == NOW_MS + 5
        assert hand.count(List) == 1


def test_step_of_the_wall_clock_starts_no_message_that_was_moved_off_the_board() -> None:
    day_ms = 86_400_000
    moved = moved_path(parse_source(path(1)), due_ms=NOW_MS + 9, batch="a1", count=1, attempt=2, alone=False)
    scheduled = path(2, due_ms=NOW_MS + 9)
    early = begin(now_ms=NOW_MS + day_ms, moved_ms=NOW_MS)
    early.store = stored(moved, scheduled)
    assert [source.path for source in early.finish().sources] == [scheduled]
    due = begin(now_ms=NOW_MS + day_ms, moved_ms=NOW_MS + 9)
    due.store = stored(moved, scheduled)
    assert {source.path for source in due.finish().sources} == {moved, scheduled}


def test_object_below_the_partition_that_is_named_like_a_further_life_is_no_batch() -> None:
    message = LAYOUT.message_id("in/q/5/0000000000017-0a-1", 0)
    seen = look(stored(life_path(message, 2)))
    assert (seen.sources, len(seen.corrupt)) == ([], 1)


class TestLanes:
    """Batches with keys, each key in a lane of its own."""

    def test_a_long_lane_hides_no_other(self) -> None:
        lanes = [path(n, key="a") for n in range(50)] + [path(n, key=key) for n, key in enumerate("bcd", 50)]
        seen = look(stored(*lanes), wanted={"q": 3}, limit=8)
        assert {source.key for source in seen.sources} == set("abcd")
        assert seen.lanes == {}

    def test_batches_without_a_key_hide_no_lane(self) -> None:
        seen = look(stored(*(path(n) for n in range(50)), path(60, key="b")), wanted={"q": 3}, limit=8)
        assert path(60, key="b") in {source.path for source in seen.sources}
        assert "q" in seen.deep

    def test_lanes_that_were_left_out_come_with_the_next_survey(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("s3queue.core.survey._FULL_PAGE", 4)
        monkeypatch.setattr("s3queue.core.survey._MAX_PAGES", 2)
        store = stored(*(path(n, key=f"k{n:02}") for n in range(20)))
        found: list[str] = []
        begin: dict[str, str] = {}
        for _ in range(5):
            seen = look(store, wanted={"q": 99}, limit=4, lanes=begin)
            found += [source.key for source in seen.sources]
            begin = seen.lanes
            if not begin:
                break
        assert found == [f"k{n:02}" for n in range(20)]

    def test_every_priority_of_an_ageing_queue_is_looked_at(self) -> None:
        store = stored(*(path(n, priority=0) for n in range(50)), path(60, priority=9))
        assert path(60, priority=9) not in {one.path for one in look(store, wanted={"q": 3}, limit=8).sources}
        seen = look(store, wanted={"q": 3}, limit=8, ageing={"q"})
        assert path(60, priority=9) in {one.path for one in seen.sources}


def test_requests_that_a_board_names_hide_no_others() -> None:
    names = [f"do/{number:013}-{number:016x}" for number in range(1205)]
    store = stored(*names, path(1))
    seen = look(store, handled=set(names[:1200]), limit=50)
    assert set(names[1200:]) <= seen.requests.keys()
    assert seen.listed == {path(1)}
    crowded = look(store, handled=set(names[:5]), limit=50)
    assert 100 <= len(crowded.requests) < len(names), "of those that are new one cycle looks at some"
    assert crowded.listed == {path(1)}


class TestStrangers:
    """What nobody can read, in front of what everybody can."""

    def test_requests_that_stay_have_those_behind_them_looked_at_by_the_next_survey(self) -> None:
        store = stored(*(f"do/{n:013}-1" for n in range(2500)), path(1))
        sweep, found = Sweep(), set[str]()
        for _ in range(3):
            seen = look(store, limit=64, sweep=sweep)
            assert len(seen.requests) <= 1064
            assert [source.path for source in seen.sources] == [path(1)]
            assert not (found and seen.covers(LAYOUT.requests + "0"))
            found |= seen.requests.keys()
        assert len(found) == 2500
        assert look(store, limit=64, sweep=sweep).covers(LAYOUT.requests + "0")

    def test_batches_of_a_newer_release_are_passed_like_a_crowd(self) -> None:
        store = stored(*(f"in/q/5/{n:013}-1-1;hue=1" for n in range(12_000)), path(99_999), path(1, queue="r"))
        sweep, pages, found = Sweep(), 0, set[str]()
        deep: dict[str, str] = {}
        for _ in range(8):
            hand = begin(wanted={"q": 5, "r": 5}, sweep=sweep, deep=deep, limit=100)
            hand.store = store
            seen = hand.finish()
            deep, pages = seen.deep, hand.count(List)
            assert pages < 14
            assert (seen.strange > 100, len(seen.corrupt)) == (True, 100)
            assert {source.queue for source in seen.sources} >= {"r"}
            found |= {source.path for source in seen.sources}
        assert path(99_999) in found

    def test_scheduled_batches_of_a_newer_release_that_are_not_due_are_not_listed_to_their_end(self) -> None:
        store = stored(*(f"later/{NOW_MS + n:013}-q/5/soon" for n in range(1, 5000)), path(1, due_ms=NOW_MS))
        hand = begin(limit=100)
        hand.store = store
        assert [source.path for source in hand.finish().sources] == [path(1, due_ms=NOW_MS)]
        assert hand.count(List) == 1

    def test_objects_that_are_no_batches_in_the_folder_of_a_queue_do_not_keep_a_survey(self) -> None:
        store = stored(*(f"in/q/photo{n:06}.jpg" for n in range(30_000)), path(1), path(2, key="a"), path(3, queue="r"))
        hand = begin(limit=100, wanted={"q": 5, "r": 5})
        hand.store = store
        seen = hand.finish()
        assert {source.path for source in seen.sources} == {path(1), path(2, key="a"), path(3, queue="r")}
        assert hand.count(List) < 14
