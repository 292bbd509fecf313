from __future__ import annotations

import pytest

from s3queue.core.ops import Get
from s3queue.errors import StoreUnavailable
from s3queue.io import drive
from s3queue.io.drive import Driver
from s3queue.observe.events import Events
from s3queue.runtime.agent.outage import Outage
from tests.io.test_drive import UNAVAILABLE, Scripted


class Told(Events):
    def __init__(self) -> None:
        super().__init__("agent")
        self.kinds: list[str] = []

    def emit(self, kind: str, **fields: object) -> None:
        self.kinds.append(kind)

    def warn(self, key: str, text: str, *, level: int = 0) -> None:
        self.kinds.append("warning")


def test_outage_of_the_store_is_told_once_with_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive.time, "sleep", lambda seconds: None)
    told = Told()
    outage = Outage(told)
    store = Scripted(None, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, None, None)
    driver = Driver(store, on_retry=outage.begins, on_answer=outage.ends)
    for _ in range(3):
        driver.perform(Get("k"))
    assert told.kinds == ["store_unavailable", "warning", "warning", "store_recovered"]


def test_outage_that_outlasts_a_request_ends_with_the_next_one_that_is_answered() -> None:
    told = Told()
    outage = Outage(told)
    driver = Driver(Scripted(UNAVAILABLE), patience_s=0.0, on_retry=outage.begins, on_answer=outage.ends)
    outage.begins(UNAVAILABLE)
    with pytest.raises(StoreUnavailable):
        driver.perform(Get("k"))
    driver.perform(Get("k"))
    assert told.kinds == ["store_unavailable", "store_recovered"]


def test_requests_that_fail_and_succeed_in_turn_as_a_store_goes_away_are_one_outage() -> None:
    told = Told()
    outage = Outage(told)
    for _ in range(5):
        outage.begins(UNAVAILABLE)
        outage.ends()
    assert told.kinds == ["store_unavailable", "store_recovered", *["warning"] * 4]
