from __future__ import annotations

import signal
from pathlib import Path

import pytest

from s3queue.runtime.supervisor import causes
from s3queue.runtime.supervisor.causes import UNKNOWN, MemoryKills, death, memory_kill_counter


@pytest.mark.parametrize(
    ("status", "out_of_memory", "cause", "says"),
    [
        (-signal.SIGKILL, False, "killed", "was killed by SIGKILL"),
        (-signal.SIGKILL, True, "oom", "out of memory"),
        (-signal.SIGSEGV, True, "killed", "was killed by SIGSEGV"),
        (-64, False, "killed", "was killed by SIGRTMAX"),
        (-40, False, "killed", "was killed by signal 40"),
        (3, False, "exited", "exited with status 3"),
        (UNKNOWN, False, "exited", "its exit status was taken by another part of this program"),
    ],
)
def test_death_has_a_cause_and_a_text(status: int, out_of_memory: bool, cause: str, says: str) -> None:
    told = death("worker 1 (process 7)", status, out_of_memory=out_of_memory)
    assert told[0] == cause
    assert told[1].startswith("worker 1 (process 7) ")
    assert says in told[1]


def test_kill_for_memory_is_blamed_for_a_while_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(causes, "clock", lambda: now)
    file = tmp_path / "memory.events"
    file.write_text("low 0\noom 3\noom_kill 3\n")
    kills = MemoryKills(file)
    assert not kills.just_rose()
    file.write_text("low 0\noom 4\noom_kill 4\n")
    assert kills.just_rose()
    now += causes.BLAME_S
    assert not kills.just_rose()


def test_no_counter_means_no_blame(tmp_path: Path) -> None:
    assert not MemoryKills(None).just_rose()
    assert not MemoryKills(tmp_path / "missing").just_rose()


def test_this_machine_counts_kills_for_memory_somewhere() -> None:
    file = memory_kill_counter()
    if file is None:
        pytest.skip("not on this kernel")
    assert "oom_kill " in file.read_text("ascii")
