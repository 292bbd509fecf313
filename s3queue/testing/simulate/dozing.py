"""Invariant I22: a living host is not fenced before it could claim."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.silence import WRITES, claim_s
from s3queue.testing.simulate.promises import is_known_dead
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict, first


def i22_a_dozing_host_can_claim_before_it_is_fenced(story: Story) -> Verdict:
    """It has the time of some polls from the board that assigns it something, and of some writes while it holds nothing."""

    def faults() -> Iterator[str]:
        for session, over in story.ended.items():
            assert over.ledger is not None
            before = story.ledger_before(session, over.n)
            if not over.ledger.fenced or before is None or before.ledger is None or before.ledger.dozing is None:
                continue
            given_at = _given_at(story, session, over.n)
            if given_at is None:
                is_silent = over.at - before.at > WRITES * before.ledger.dozing.write_s
            else:
                is_silent = over.at - max(given_at, before.at) > claim_s(before.ledger)
            if not is_silent and not is_known_dead(story, session, over.n):
                yield f"event {over.n}: {session} dozed and was fenced, and was alive"

    return first(faults())


def _given_at(story: Story, session: str, n: int) -> float | None:
    """When the board that stands at this event began to name tickets of the session; None: it names none."""
    given_at = None
    for state in story.boards:
        if state.n > n:
            break
        if not any(ticket.session == session for ticket in state.board.tickets.values()):
            given_at = None
        elif given_at is None:
            given_at = state.at
    return given_at
