"""What a caller knows who enqueues only once, when the store does not answer."""

from __future__ import annotations

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue import EnqueueUncertain, Producer, StoreUnavailable, task
from s3queue.config import configure
from s3queue.core.keys import Layout
from s3queue.store import Conflict, Stored
from tests.tasks.stored import Troubled as TroubledBatches
from tests.tasks.stored import stored
from tests.tasks.test_sending import queue_on

GATES = Layout().gates


class Troubled(TroubledBatches):
    """Puts of gates go wrong, too."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if not key.startswith(GATES):
            return super().put(key, body, if_version=if_version)
        return self.put_as_told(key, body, if_version)


def many(store: Troubled) -> int:
    """Messages, also those that are not to run yet."""
    return len(store.list(Layout().inbox)) + len(store.list(Layout().later))


@pytest.mark.parametrize(
    "troubles",
    [
        ["lost"] * 200,
        ["landed", *["lost"] * 200],
        ["", *["lost"] * 200],
        ["", "landed", *["lost"] * 200],
    ],
    ids=["no gate", "a gate", "no message", "both"],
)
@pytest.mark.parametrize("options", [{"dedup_id": "a"}, {"unique": True}, {"unique": "waiting"}, {"debounce": 5.0}])
def test_call_without_an_answer_is_finished_and_enqueues_once(troubles: list[str], options: dict[str, object]) -> None:
    store = Troubled(*troubles)
    with pytest.raises(EnqueueUncertain) as caught:
        queue_on(store).enqueue("x", **options)  # type: ignore[arg-type]
    store.troubles = []
    (message,) = caught.value.enqueue_again()
    assert caught.value.enqueue_again() == [message], "and any number of times"
    assert many(store) == 1
    assert len(store.list(GATES)) == 1
    again = queue_on(store).enqueue("x", **options)  # type: ignore[arg-type]
    assert (again == message) == ("debounce" not in options)


def test_another_process_finishes_it_by_enqueuing_the_same() -> None:
    store = Troubled("", *["lost"] * 200)
    with pytest.raises(EnqueueUncertain) as caught:
        queue_on(store).enqueue("x", dedup_id="a")
    store.troubles = []
    message = queue_on(store).enqueue("x", dedup_id="a")
    assert message == caught.value.message_id
    assert not message.is_new
    assert stored(store) == ["x"]


def test_call_that_was_certainly_not_applied_is_not_in_doubt() -> None:
    store = Troubled(*["unavailable"] * 200)
    with pytest.raises(StoreUnavailable):
        queue_on(store).enqueue("x", dedup_id="a")
    store.troubles = []
    assert queue_on(store).enqueue("x", dedup_id="a").is_new


def test_producer_that_shares_puts_enqueues_such_messages_alone(store: MemoryStore) -> None:
    configure(store=store)

    @task("q", unique=True)
    def alone(n: int) -> None: ...

    with Producer() as producer:
        first, second = producer.enqueue(alone, 1), producer.enqueue(alone, 1)
    assert first == second
    assert (first.is_new, second.is_new) == (True, False)
