from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s3queue.runtime.supervisor import children
from s3queue.runtime.supervisor.children import GROWN_UP_S, Child, MemoryKills, Patience, memory_kill_counter


def dead(status: int, cause: str = "", text: str = "", *, up: bool = True, age_s: float = 1.0) -> Any:
    """What `death` and `Patience` look at of a child that was reaped."""
    return SimpleNamespace(name="worker 1", pid=7, status=status, cause=cause, text=text, up=up, age_s=age_s)


@pytest.mark.parametrize(
    ("child", "out_of_memory", "cause", "says"),
    [
        (dead(-signal.SIGKILL), False, "killed", "was killed by SIGKILL"),
        (dead(-signal.SIGKILL), True, "oom", "out of memory"),
        (dead(-signal.SIGSEGV), True, "killed", "was killed by SIGSEGV"),
        (dead(-64), False, "killed", "was killed by SIGRTMAX"),
        (dead(-40), False, "killed", "was killed by signal 40"),
        (dead(3), False, "exited", "exited with status 3"),
        (dead(-signal.SIGKILL, "time_limit", "over it"), True, "time_limit", "was killed: over it"),
        (dead(0, "shutdown"), False, "shutdown", "was killed"),
    ],
)
def test_death_has_a_cause_and_a_text(child: Any, out_of_memory: bool, cause: str, says: str) -> None:
    told = Child.death(child, out_of_memory=out_of_memory)
    assert told[0] == cause
    assert told[1].startswith("worker 1 (process 7) ")
    assert says in told[1]


def test_child_that_keeps_dying_young_is_replaced_ever_later() -> None:
    patience = Patience()
    waits = [patience.died(dead(1), blameless=False) for _ in range(12)]
    assert waits[:5] == [0.0, 0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == 30.0
    assert patience.died(dead(1, age_s=GROWN_UP_S), blameless=False) == 0.0
    assert patience.died(dead(1), blameless=False) == 0.0


def test_child_that_ended_because_it_was_told_to_is_replaced_at_once() -> None:
    patience = Patience()
    assert [patience.died(dead(0), blameless=True) for _ in range(5)] == [0.0] * 5


def test_deaths_before_a_child_was_up_are_counted_until_one_is() -> None:
    patience = Patience()
    for _ in range(4):
        patience.died(dead(1, up=False), blameless=False)
    assert patience.stillborn == 4
    patience.is_up()
    patience.died(dead(1, up=False), blameless=False)
    assert patience.stillborn == 1


def test_kill_for_memory_is_blamed_for_a_while_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(children, "clock", lambda: now)
    file = tmp_path / "memory.events"
    file.write_text("low 0\noom 3\noom_kill 3\n")
    kills = MemoryKills(file)
    assert not kills.just_rose()
    file.write_text("low 0\noom 4\noom_kill 4\n")
    assert kills.just_rose()
    now += children.BLAME_S
    assert not kills.just_rose()


def test_no_counter_means_no_blame(tmp_path: Path) -> None:
    assert not MemoryKills(None).just_rose()
    assert not MemoryKills(tmp_path / "missing").just_rose()


def test_this_machine_counts_kills_for_memory_somewhere() -> None:
    file = memory_kill_counter()
    if file is None:
        pytest.skip("not on this kernel")
    assert "oom_kill " in file.read_text("ascii")
