import re
import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from s3queue.core import keys
from s3queue.core.keys import (
    Layout,
    batch_id,
    expires_of,
    fencing_token,
    forget_parsed,
    life_path,
    moved_batch,
    moved_path,
    parse_message_id,
    parse_source,
    source_path,
    tick_path,
    ticket_id,
)
from s3queue.errors import ConfigError, CorruptRecord
from tests.core.profile import BRIEF, LONG

LAYOUT = Layout("root", "p00")

names = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=20).filter(
    lambda n: n[0] not in ".-"
)
#: Everything that looks like a separator, and what escapes it.
groups = st.one_of(
    st.text(st.sampled_from("-~/=%.+ ?#&\\\n\x00é\U0001f40d"), min_size=1, max_size=12),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)
moments = st.integers(0, 9_999_999_999_999)
batches = st.text("0123456789abcdef", min_size=1, max_size=32)


class TestSourcePaths:
    @LONG
    @given(names, moments, batches, st.integers(1, 1000), st.integers(0, 9), st.none() | groups, st.none() | moments)
    def test_what_is_built_is_read_back(
        self, queue: str, sent: int, batch: str, count: int, priority: int, group: str | None, due: int | None
    ) -> None:
        path = source_path(queue, sent_ms=sent, batch=batch, count=count, priority=priority, group=group, due_ms=due)
        source = parse_source(path)
        assert (source.path, source.queue, source.order, source.batch) == (path, queue, sent, batch)
        assert (source.count, source.priority, source.due_ms) == (count, priority, due)
        assert source.group == group or (group is not None and len(written_out(group)) > 128)

    @BRIEF
    @given(groups, groups)
    def test_two_groups_never_share_a_key(self, one: str, other: str) -> None:
        assume(one != other)
        paths = {source_path("q", sent_ms=1, batch="0", count=1, group=group) for group in (one, other)}
        assert len(paths) == 2

    @LONG
    @given(
        st.lists(
            st.tuples(st.integers(0, 9), st.integers(0, 99), batches, st.integers(1, 1000), st.none() | groups),
            unique_by=lambda one: one[:3],
        ),
        st.booleans(),
    )
    def test_the_order_of_keys_is_the_order_of_dispatch(
        self, batches: list[tuple[int, int, str, int, str | None]], newest_first: bool
    ) -> None:
        paths = [
            source_path(
                "q", sent_ms=sent, batch=f"{batch:0>32}", count=count, priority=priority, group=group,
                newest_first=newest_first,
            )
            for priority, sent, batch, count, group in batches
        ]  # fmt: skip
        in_key_order = [parse_source(path) for path in sorted(paths, key=str.encode)]
        assert in_key_order == sorted(in_key_order, key=lambda source: source.rank)
        sent = [source.order for source in in_key_order if source.priority == 5]
        assert sent == sorted(sent)  # of LIFO the order is the complement

    def test_newest_first_turns_the_order_round(self) -> None:
        older, newer = (source_path("q", sent_ms=ms, batch="0", count=1, newest_first=True) for ms in (1000, 1001))
        assert newer < older

    @pytest.mark.parametrize(
        "wrong",
        [
            {"count": 0},
            {"count": 1001},
            {"priority": 10},
            {"priority": -1},
            {"group": ""},
            {"group": "x" * 301},
            {"batch": "XY"},
            {"sent_ms": -1},
            {"sent_ms": 10**13},
            {"due_ms": -1},
            {"due_ms": 10**13},
        ],
    )
    def test_a_batch_under_a_key_that_would_not_be_read_back_is_refused(self, wrong: dict[str, object]) -> None:
        given = {"sent_ms": 1, "batch": "0", "count": 1} | wrong
        with pytest.raises(ConfigError):
            source_path("q", **given)  # type: ignore[arg-type]

    @pytest.mark.parametrize("queue", ["", ".q", "-q", "a/b", "a~b", "a b", "x" * 101, "é"])
    def test_a_queue_name_that_would_break_a_key_is_refused(self, queue: str) -> None:
        with pytest.raises(ConfigError):
            source_path(queue, sent_ms=1, batch="0", count=1)

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "in/q",
            "in/q/5/x",
            "board",
            "in/q/5/1800000000000-0-1/more",
            "in/q/5/1800000000000-0-0",
            "in/q/5/1800000000000-0-1001",
            "in/q/5/1800000000000-0-1-",
            "in/q/5/180000000000-0-1",
            "in/q/12/1800000000000-0-1",
            "later/q/5/1800000000000-0-1",
            "in/1800000000000-q/5/1800000000000-0-1\n",
            "in/q/5/1800000000000-0-1-a~b",
        ],
    )
    def test_what_is_no_key_of_a_batch_is_corrupt(self, path: str) -> None:
        with pytest.raises(CorruptRecord):
            parse_source(path)


