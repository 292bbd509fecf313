"""What makes the coordinator of a process look at once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from s3queue.core.records import Report
from s3queue.runtime.leading import is_news
from tests.core.world import claimed, ledger


def test_outcome_is_news_whatever_was_there_before() -> None:
    report = claimed("1-0", Report(ok=(0, 1)))
    assert is_news(report, None)
    assert is_news(report, report)


def test_host_that_came_or_ran_out_of_work_is_news_and_that_it_is_still_there_is_none() -> None:
    idle = replace(ledger("h1"), nonce="new")
    assert is_news(idle, None)
    assert is_news(idle, claimed("1-0"))
    assert not is_news(idle, ledger("h1"))


@pytest.mark.parametrize("change", [{"slots": 0}, {"left": True}])
def test_idle_host_that_changes_is_news(change: dict[str, object]) -> None:
    assert is_news(ledger("h1", **change), ledger("h1"))


def test_host_that_only_took_its_tickets_is_none() -> None:
    assert not is_news(claimed("1-0"), ledger("h1"))
