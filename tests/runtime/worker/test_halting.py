"""Messages of paused tasks are given back by a worker, and not started."""

from __future__ import annotations

import json
from pathlib import Path

from s3queue.core.halts import give_back
from s3queue.runtime.local.journal import OK, UNFIT
from s3queue.runtime.local.wire import FailedNote, Finished, Halted
from s3queue.store import ObjectStore
from tests.runtime import jobs
from tests.runtime.desk import desk

PAUSED = Halted({jobs.plain.append.queue: ("append",), "another": ("noop",)})


def test_messages_of_a_paused_task_are_given_back_and_others_of_their_batch_run(
    store: ObjectStore, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    with desk(store) as it:
        it.send(PAUSED)
        it.deal_new(0, it.message("append", out, "never"), it.message("noop"))
        assert it.expect(FailedNote) == FailedNote(0, 0, give_back("append"))
        assert it.expect(Finished).row == 0
        assert it.states(0) == [UNFIT, OK]
        it.send(Halted({}))
        it.deal_new(1, it.message("append", out, "now"))
        assert it.expect(Finished).row == 1
    assert Path(out).read_text() == "now\n"


def test_task_that_takes_several_messages_is_given_none_while_it_is_paused(store: ObjectStore, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with desk(store) as it:
        it.send(Halted({jobs.plain.append.queue: ("together",)}))
        it.deal_new(0, it.message("together", out), it.message("together", out))
        assert [it.expect(FailedNote).outcome for _ in range(2)] == [give_back("together")] * 2
        it.expect(Finished)
        assert it.states(0) == [UNFIT, UNFIT]
    assert not Path(out).exists()


def test_messages_whose_task_is_paused_while_their_batch_waits_are_given_back_and_not_told_to_have_started(
    store: ObjectStore, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    with desk(store, history=str(tmp_path / "history")) as it:
        it.deal_new(0, *[it.message("together", out)] * 2)  # waits for two more
        it.obeyed()
        it.send(Halted({jobs.plain.append.queue: ("together",)}))
        it.obeyed()
        it.deal_new(1, it.message("noop"), ticket="1-8")  # closes the batch
        assert [it.expect(FailedNote) for _ in range(2)] == [FailedNote(0, at, give_back("together")) for at in (0, 1)]
        assert [it.expect(Finished).row for _ in range(2)] == [0, 1]
        assert it.states(0) == [UNFIT, UNFIT]
        assert it.stop() == 0
        (file,) = (tmp_path / "history").glob("worker-*.jsonl")
        told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["task"] for line in told if line["kind"] == "started"] == ["noop"]
    assert not Path(out).exists()
