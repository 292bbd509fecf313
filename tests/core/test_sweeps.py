"""Surveys get behind crowds, each with a bounded number of pages, and the order within a group holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from s3queue_backends.memory import MemoryStore

from s3queue.core.keys import parse_source
from s3queue.core.ops import Gather, List
from s3queue.core.survey import survey
from s3queue.core.sweeps import Scan, Seen, Sweep, look_behind, place_of
from tests.core.hands import Hand
from tests.core.world import LAYOUT, NOW_MS, path


class Looking:
    """A coordinator that only looks. What it is offered of a group is on the board from then on; the rest is not taken."""

    def __init__(self, *paths: str, wanted: int = 32, limit: int = 1000) -> None:
        self.store = MemoryStore()
        self.wanted, self.limit = {"q": wanted}, limit
        self.sweep, self.known, self.deep = Sweep(), set[str](), dict[str, str]()
        self.pages = 0
        for one in paths:
            self.store.put(LAYOUT.home + one, b"x", if_version=None)

    def look(self) -> set[str]:
        hand = Hand(
            survey(
                LAYOUT, {}, now=1.0, now_ms=NOW_MS, wanted=self.wanted, known=self.known, limit=self.limit,
                sweep=self.sweep, deep=self.deep,
            ),
            self.store,
        )  # fmt: skip
        seen = hand.finish()
        self.pages = sum(len(op.reads) if isinstance(op, Gather) else isinstance(op, List) for op in hand.asked)
        self.deep = seen.deep
        return {source.path for source in seen.sources}

    def until(self, wanted: str, surveys: int, most: int = 10) -> int:
        """How many surveys it takes until it is offered."""
        for number in range(surveys):
            if wanted in self.look():
                return number + 1
            assert self.pages <= most
        raise AssertionError(f"not offered in {surveys} surveys")


CROWD = [path(n, group="hot") for n in range(20_000)]


class TestCrowds:
    def test_a_message_without_a_group_is_found_behind_any_crowd(self) -> None:
        free = path(30_000)
        looking = Looking(*CROWD, free)
        looking.known.add(CROWD[0])
        assert looking.until(free, 4) == 3
        assert free in looking.look()  # and is offered until it is taken

    def test_the_first_of_another_group_is_found_behind_any_crowd(self) -> None:
        other, second = path(30_000, group="other"), path(30_001, group="other")
        looking = Looking(*CROWD, other, second)
        looking.known.add(CROWD[0])
        assert looking.until(other, 8) == 6
        assert second not in looking.look()

    def test_what_comes_to_the_head_is_seen_at_once(self) -> None:
        looking = Looking(*CROWD, path(30_000))
        looking.known.add(CROWD[0])
        looking.until(path(30_000), 4)
        urgent = path(1, priority=0)
        looking.store.put(LAYOUT.home + urgent, b"x", if_version=None)
        assert urgent in looking.look()

    def test_a_scan_waits_in_front_of_what_nobody_takes(self) -> None:
        free = [path(30_000 + n) for n in range(5000)]
        looking = Looking(*CROWD, *free)
        looking.known.add(CROWD[0])
        looking.until(free[0], 4)
        for _ in range(5):
            assert free[0] in looking.look()

    def test_a_group_among_a_backlog_is_served_before_the_backlog_is_over(self) -> None:
        other = path(20_500, group="other")
        backlog = [path(20_000 + n) for n in range(400)] + [path(21_000 + n) for n in range(9000)]
        looking = Looking(*CROWD, other, *backlog)
        looking.known.add(CROWD[0])
        surveys = 1
        while other not in (offered := looking.look()):
            looking.known.update(sorted(offered & set(backlog))[:32])
            surveys += 1
            assert surveys < 60

    def test_a_queue_without_a_crowd_is_not_scanned(self) -> None:
        looking = Looking(*(path(n) for n in range(5000)))
        for _ in range(3):
            looking.look()
            assert looking.sweep == Sweep()
            assert looking.pages <= 2


class TestOrder:
    def test_a_scheduled_batch_waits_for_earlier_ones_of_its_group_that_were_cut_off(self) -> None:
        due = path(500, group="g", due_ms=NOW_MS - 1)
        front, earlier = [path(n) for n in range(400)], path(450, group="g")
        looking = Looking(*front, earlier, *(path(600 + n) for n in range(2000)), due, wanted=5, limit=8)
        assert due not in looking.look()
        looking.known.update(front)
        looking.wanted["q"] = 100
        assert {due, earlier} <= looking.look()

    def test_a_scheduled_batch_that_nothing_can_precede_is_offered(self) -> None:
        due = path(3, group="g", due_ms=NOW_MS - 1)
        looking = Looking(*(path(n) for n in range(2000)), due, wanted=5, limit=8)
        assert due in looking.look()

    def test_a_scheduled_batch_stands_where_it_would_if_it_had_not_been(self) -> None:
        for one in (path(7, 3, group="g", priority=2, due_ms=NOW_MS), path(7, 3, priority=2, newest_first=True)):
            source = parse_source(one)
            assert parse_source(place_of(source)).rank == source.rank

    @settings(max_examples=200, deadline=None)
    @given(data=st.data())
    def test_nothing_is_offered_before_what_was_stored_earlier_and_precedes_it(self, data: st.DataObject) -> None:
        """While batches come and go, whatever the surveys see of them."""
        groups = ["a", "b", "c"]
        looking = Looking(wanted=data.draw(st.integers(1, 3)), limit=data.draw(st.integers(1, 3)))
        stored: dict[str, int] = {}
        out: dict[str, str] = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("s3queue.core.survey._FULL_PAGE", data.draw(st.integers(1, 3)))
            patch.setattr("s3queue.core.survey._MAX_PAGES", data.draw(st.integers(1, 3)))
            for step in range(data.draw(st.integers(1, 30))):
                for _ in range(data.draw(st.integers(0, 3))):
                    one = path(
                        data.draw(st.integers(0, 60)),
                        group=data.draw(st.sampled_from(groups)),
                        priority=data.draw(st.sampled_from([1, 5])),
                        due_ms=data.draw(st.sampled_from([None, None, NOW_MS - 1])),
                    )
                    if one not in stored:
                        stored[one] = step
                        looking.store.put(LAYOUT.home + one, b"x", if_version=None)
                for group in list(out):
                    if data.draw(st.booleans()):
                        done = out.pop(group)
                        looking.known.discard(done)
                        looking.store.delete([LAYOUT.home + done])
                        del stored[done]
                offered = sorted((parse_source(one) for one in looking.look()), key=lambda source: source.rank)
                for source in offered:
                    group = source.group or ""
                    if group in out:
                        continue
                    before = [
                        one for one in stored
                        if parse_source(one).group == group
                        and parse_source(one).rank < source.rank
                        and stored[one] < stored[source.path]
                        and (source.due_ms is not None or parse_source(one).due_ms is None)
                    ]  # fmt: skip
                    assert before == []
                    out[group] = source.path
                    looking.known.add(source.path)


class TestOneLook:
    """The rule by itself."""

    def seen(self, *paths: str, head: str, end: str | None = None) -> Seen:
        found = [parse_source(one) for one in paths]
        return Seen("q", found, [], head, end, True)

    def test_behind_a_gap_a_group_needs_a_second_sight(self) -> None:
        hot, other, free = path(1, group="hot"), path(8, group="other"), path(9)
        scan = Scan(after=path(7), first={"hot": hot})
        offered, again = look_behind(scan, self.seen(hot, other, free, head=hot), {hot})
        assert [source.path for source in offered] == [hot, free]
        assert again is scan
        assert (scan.after, scan.sighted) == (other, {other})
        scan = Scan(after=path(7), first={"hot": hot}, seen=frozenset({other}))
        offered, _ = look_behind(scan, self.seen(hot, other, free, head=hot), {hot})
        assert [source.path for source in offered] == [hot, other, free]

    def test_one_that_an_earlier_one_of_its_group_precedes_is_not_offered(self) -> None:
        hot, other = path(1, group="hot"), path(8, group="other")
        scan = Scan(after=path(7), first={"hot": hot, "other": path(3, group="other")}, seen=frozenset({other}))
        offered, _ = look_behind(scan, self.seen(hot, other, head=hot), {hot})
        assert [source.path for source in offered] == [hot]
