"""Messages and dead letters are read page by page on real servers, whose listings begin behind keys that need not exist."""

from __future__ import annotations

from pathlib import Path

from s3queue import Queue, configure, stats
from s3queue.core.chores.letter import dead_letter
from s3queue.core.keys import parse_message_id
from s3queue.core.records import Failure, encode
from s3queue.store import Found, ObjectStore
from tests.processes.host import drain
from tests.processes.jobs import QUEUE, quick


def test_messages_and_letters_go_on_behind_each_of_them(server_store: ObjectStore) -> None:
    queue = Queue("mail-1", server_store, namespace="looking")
    other = Queue("mail", server_store, namespace="looking")
    other.enqueue("other")
    ids = [queue.enqueue(number, priority=priority) for priority in (3, 7) for number in range(4)]
    ids += queue.enqueue_many(range(3), priority=8)
    late = [queue.enqueue(number, delay=1e6 + number) for number in range(4)]
    other.enqueue("other", delay=1e6)

    whole = list(queue.messages())
    assert [one.id for one in whole] == ids + late
    assert {one.state for one in whole} == {"ready", "scheduled"}
    for number, message in enumerate(whole):
        assert list(queue.messages(after=message.place)) == whole[number + 1 :]
    assert [one.id for one in queue.messages(state="ready")] == ids
    assert [one.id for one in queue.messages(state="scheduled")] == late
    assert [one.id for one in queue.messages(state="scheduled", after=late[1], limit=1)] == [late[2]]

    for message in ids:
        ref = parse_message_id(message)
        found = server_store.get(queue.layout.source(ref.path))
        assert isinstance(found, Found)
        why = (Failure(1, "error", "ValueError: no", 1),)
        letter = dead_letter(queue.layout, ref.path, ref.index, found, why, "n", 1_800_000_000_000)
        server_store.put(queue.layout.dead(letter.queue, letter.message), encode(letter), if_version=None)
    letters = list(queue.dead_letters())
    assert [letter.id for letter in letters] == ids
    for number, letter in enumerate(letters):
        assert list(queue.dead_letters(after=letter.id)) == letters[number + 1 :]
        assert queue.dead_letter(letter.id) == letter
    (group,) = queue.dead_groups()
    assert (group.count, group.error) == (len(ids), "ValueError: no")


def test_hosts_that_left_have_said_what_they_did(server_store: ObjectStore, tmp_path: Path) -> None:
    configure(store=server_store)
    for number in range(20):
        quick.enqueue(str(tmp_path / "runs"), number)
    configure()
    drain(server_store, queues=[QUEUE], workers=1)
    seen = stats(server_store)
    assert seen.requests == {"put": 0, "get": 1, "list": 0, "delete": 0}
    assert seen.queues[QUEUE].done == 20
