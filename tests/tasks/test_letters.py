"""Dead letters as people see them: written by the chore that writes them, read by whoever looks."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from s3queue_backends.memory import MemoryStore

from s3queue import ConfigError, CorruptRecord, DeadGroup, DeadLetter, Queue
from s3queue.core.chores.letter import dead_letter
from s3queue.core.keys import Layout, moved_path, parse_message_id, parse_source
from s3queue.core.records import DeadLetter as Record
from s3queue.core.records import Failure, Moved, Origin, encode, encode_batch, encode_message
from s3queue.operate.views import last_line
from s3queue.store import Found, Listed, Missing

LAYOUT = Layout()
DIED_MS = 1_800_000_000_000
DIED = datetime.fromtimestamp(DIED_MS / 1000, UTC)


def failure(text: str = "ValueError: no", cause: str = "error", attempt: int = 1) -> Failure:
    return Failure(attempt, cause, text, DIED_MS)


def bury(store: Any, message: str, *failures: Failure, died_ms: int = DIED_MS, body: Any = None) -> Record:
    """Write the letter of a message that is stored, as a coordinator does."""
    ref = parse_message_id(message)
    found = store.get(LAYOUT.source(ref.path)) if body is None else body
    letter = dead_letter(LAYOUT, ref.path, ref.index, found, failures or (failure(),), "n", died_ms)
    store.put(LAYOUT.dead(letter.queue, letter.message), encode(letter), if_version=None)
    return letter


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def queue(store: MemoryStore) -> Queue:
    return Queue("mail", store)


def send(queue: Queue, task: str, *payloads: Any, **options: Any) -> list[str]:
    return queue.send(task, [Raw(msgspec.msgpack.encode(one)) for one in payloads], **options)


class TestOneLetter:
    def test_it_tells_all_that_is_known_of_the_message(self, store: MemoryStore, queue: Queue) -> None:
        (message,) = send(queue, "send", {"user": 7}, headers={"trace": "t1"})
        text = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no user 7\n'
        bury(store, message, failure("killed by signal 9", "killed", 1), failure(text, "error", 2))
        letter = queue.dead_letter(message)
        assert letter is not None
        assert (letter.id, letter.queue, letter.task, letter.attempt) == (message, "mail", "send", 2)
        assert (letter.cause, letter.error) == ("error", "ValueError: no user 7")
        assert [(one.attempt, one.cause, one.at) for one in letter.failures] == [
            (1, "killed", DIED),
            (2, "error", DIED),
        ]
        assert (letter.payload, letter.preview, letter.headers) == ({"user": 7}, '{"user":7}', {"trace": "t1"})
        assert letter.died_at == DIED
        assert letter.sent_at is not None
        assert abs(letter.sent_at - datetime.now(UTC)) < timedelta(days=1)
        assert list(queue.dead_letters()) == [letter]

    def test_it_is_one_get(self, store: MemoryStore, queue: Queue) -> None:
        (message,) = send(queue, "send", 1)
        bury(store, message)
        before = queue.meter.as_dict()
        queue.dead_letter(message)
        assert _asked(queue, before) == {"get": 1}

    def test_one_that_is_decided_or_was_never_written_is_none(self, store: MemoryStore, queue: Queue) -> None:
        first, second = send(queue, "send", 1, 2)
        store.put(LAYOUT.dead("mail", first), encode(Record("n", first, "mail", tombstone=True)), if_version=None)
        assert queue.dead_letter(first) is None
        assert queue.dead_letter(second) is None

    def test_what_is_no_id_and_messages_of_other_queues_are_mistakes(self, store: MemoryStore, queue: Queue) -> None:
        (other,) = send(Queue("other", store), "send", 1)
        with pytest.raises(ConfigError, match="not the id of a message"):
            queue.dead_letter("p00~in~mail")
        with pytest.raises(ConfigError, match="another queue"):
            queue.dead_letter(other)

    def test_letter_whose_key_is_hashed_is_found_by_the_whole_id(self, store: MemoryStore) -> None:
        queue = Queue("m" * 90, store)
        ids = [send(queue, "send", number, group="ü" * 300)[0] for number in range(3)]
        for message in ids:
            bury(store, message)
        assert all(message not in item.key for message in ids for item in store.list(LAYOUT.dead(queue.name)))
        assert [letter.id for letter in queue.dead_letters()] == ids
        assert [letter.id for letter in queue.dead_letters(after=ids[0])] == ids[1:]
        found = queue.dead_letter(ids[1])
        assert found is not None
        assert found.payload == 1

    def test_message_that_was_moved_off_the_board_has_its_first_id_and_all_its_history(
        self, store: MemoryStore, queue: Queue
    ) -> None:
        (message,) = send(queue, "send", 5)
        origin = Origin(message, DIED_MS - 1000, (failure("first", "error", 1),))
        moved = Moved("send", Raw(msgspec.msgpack.encode(5)), {}, origin)
        like = parse_source(parse_message_id(message).path)
        path = moved_path(like, due_ms=DIED_MS, batch="ab", count=1, attempt=2, alone=False)
        body = Found(encode_batch([encode_message(moved)], DIED_MS), "v")
        bury(store, LAYOUT.message_id(path, 0), failure("second", "error", 2), body=body)
        (letter,) = queue.dead_letters()
        assert (letter.id, letter.payload, letter.attempt) == (message, 5, 2)
        assert [one.text for one in letter.failures] == ["first", "second"]
        assert letter.sent_at == DIED - timedelta(seconds=1)
        assert queue.dead_letter(message) == letter

    def test_batch_that_cannot_be_decoded_is_shown_as_it_is(self, store: MemoryStore, queue: Queue) -> None:
        (message,) = send(queue, "send", 5)
        bury(store, message, failure("not a batch", "corrupt"), body=Found(b"\xc1junk", "v"))
        (letter,) = queue.dead_letters()
        assert (letter.raw, letter.payload, letter.cause, letter.sent_at) == (True, b"\xc1junk", "corrupt", None)
        assert letter.as_dict()["payload_base64"] == "wWp1bms="
        assert "payload" not in letter.as_dict()

    def test_batch_that_is_gone_leaves_a_letter_without_payload(self, store: MemoryStore, queue: Queue) -> None:
        (message,) = send(queue, "send", 5)
        bury(store, message, body=Missing())
        (letter,) = queue.dead_letters()
        assert (letter.id, letter.body, letter.task) == (message, b"", "")
        with pytest.raises(CorruptRecord, match="payload cannot be decoded"):
            _ = letter.payload
        assert letter.as_dict()["payload_base64"] == ""

    @pytest.mark.parametrize("payload", [{"at": DIED}, b"\x00\xff", {1: "one"}, [None, 1.5, "ü"], float("nan")])
    def test_every_payload_has_a_form_that_json_can_carry(self, store: MemoryStore, queue: Queue, payload: Any) -> None:
        (message,) = send(queue, "", payload)
        bury(store, message)
        (letter,) = queue.dead_letters()
        told = json.loads(msgspec.json.encode(letter.as_dict()))
        assert "payload" in told
        assert "body" not in told

    def test_payload_that_json_cannot_carry_is_base64(self, store: MemoryStore, queue: Queue) -> None:
        (message,) = send(queue, "", {(1, 2): 3})
        bury(store, message)
        (letter,) = queue.dead_letters()
        assert letter.payload == {(1, 2): 3}
        assert "payload_base64" in letter.as_dict()


class TestChoosing:
    def test_by_task_cause_and_time(self, store: MemoryStore, queue: Queue) -> None:
        one, two, three = [*send(queue, "send", 1, 2), *send(queue, "bill", 3)]
        bury(store, one)
        bury(store, two, failure(cause="killed"), died_ms=DIED_MS + 1000)
        bury(store, three, died_ms=DIED_MS + 2000)

        def chosen(**wanted: Any) -> list[str]:
            return [letter.id for letter in queue.dead_letters(**wanted)]

        assert chosen() == [one, two, three]
        assert chosen(task="send") == [one, two]
        assert chosen(cause="killed") == [two]
        assert chosen(since=DIED + timedelta(seconds=1)) == [two, three]
        assert chosen(task="send", cause="error", limit=5) == [one]
        assert chosen(after=one, limit=1) == [two]
        assert chosen(after=three) == []

    def test_time_without_a_zone_is_refused_before_anything_is_asked(self, queue: Queue) -> None:
        with pytest.raises(ConfigError, match="time zone"):
            queue.dead_letters(since=datetime(2030, 1, 1))  # noqa: DTZ001
        assert _asked(queue, {}) == {}

    def test_those_that_cannot_be_decoded_are_told_and_passed_over(
        self, store: MemoryStore, queue: Queue, caplog: pytest.LogCaptureFixture
    ) -> None:
        one, two = send(queue, "send", 1, 2)
        store.put(LAYOUT.dead("mail", one), b"{", if_version=None)
        bury(store, two)
        assert [letter.id for letter in queue.dead_letters()] == [two]
        assert one in caplog.text


class TestGroups:
    def test_errors_that_differ_in_numbers_are_one_group_and_the_largest_comes_first(
        self, store: MemoryStore, queue: Queue
    ) -> None:
        for number, message in enumerate(send(queue, "send", *range(5))):
            text = f"Traceback:\n  line {number}\nKeyError: 'user{number}'\n"
            bury(store, message, failure(text), died_ms=DIED_MS + number * 1000)
        for message in send(queue, "bill", 1, 2):
            bury(store, message, failure("killed by signal 9", "killed"))
        (alone,) = send(queue, "bill", 3)
        bury(store, alone, failure("killed by signal 9\nValueError: no", "error"))
        groups = queue.dead_groups()
        assert [(one.task, one.cause, one.error, one.count) for one in groups] == [
            ("send", "error", "KeyError: 'user4'", 5),
            ("bill", "killed", "killed by signal 9", 2),
            ("bill", "error", "ValueError: no", 1),
        ]
        assert (groups[0].first_died_at, groups[0].last_died_at) == (DIED, DIED + timedelta(seconds=4))
        shown = queue.dead_letter(groups[0].example)
        assert shown is not None
        assert shown.error == groups[0].error
        assert [one.count for one in queue.dead_groups(task="bill", cause="killed")] == [2]

    def test_ever_new_errors_fill_a_thousand_groups_and_one_more(self) -> None:
        words = (f"{chr(97 + a)}{chr(97 + b)}{chr(97 + c)}" for a in range(26) for b in range(26) for c in range(2))
        store = Many(texts=list(words))
        groups = Queue("mail", store).dead_groups()
        assert len(groups) == 1001
        assert (groups[0].error, groups[0].count) == ("(other errors)", 26 * 26 * 2 - 1000)

    def test_last_line_is_that_of_the_exception(self) -> None:
        assert last_line("Traceback\n  at\nValueError: x\n\n  \n") == "ValueError: x"
        assert last_line("") == ""
        assert isinstance(DeadGroup("t", "error", "e", 1, DIED, DIED, "m"), msgspec.Struct)


class Many(MemoryStore):
    """Letters that are made when they are asked for.

    Attributes:
        asked: gets and lists.
    """

    def __init__(self, many: int = 0, texts: Sequence[str] = ()) -> None:
        super().__init__()
        self.many, self.texts = many or len(texts), texts
        self.asked = {"get": 0, "list": 0}

    def _key(self, number: int) -> str:
        return LAYOUT.dead("mail", f"p00~in~mail~5~{number:013}-0-1~0")

    def get(self, key: str, *, unless: str | None = None) -> Any:
        self.asked["get"] += 1
        message = key.rpartition("/")[2]
        number = int(message.split("~")[4].split("-")[0])
        text = self.texts[number] if self.texts else f"ValueError: {number}"
        return Found(encode(Record("n", message, "mail", failures=(failure(text),), payload=b"\xc0" * 1000)), "v")

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        self.asked["list"] += 1
        start = 0 if not after else int(after.split("~")[4].split("-")[0]) + 1
        return [Listed(self._key(number), "v", 2000) for number in range(start, min(self.many, start + limit))]


class TestMillion:
    def test_the_first_letter_costs_one_list_and_eight_gets(self) -> None:
        store = Many(1_000_000)
        letter = next(Queue("mail", store).dead_letters())
        assert isinstance(letter, DeadLetter)
        assert store.asked == {"get": 8, "list": 1}

    def test_each_letter_costs_one_get_and_a_thousand_one_list(self) -> None:
        store = Many(2500)
        assert sum(1 for _ in Queue("mail", store).dead_letters()) == 2500
        assert store.asked == {"get": 2500, "list": 3}

    def test_no_more_are_read_than_are_wanted(self) -> None:
        store = Many(1_000_000)
        assert sum(1 for _ in Queue("mail", store).dead_letters(limit=20)) == 20
        assert store.asked == {"get": 20, "list": 1}

    def test_memory_does_not_grow_with_them(self) -> None:
        store = Many(1_000_000)
        letters = Queue("mail", store).dead_letters()

        def most_at_once(many: int) -> int:
            tracemalloc.reset_peak()
            base = tracemalloc.get_traced_memory()[0]
            for _ in islice(letters, many):
                pass
            return tracemalloc.get_traced_memory()[1] - base

        tracemalloc.start()
        try:
            first, second = most_at_once(2000), most_at_once(10_000)
        finally:
            tracemalloc.stop()
        assert second < 2 * first + 100_000

    def test_large_letters_are_read_few_at_a_time(self) -> None:
        class Large(Many):
            def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
                return [item._replace(size=20_000_000) for item in super().list(prefix, after=after, limit=limit)]

        store = Large(100)
        next(Queue("mail", store).dead_letters())
        assert store.asked == {"get": 1, "list": 1}


def _asked(queue: Queue, before: dict[str, int]) -> dict[str, int]:
    now = queue.meter.as_dict()
    return {kind: now[kind] - before.get(kind, 0) for kind in now if now[kind] != before.get(kind, 0)}