class TestMessageIds:
    @BRIEF
    @given(names, moments, st.integers(1, 1000), st.none() | groups, st.none() | moments, st.data())
    def test_an_id_names_partition_path_and_index(
        self, queue: str, sent: int, count: int, group: str | None, due: int | None, data: st.DataObject
    ) -> None:
        path = source_path(queue, sent_ms=sent, batch="0a", count=count, group=group, due_ms=due)
        index = data.draw(st.integers(0, count - 1))
        message = LAYOUT.message_id(path, index)
        assert "/" not in message
        ref = parse_message_id(message)
        assert (ref.part, ref.path, ref.index) == ("p00", path, index)

    @pytest.mark.parametrize(
        "wrong", ["", "p00", "p00~in~q", "~in~q~5~1800000000000-0-1~0", "p00~in~q~5~1800000000000-0-1~1"]
    )
    def test_what_names_no_message_is_corrupt(self, wrong: str) -> None:
        with pytest.raises(CorruptRecord):
            parse_message_id(wrong)


#: As earlier releases wrote it: escaped, and however long that made it.
def written_out(group: str) -> str:
    return quote(group, safe="").replace("~", "%7E").replace("%", "=")


class TestLongNames:
    """The longest of everything: a group of 22 CJK characters alone takes 198 bytes once it is escaped."""

    QUEUE = "q" * 100
    GROUPS = ("g" * 300, "東" * 22, "東" * 300, "~" * 300)

    @pytest.mark.parametrize("group", [None, *GROUPS])
    @pytest.mark.parametrize("due", [None, 9_999_999_999_999])
    def test_no_segment_of_any_key_is_over_its_limit(self, group: str | None, due: int | None) -> None:
        layout = Layout("n" * 100, "p00")
        path = source_path(
            self.QUEUE, sent_ms=9_999_999_999_999, batch="f" * 32, count=1000, group=group, due_ms=due
        )  # fmt: skip
        built = [
            layout.source(path), layout.dead(self.QUEUE, layout.message_id(path, 999)), layout.meta(self.QUEUE),
            layout.host("f" * 32), layout.page(2**31, 2**31), layout.board,
        ]  # fmt: skip
        for key in built:
            assert max(len(segment.encode()) for segment in key.split("/")) <= keys.MAX_SEGMENT <= 200
            assert len(key.encode()) <= 900

    @pytest.mark.parametrize("group", GROUPS)
    def test_a_source_of_a_long_group_is_read_back(self, group: str) -> None:
        path = source_path(self.QUEUE, sent_ms=7, batch="0a", count=3, group=group)
        source = parse_source(path)
        assert (source.queue, source.order, source.batch, source.count) == (self.QUEUE, 7, "0a", 3)
        ref = parse_message_id(LAYOUT.message_id(path, 2))
        assert (ref.path, ref.index) == (path, 2)

    @BRIEF
    @given(st.text(st.sampled_from("ab~東"), min_size=60, max_size=64), st.text(st.sampled_from("ab~東"), max_size=3))
    def test_groups_are_equal_exactly_where_their_names_are(self, group: str, more: str) -> None:
        one, again, other = (
            parse_source(source_path("q", sent_ms=ms, batch="0", count=1, group=name)).group
            for ms, name in ((1, group), (2, group), (3, group + more))
        )
        assert one == again
        assert (one == other) == (more == "")

    @pytest.mark.parametrize("group", ["東" * 33, "g" * 300])
    def test_a_source_that_an_earlier_release_stored_is_of_the_same_group(self, group: str) -> None:
        old = f"in/q/5/1800000000000-0-1-{written_out(group)}"
        new = source_path("q", sent_ms=1_800_000_000_001, batch="0", count=1, group=group)
        assert parse_source(old).path == old
        assert parse_source(old).group == parse_source(new).group
        assert parse_message_id(LAYOUT.message_id(old, 0)).path == old

    @pytest.mark.parametrize("group", ["g" * 128, "東" * 14, "a" * 129])
    def test_what_an_earlier_release_makes_of_a_key_keeps_groups_apart(self, group: str) -> None:
        path = source_path("q", sent_ms=1, batch="0", count=1, group=group)
        assert re.fullmatch(r"in/q/5/\d{13}-0-1-[A-Za-z0-9_.=-]{1,300}", path)

    def test_letters_of_long_ids_are_in_the_order_of_their_messages_and_all_different(self) -> None:
        paths = [
            source_path(self.QUEUE, sent_ms=ms, batch=batch_id(number, 0), count=1000, group=self.GROUPS[0], due_ms=ms)
            for ms in (1, 2)
            for number in range(3)
        ]
        letters = [LAYOUT.dead(self.QUEUE, LAYOUT.message_id(path, index)) for path in paths for index in (0, 9, 10)]
        assert len(set(letters)) == len(letters)
        of_each = [letters[at] for at in range(0, len(letters), 3)]
        assert of_each == sorted(of_each)

    @BRIEF
    @given(names, moments, st.integers(0, 9))
    def test_the_letter_of_a_short_id_is_where_earlier_releases_put_it(self, queue: str, sent: int, index: int) -> None:
        message = LAYOUT.message_id(source_path(queue, sent_ms=sent, batch="0a", count=10, group="customer-7"), index)
        assert LAYOUT.dead(queue, message) == f"root/dead/{queue}/{message}"


