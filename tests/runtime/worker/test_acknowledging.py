"""Tasks that say themselves what became of their message."""

from __future__ import annotations

import pytest

from s3queue.errors import ConfigError
from s3queue.runtime.local.journal import OK
from s3queue.runtime.local.wire import Finished
from s3queue.store import ObjectStore
from s3queue.tasks import Task
from tests.runtime import jobs
from tests.runtime.desk import desk
from tests.runtime.worker.test_attempt import outcome


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("by_hand", ["ack"]),
        ("by_hand", ["ack", "nack"]),
        ("by_hand", ["ack", "raise"]),
        ("by_hand", ["ack", "exit"]),
        ("by_hand_async", ["ack"]),
        ("by_hand_async", ["ack", "nack"]),
        ("by_hand_async", ["ack", "hang"]),
    ],
)
def test_message_that_was_acknowledged_is_done_whatever_the_task_says_after_it(
    store: ObjectStore, task: str, words: list[str]
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message(task, *words))
        it.expect(Finished)
        assert it.states(0) == [OK]


@pytest.mark.parametrize(
    ("task", "words", "kind", "delay_s", "text"),
    [
        ("by_hand", ["nack"], "retry", 20.0, "not today"),
        ("by_hand", ["nack", "ack"], "retry", 20.0, "not today"),
        ("by_hand", ["nack", "raise"], "retry", 20.0, "not today"),
        ("by_hand", ["soon"], "retry", 7.0, "not now"),
        ("by_hand", ["key"], "dead", 0.0, "KeyError: 'gone'"),
        ("by_hand", ["reject"], "dead", 0.0, "never"),
        ("by_hand", [], "retry", 20.0, "without ctx.ack() or ctx.nack()"),
        ("by_hand", ["raise"], "retry", 20.0, "ValueError: after all"),
        ("by_hand_async", ["nack", "hang"], "retry", None, "not today"),
        ("by_hand_async", ["hang"], "retry", None, "SoftTimeLimit"),
        ("by_hand_async", [], "retry", None, "without ctx.ack() or ctx.nack()"),
        ("acks_by_itself", [], "retry", None, 'declare it with ack="manual"'),
    ],
)
def test_message_that_was_not_acknowledged_has_failed(
    store: ObjectStore, task: str, words: list[str], kind: str, delay_s: float | None, text: str
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message(task, *words))
        failed = outcome(it)
    assert failed.kind == kind
    assert delay_s is None or failed.delay_s == delay_s
    assert failed.failure is not None
    assert text in failed.failure.text


def test_task_that_cannot_say_anything_is_refused_when_it_is_declared() -> None:
    def mute() -> None: ...

    with pytest.raises(ConfigError, match="no ctx"):
        Task(mute, "q", "mute", policy=jobs.acking.by_hand.policy, codec=jobs.acking.by_hand._make_codec)


def test_direct_call_of_such_a_task_may_say_what_it_likes() -> None:
    assert jobs.acking.by_hand("ack") is None
