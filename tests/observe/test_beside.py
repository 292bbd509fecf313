from __future__ import annotations

import os
import threading

import pytest

from s3queue.observe.beside import Beside, quiet


def test_calls_are_made_in_order_and_the_thread_ends_with_them() -> None:
    beside, made = Beside(), list[int]()
    for number in range(100):
        assert beside.post(lambda number=number: made.append(number))  # type: ignore[misc]
    thread = beside._thread
    assert beside.finish() == 0
    assert made == list(range(100))
    assert thread is not None
    assert not thread.is_alive()


def test_call_that_raises_anything_does_not_end_the_thread() -> None:
    beside, made = Beside(), list[int]()

    def ends() -> None:
        raise KeyboardInterrupt

    beside.post(ends)
    beside.post(lambda: made.append(1))
    beside.finish()
    assert made == [1]


def test_it_begins_anew_after_its_end() -> None:
    beside, made = Beside(), list[int]()
    for number in (1, 2):
        beside.post(lambda number=number: made.append(number))  # type: ignore[misc]
        beside.finish()
    assert made == [1, 2]
    assert beside.finish() == 0


def test_call_may_end_it() -> None:
    beside, dropped = Beside(), list[int]()
    done = threading.Event()

    def end() -> None:
        dropped.append(beside.finish())
        done.set()

    beside.post(end)
    done.wait()
    assert dropped == [0]


def test_no_thread_to_be_had_drops_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    beside = Beside()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not beside.post(lambda: None)


def test_nothing_is_called_while_it_is_quiet() -> None:
    """So that a fork finds nothing locked by a call."""
    beside, made, entered, gate = Beside(), list[int](), threading.Event(), threading.Event()

    def call() -> None:
        entered.set()
        gate.wait()
        made.append(1)

    beside.post(call)
    entered.wait()
    with quiet(0.0):  # it does not wait for ever
        assert made == []
    gate.set()
    with quiet(60.0):
        assert made == [1]
        beside.post(lambda: made.append(2))
        assert made == [1]
    beside.finish()
    assert made == [1, 2]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_process_calls_what_it_is_told_and_not_what_waited_in_its_parent() -> None:
    beside, gate, entered = Beside(), threading.Event(), threading.Event()

    def call() -> None:
        entered.set()
        gate.wait()

    beside.post(call)
    entered.wait()
    beside.post(lambda: os.write(theirs, b"parent "))
    ours, theirs = os.pipe()
    try:
        child = os.fork()  # while its parent calls, and holds the lock
        if child == 0:
            try:
                beside.post(lambda: os.write(theirs, b"child"))
                beside.finish()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(ours, 100) == b"child"
        gate.set()
        beside.finish()
        assert os.read(ours, 100) == b"parent "
    finally:
        os.close(ours)
        os.close(theirs)