class TestMovedSources:
    @BRIEF
    @given(
        names,
        moments,
        st.integers(1, 1000),
        st.integers(1, 999_999),
        st.booleans(),
        st.integers(0, 9),
        st.none() | moments,
    )
    def test_what_is_built_is_read_back(
        self, queue: str, sent: int, count: int, attempt: int, alone: bool, priority: int, due: int | None
    ) -> None:
        like = parse_source(source_path(queue, sent_ms=sent, batch="0", count=3, priority=priority, due_ms=due))
        batch = moved_batch(2**31, 2**32)
        path = moved_path(like, due_ms=7, batch=batch, count=count, attempt=attempt, alone=alone)
        source = parse_source(path)
        assert (source.path, source.queue, source.priority, source.order) == (path, queue, priority, sent)
        assert (source.count, source.attempt, source.alone, source.moved) == (count, attempt, alone, True)
        assert (source.group, source.due_ms, source.batch) == (None, 7, batch)
        assert parse_message_id(LAYOUT.message_id(path, count - 1)).path == path
        assert max(map(len, LAYOUT.source(path).split("/"))) <= keys.MAX_SEGMENT

    def test_what_producers_store_is_at_its_first_attempt(self) -> None:
        for group in (None, "g", "7.3", ".2a"):
            source = parse_source(source_path("q", sent_ms=1, batch="0", count=1, group=group))
            assert (source.attempt, source.moved, source.alone, source.group) == (1, False, False, group)

    def test_names_of_moves_are_never_those_of_producers_and_never_used_twice(self) -> None:
        numbers = [(1, 1), (1, 16), (16, 1), (2**31, 2**32 - 1)]
        moved = {moved_batch(*one) for one in numbers}
        assert len(moved) == len(numbers)
        assert {len(one) for one in moved} == {20}
        assert len(batch_id(0xFFF, 2**52 - 1)) == 16


class TestLayout:
    @BRIEF
    @given(names, names)
    def test_queues_sort_alike_whether_a_server_compares_whole_keys_or_folder_names(self, one: str, other: str) -> None:
        prefixes = [LAYOUT.queue(one), LAYOUT.queue(other)]
        assert sorted(prefixes) == sorted(prefixes, key=lambda prefix: prefix.rstrip("/"))

    def test_a_listing_of_home_begins_with_board_hosts_inbox_and_later(self) -> None:
        order = [LAYOUT.board, LAYOUT.host("s"), LAYOUT.source("in/q/…"), LAYOUT.source("later/…")]
        assert order == sorted(order, key=str.encode)
        assert all(key.startswith(LAYOUT.home) for key in order)

    def test_pages_letters_and_settings_are_outside_of_the_survey(self) -> None:
        for key in (LAYOUT.page(1, 0), LAYOUT.dead("q", "m"), LAYOUT.meta("q")):
            assert not key.startswith(LAYOUT.home)

    def test_pages_sort_by_epoch_then_number(self) -> None:
        pages = [LAYOUT.page(epoch, number) for epoch in (2, 10) for number in (9, 10)]
        assert pages == sorted(pages, key=str.encode)

    def test_session_and_path_are_what_the_key_was_built_from(self) -> None:
        assert LAYOUT.session(LAYOUT.host("abc")) == "abc"
        assert LAYOUT.path(LAYOUT.source("in/q/x")) == "in/q/x"

    def test_end_is_behind_every_key_that_continues(self) -> None:
        assert f"in/q/{keys.END}".encode() > "in/q/\U0010fffe".encode()


