"""A survey lists several stretches of keys at once, and sees what one listing would."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from s3queue_backends.memory import MemoryStore

from s3queue.core.hearing import Heard
from s3queue.core.keys import END
from s3queue.core.ops import Gather, List
from s3queue.core.survey import survey
from s3queue.store import Stored
from tests.core.hands import Hand
from tests.core.looking import HOME, look, stored
from tests.core.world import LAYOUT, NOW_MS, path


class TestSeveralAtOnce:
    def test_queues_of_which_only_the_head_was_seen_are_listed_at_the_same_time_from_then_on(self) -> None:
        store = stored(*(path(n, queue=queue) for queue in "abc" for n in range(50)))
        first = look(store, limit=8)
        assert first.deep == {queue: HOME + path(7, queue=queue) for queue in "abc"}
        hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={}, known=(), limit=8, deep=first.deep), store)
        ends = [LAYOUT.board, *map(LAYOUT.lanes, "abc")]
        assert hand.op == Gather(tuple(List(HOME, after, 8) for after in ends))
        again = hand.finish()
        assert hand.count(Gather) == len(hand.asked) == 1
        assert (again.sources, again.deep, again.covered) == (first.sources, first.deep, first.covered)

    def test_queue_that_got_shorter_is_not_listed_by_itself_any_more(self) -> None:
        seen = look(stored(path(1, queue="a"), path(1, queue="b")), deep=["a"], limit=8)
        assert seen.deep == {}
        assert seen.covered == [(LAYOUT.board, HOME + END)]

    def test_what_is_known_says_where_to_divide(self) -> None:
        known = {path(n, queue=queue) for queue in "ab" for n in range(1500)}
        store = stored(*known, path(1500, queue="a"), path(3, queue="c"))
        hand = Hand(survey(LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted={"a": 9}, known=known), store)
        assert isinstance(hand.op, Gather)
        seen = hand.finish()
        assert len(hand.asked) == 1
        assert seen.listed == known | {path(1500, queue="a"), path(3, queue="c")}
        assert seen.covered == [(LAYOUT.board, HOME + END)]
        assert [source.path for source in seen.sources] == sorted(seen.listed)

    def test_many_hosts_are_listed_at_the_same_time(self) -> None:
        store, heard = MemoryStore(), {}
        for number in range(2500):
            stored_one = store.put(LAYOUT.host(f"h{number:04}"), b"x", if_version=None)
            assert isinstance(stored_one, Stored)
            heard[f"h{number:04}"] = Heard(stored_one.version, None)
        hand = Hand(survey(LAYOUT, heard, now=1.0, now_ms=NOW_MS, wanted={}, known=()), store)
        hand.finish()
        assert len(hand.asked) == 1
        assert len(heard) == 2500
        assert all(one.since == 1.0 for one in heard.values())

    def test_pages_of_what_is_out_do_not_count_as_looked_for(self) -> None:
        known = {path(n) for n in range(20_000)}
        store = stored(*known, *(path(n) for n in range(20_000, 20_100)))
        seen = look(store, wanted={"q": 50}, known=known)
        assert {path(n) for n in range(20_000, 20_050)} <= {source.path for source in seen.sources}

    def test_nothing_runs_that_lies_behind_a_gap(self) -> None:
        # More came to the front than is looked at, among it the first of a group whose second is at the end.
        known = {path(n) for n in range(1200)}
        front = [path(n, priority=0) for n in range(20_000)]
        first, second = path(20_001, priority=0, group="g"), path(5000, group="g")
        store = stored(*known, *front, first, second)
        seen = look(store, wanted={"q": 50}, known=known)
        assert second in seen.listed
        offered = {source.path for source in seen.sources}
        assert offered
        assert offered <= set(front)
        assert not seen.covers(HOME + first)

    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def test_wherever_it_divides_it_sees_the_heads_of_the_queues(self, data: st.DataObject) -> None:
        some = st.sets(st.sampled_from([path(n, queue=queue) for queue in "abc" for n in range(12)]))
        there, board = data.draw(some), data.draw(some)
        wanted = {queue: data.draw(st.integers(0, 5)) for queue in "abc"}
        limit = data.draw(st.integers(1, 6))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("s3queue.core.survey._FULL_PAGE", data.draw(st.integers(1, 6)))
            deep = data.draw(st.sets(st.sampled_from("abc")))
            seen = look(stored(*there), wanted=wanted, known=board, limit=limit, deep=deep)
        assert seen.listed <= there
        assert not [one for one in there if seen.shows_gone(HOME + one, one)]
        for queue in "abc":
            offered = [source.path for source in seen.sources if source.queue == queue]
            waiting = sorted(one for one in there if one.startswith(f"in/{queue}/"))
            assert offered == waiting[: len(offered)]
            new = [one for one in waiting if one not in board]
            assert len(set(offered) & set(new)) >= min(wanted[queue], len(new))
