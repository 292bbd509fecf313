"""Short chaos runs: real hosts, real faults, and the verdict on what they wrote down.

``python -m stress run`` does the same for longer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from s3queue.testing.servers import Server
from stress.chaos import drive
from stress.chaos.faults import can_mount
from stress.chaos.plan import FEATURES
from stress.chaos.wanted import Outcome, Wanted

PROCESSES = ("kill", "stop", "agent", "supervisor")


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    return tmp_path / "run"


def passed(wanted: Wanted, evidence: Path) -> Outcome:
    outcome = drive.run(wanted._replace(timeout_s=240.0, evidence=evidence))
    report = outcome.report()
    assert outcome.passed, json.dumps(report, indent=1) + "\n".join(outcome.verdict.unexplained)
    assert report["messages"] == wanted.messages
    if "operate" not in wanted.kinds:  # then only the board tells, of some, whether they were done or called off
        assert report["done"] + report["dead"] == wanted.messages
    assert all(report["faults"][kind] for kind in wanted.kinds if kind not in outcome.skipped), "each kind was done"
    return outcome


def test_a_run_on_sqlite_loses_nothing_and_does_nothing_twice(evidence: Path) -> None:
    kinds = (*PROCESSES, "clock", "disk")
    outcome = passed(Wanted(messages=400, kinds=kinds, mishaps=len(kinds), seed=11), evidence)
    assert ("disk" in outcome.skipped) == (not can_mount())
    assert outcome.verdict.takeovers + outcome.verdict.bequests > 0
    assert outcome.requests["put"] > 0


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_a_run_on_a_server_behind_a_bad_network_loses_nothing_and_does_nothing_twice(
    seaweedfs_server: Server, evidence: Path, backend: str
) -> None:
    store = seaweedfs_server.url(backend, f"chaos-{backend.replace('+', '-')}")
    passed(Wanted(store, messages=200, kinds=(*PROCESSES, "net"), mishaps=5, seed=12), evidence)


def test_a_run_on_a_server_in_a_container_loses_nothing(container_server: Server, evidence: Path) -> None:
    passed(Wanted(container_server.url("minio", "chaos"), messages=200, kinds=PROCESSES, mishaps=4, seed=13), evidence)


def test_without_faults_nothing_runs_twice_but_what_asked_for_it(evidence: Path) -> None:
    outcome = passed(Wanted(messages=300, kinds=(), mishaps=0, seed=15), evidence)
    repeats = outcome.verdict.ran_twice
    assert repeats["asked"] > 0
    assert (repeats["fenced"], repeats["unexplained"]) == (0, 0)
    assert outcome.verdict.fences == 0


def test_what_operators_are_told_is_true_of_all_that_starts_afterwards(evidence: Path) -> None:
    kinds = ("kill", "agent", "supervisor", "operate")
    outcome = passed(Wanted(messages=400, kinds=kinds, mishaps=12, seed=16), evidence)
    assert outcome.faults["operate"] == 3


@pytest.mark.parametrize("features", [("limits", "results", "once"), tuple(FEATURES)], ids=["three", "all"])
def test_what_messages_show_holds_while_processes_die(evidence: Path, features: tuple[str, ...]) -> None:
    """Of calls with one dedup id only the first is a message."""
    kinds = ("kill", "agent", "supervisor")
    wanted = Wanted(messages=400, kinds=kinds, mishaps=6, seed=18, features=features, timeout_s=240.0)
    wanted = wanted._replace(evidence=evidence, schedules=2 * (len(features) > 3))
    outcome = drive.run(wanted)
    assert outcome.passed, json.dumps(outcome.report(), indent=1)
    assert 300 < outcome.verdict.messages < 400


def test_what_cannot_be_had_is_skipped_with_its_reason(evidence: Path) -> None:
    outcome = passed(Wanted(messages=20, kinds=("net", "kill"), mishaps=1, seed=14), evidence)
    assert "network" in outcome.skipped["net"]
    assert os.listdir(evidence), "the evidence is for the caller to remove"
