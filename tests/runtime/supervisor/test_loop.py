"""The loop over real processes that do what a test says instead of what an agent and workers do."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue import QueueError, task
from s3queue.config import Config
from s3queue.errors import StoreUnsupported
from s3queue.registry import Registry, registry
from s3queue.runtime.agent import main as agent_main
from s3queue.runtime.local.wire import FENCED, Died, Drain, Left, Note, Read, Started, pack, unpack
from s3queue.runtime.supervisor.household import Summary
from s3queue.runtime.worker import main as worker_main
from s3queue.supervisor import Supervisor


class Stage:
    """What the children do, by scripts that are called in them with their spec and how many came before."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(registry, "_tasks", {})
        tasks = Registry()
        tasks.add(task(queue="q", name="nothing")(_nothing))
        self.history = path / "history"
        self.supervisor = Supervisor(
            MemoryStore(), tasks=tasks, config=Config(), workers=2, history=str(self.history), drain_timeout=0.1
        )

    def play(self, agent: Callable[[Any, int], None], worker: Callable[[Any, int], None]) -> Summary:
        for module, script in ((agent_main, agent), (worker_main, worker)):
            self._monkeypatch.setattr(module, "main", self._counted(script))
        return self.supervisor.run()

    def _counted(self, script: Callable[[Any, int], None]) -> Callable[[Any], None]:
        def main(spec: Any) -> None:
            role = f"worker-{spec.worker}" if hasattr(spec, "worker") else "agent"
            count = self.path / role
            before = count.stat().st_size if count.exists() else 0
            with count.open("a") as file:
                file.write(".")
            script(spec, before)

        return main

    def starts(self, role: str) -> int:
        return (self.path / role).stat().st_size

    def workers_started(self) -> int:
        return sum(it.stat().st_size for it in self.path.glob("worker-*"))

    def told(self, kind: str) -> list[dict[str, Any]]:
        lines = [line for file in self.history.glob("supervisor-*") for line in file.read_text().splitlines()]
        return [it for it in map(json.loads, lines) if it["kind"] == kind]


def _nothing() -> None: ...


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def say(spec: Any, note: Note) -> None:
    spec.conn.send_bytes(pack(note))


def hear(spec: Any) -> Note:
    return unpack(spec.conn.recv_bytes())


def works(spec: Any, _: int) -> None:
    """A worker that is up and never ends by itself."""
    say(spec, Started())
    signal.pause()


def leaves(spec: Any) -> None:
    say(spec, Left({"q": (3, 1)}))
    os._exit(0)


def drains(spec: Any, *, parent: int) -> None:
    """Ask the host to end, and leave when it says so."""
    os.kill(parent, signal.SIGTERM)
    while not isinstance(hear(spec), Drain):
        pass
    leaves(spec)


def test_workers_of_a_host_that_was_fenced_are_killed_and_another_session_begins(stage: Stage) -> None:
    parent = os.getpid()

    def agent(spec: Any, before: int) -> None:
        say(spec, Started())
        while stage.workers_started() < 2 * (before + 1):
            os.sched_yield()
        if before == 0:
            os._exit(FENCED)
        drains(spec, parent=parent)

    summary = stage.play(agent, works)
    assert [stage.starts(f"worker-{number}") for number in range(2)] == [2, 2]
    assert stage.starts("agent") == 2
    assert len(stage.told("fenced")) == 1
    assert (summary.drained, summary.settled) == (True, {"q": (3, 1)})
    (ended,) = stage.told("ended")
    assert ended["text"] == "q: 3 done, 1 dead"


def test_start_and_drain_are_told(stage: Stage) -> None:
    parent = os.getpid()

    def agent(spec: Any, _: int) -> None:
        say(spec, Started())
        drains(spec, parent=parent)

    stage.play(agent, works)
    (serving,) = stage.told("serving")
    assert serving["store"].startswith("memory://")
    assert (serving["queues"], serving["tasks"], serving["workers"], serving["pacing"]) == ("q", 1, 2, "none")
    (draining,) = stage.told("draining")
    assert (draining["why"], draining["running"]) == ("SIGTERM", 0)
    assert "second" in draining["text"]


def test_agent_hears_of_a_death_after_what_the_worker_had_started_is_gone(stage: Stage) -> None:
    parent = os.getpid()
    program = stage.path / "program"

    def agent(spec: Any, _: int) -> None:
        say(spec, Started())
        while not isinstance(note := hear(spec), Died):
            pass
        stat = Path(f"/proc/{program.read_text().strip()}/stat")
        alive = stat.exists() and stat.read_text().rpartition(") ")[2][0] not in "ZX"
        (stage.path / "seen").write_text(f"{alive} {note.worker} {note.cause}")
        say(spec, Read(note.worker))
        drains(spec, parent=parent)

    def worker(spec: Any, before: int) -> None:
        if spec.worker == 1 and before == 0:
            say(spec, Started())
            os.system(f"sleep 600 & echo $! > {program}")
            os._exit(3)
        works(spec, before)

    stage.play(agent, worker)
    assert (stage.path / "seen").read_text() == "False 1 exited"


def test_agent_that_keeps_dying_ends_the_host_though_it_was_up_once(stage: Stage) -> None:
    def agent(spec: Any, before: int) -> None:
        if before == 0:
            say(spec, Started())
        os._exit(3)

    with pytest.raises(
        QueueError, match=r"giving up: agent .* exited with status 3, for the 5th time before it was up"
    ):
        stage.play(agent, works)


def test_store_that_was_seen_to_break_a_promise_ends_the_host_although_agents_were_up(stage: Stage) -> None:
    def agent(spec: Any, before: int) -> None:
        say(spec, Started())
        raise StoreUnsupported("atomic replace", "two writers won")

    with pytest.raises(StoreUnsupported, match="two writers won"):
        stage.play(agent, lambda spec, before: signal.pause())
    assert stage.starts("agent") == 1