class TestIds:
    def test_batches_of_one_millisecond_sort_as_they_were_sent(self) -> None:
        ids = [batch_id(counter, 2**52 - 1 - counter) for counter in range(0x1000)]
        assert ids == sorted(ids)

    @BRIEF
    @given(
        st.tuples(st.integers(1, 2**20), st.integers(0, 2**32 - 1)),
        st.tuples(st.integers(1, 2**20), st.integers(0, 2**32 - 1)),
    )
    def test_a_later_ticket_has_a_greater_fencing_token(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        tokens = [fencing_token(ticket_id(*ticket)) for ticket in (one, other)]
        assert (tokens[0] < tokens[1]) == (one < other)
        assert max(tokens) < 2**63


def test_parsed_paths_are_kept_for_what_a_board_names_and_not_for_all_that_ever_passed() -> None:
    parse_source.cache_clear()
    for turn in range(20):
        for number in range(500):
            parse_source(source_path("mail", sent_ms=turn, batch=batch_id(number, 0), count=1))
        forget_parsed(named=500)
        assert parse_source.cache_info().currsize <= 4000
    kept = parse_source.cache_info().currsize
    forget_parsed(named=kept)
    assert parse_source.cache_info().currsize == kept


class TestBorrowedSource:
    """Sources without an object of their own."""

    FIRST = source_path("mail.x", sent_ms=17, batch="0a", count=10, priority=2, group="a/b" * 60)
    MESSAGE = Layout().message_id(FIRST, 7)

    def test_further_life_keeps_id_priority_and_group_and_is_read_from_its_letter(self) -> None:
        layout, path = Layout(), life_path(self.MESSAGE, 2)
        life, first = parse_source(path), parse_source(self.FIRST)
        assert (life.kind, life.count, life.attempt, life.life, life.is_borrowed) == ("dead", 1, 1, 2, True)
        assert (life.queue, life.group, life.rank) == (first.queue, first.group, first.rank)
        assert layout.message_id(path, 0) == self.MESSAGE
        assert layout.source(path) == layout.dead("mail.x", self.MESSAGE)

    def test_lives_of_a_message_that_was_scheduled_are_not(self) -> None:
        later = Layout().message_id(source_path("q", sent_ms=17, batch="0a", count=1, due_ms=99), 0)
        assert parse_source(life_path(later, 3)).due_ms is None

    def test_tick_is_read_from_its_schedule_and_may_die_and_live_on(self) -> None:
        layout, path = Layout(), tick_path("q", 4, 1_700_000_000_000, "every-day.x", 3)
        tick = parse_source(path)
        assert (tick.kind, tick.count, tick.priority, tick.order) == ("tick", 1, 4, 1_700_000_000_000)
        assert layout.source(path) == layout.schedule("every-day.x.3") == "s3queue/schedules/every-day.x.3"
        message = layout.message_id(path, 0)
        assert parse_message_id(message).path == path
        assert parse_source(life_path(message, 2)).rank == tick.rank

    @pytest.mark.parametrize(
        "path",
        [
            "dead/q/1/{}",
            "dead/other/2/{}",
            "dead/q/2/junk",
            "dead/q/2/p00~dead~q~2~x~0",
            "tick/q/5/17-x.1",
            "tick/q/5/x",
        ],
    )
    def test_others_are_none(self, path: str) -> None:
        with pytest.raises(CorruptRecord):
            parse_source(path.format(Layout().message_id(source_path("q", sent_ms=1, batch="0a", count=1), 0)))


@pytest.mark.parametrize("options", [{}, {"group": "x-x"}, {"key": "x"}, {"due_ms": 1_800_000_000_000}])
@pytest.mark.parametrize("expires_ms", [None, 1_800_000_100_000])
def test_when_a_source_expires_is_seen_without_parsing_its_path(
    options: dict[str, Any], expires_ms: int | None
) -> None:
    path = source_path("x-fax", sent_ms=1_700_000_000_000, batch="0" * 16, count=7, expires_ms=expires_ms, **options)
    assert expires_of(path) == parse_source(path).expires_ms == expires_ms


def test_a_life_and_a_tick_expire_as_their_paths_say() -> None:
    first = source_path("q", sent_ms=1, batch="0" * 16, count=1, expires_ms=1_800_000_000_000)
    for path in (life_path(Layout().message_id(first, 0), 2), tick_path("q", 5, 1_700_000_000_000, "x-x", 1)):
        assert expires_of(path) == parse_source(path).expires_ms
