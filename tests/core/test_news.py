"""Which ledgers of its own host make a coordinator look: every look that is asked for makes a later one wait."""

from __future__ import annotations

from msgspec.structs import replace

from s3queue.core.cycle import Lead
from s3queue.core.elect import View
from s3queue.core.keys import Layout
from s3queue.core.plan import Settings
from s3queue.core.records import Board, Leader, Ledger, Report, Usage


def is_news(ledger: Ledger, before: Ledger | None) -> bool:
    view = View(Board("n", epoch=1, leader=Leader("host")), "v", looked=True)
    lead = Lead(Layout(), view, Settings(), 0.0, 0)
    if before is not None:
        lead.enter(before, "v1")
    return lead.enter(ledger, "v2")


IDLE = Ledger("n1", "host", slots=2)
BUSY = replace(IDLE, claims=("0000000001-0000000000",))


def test_host_that_came_is_news() -> None:
    assert is_news(IDLE, None)


def test_outcomes_are_news() -> None:
    assert is_news(replace(BUSY, reports={BUSY.claims[0]: Report(ok=(0, 1))}), BUSY)


def test_claim_that_was_stored_is_no_news() -> None:
    assert not is_news(BUSY, IDLE)


def test_ticket_that_our_own_board_has_taken_over_is_no_news() -> None:
    assert not is_news(replace(IDLE, nonce="n2"), BUSY)


def test_host_that_takes_no_more_or_has_left_is_news() -> None:
    assert is_news(replace(BUSY, slots=0), BUSY)
    assert is_news(replace(IDLE, left=True), IDLE)


def test_sign_of_life_of_an_idle_host_is_no_news() -> None:
    assert not is_news(replace(IDLE, nonce="n2", usage={"host": Usage(put=1)}), IDLE)
