"""How long a host may be silent before it is fenced.

An awake host writes its ledger every third of its visibility timeout. A host that has held nothing for a while **dozes**:
its ledger says so, it writes rarely, and polls the board as before. Rules:

- A dozing host that holds nothing is fenced after `WRITES` of its intervals: dead ones must not pile up, since each could
  cost a message `claim_s`.
- Once a ticket names it, its silence counts from the first look at the board that commits the ticket, not from its last
  write: otherwise it would be fenced before it could claim. It has `claim_s` for that. It loses nothing but its session.
- Its first write after that claims and says that it is awake.

All times are seconds of the coordinator's steady clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core.hearing import Heard
from s3queue.core.records import Board, Ledger

#: Missing writes in a row after which a dozing host is fenced: one may be late, a second one lost.
WRITES = 3
#: Polls in a row that a dozing host has to find its ticket before it is fenced.
POLLS = 3
#: Least seconds that it has for that: its requests may be slow.
SHORTEST_CLAIM_S = 5.0


class Silent(NamedTuple):
    """A session to end.

    Attributes:
        version: of the ledger to replace; None: there is none.
        ledger: the fenced ledger to put.
        is_read: whether it is the stored ledger plus the fence. Otherwise the stored one is read first: it may be over
            already, and its reports count.
    """

    version: str | None
    ledger: Ledger
    is_read: bool = True


class Silence:
    """
    Args:
        own_s: our visibility timeout.
    """

    def __init__(self, own_s: float) -> None:
        self._own_s = own_s
        #: By session, when its tickets were first seen on a committed board.
        self._given: dict[str, float] = {}

    def anew(self, heard: Mapping[str, Heard]) -> None:
        """Restart the measurement of every host's silence, after the coordinator itself did not reach the store. Otherwise,
        after an outage longer than the visibility timeout, the first coordinator to return would fence all hosts."""
        self._given.clear()
        for one in heard.values():
            one.since = None

    def quiet_s(self, heard: Mapping[str, Heard], me: str, now: float) -> dict[str, float]:
        """By dozing session, the seconds since its last write, as far as known. Only our own host has less than a second:
        it lives, and learns of a ticket with its commit."""
        return {
            session: 0.0 if session == me else max(1.0, 0.0 if one.since is None else now - one.since)
            for session, one in heard.items()
            if one.ledger is not None and one.ledger.dozing is not None
        }

    def ended(self, board: Board, heard: Mapping[str, Heard], gone: Collection[str], now: float) -> dict[str, Silent]:
        """Sessions to end: those that fell silent, those whose processes are gone, and those that the board names and that
        left no ledger.

        Args:
            board: as committed.
            gone: sessions of this machine whose processes are known to be gone.
            now: taken before the survey.
        """
        tickets: dict[str, list[str]] = {}
        for name, ticket in board.tickets.items():
            tickets.setdefault(ticket.session, []).append(name)
        self._given = {session: self._given.get(session, now) for session in tickets}
        silent: dict[str, Silent] = {}
        for session in sorted(heard.keys() | tickets.keys()):
            one = heard.get(session)
            # Without a readable ledger it is unknown what was claimed: everything counts as claimed, so that no attempt
            # can run twice. This includes tickets from a later coordinator, if we were replaced.
            ledger = Ledger("", session, fenced=True, claims=tuple(tickets.get(session, ())), unread=True)
            if one is not None:
                if session not in gone and not self._is_silent(session, one, now):
                    continue
                if one.ledger is not None and one.ledger.over:
                    continue
                if one.ledger is not None and one.is_read:
                    ledger = replace(one.ledger, fenced=True)
            silent[session] = Silent(None if one is None else one.version, ledger, is_read=one is None or one.is_read)
        return silent

    def _is_silent(self, session: str, heard: Heard, now: float) -> bool:
        if heard.since is None:
            return False
        ledger, since, patience_s = heard.ledger, heard.since, patience(heard.ledger, self._own_s)
        if ledger is not None and ledger.dozing is not None:
            given = self._given.get(session)
            if given is None:
                patience_s = longest_s(ledger, self._own_s)
            else:
                since, patience_s = max(since, given), claim_s(ledger)
        elif not heard.is_read and session in self._given:  # it may doze by now
            since = max(since, self._given[session])
        return now - since > patience_s


def patience(ledger: Ledger | None, own_s: float) -> float:
    """Seconds of silence before an awake host is fenced: its visibility timeout or ours, whichever is longer. A host with a
    longer timeout writes less often."""
    return own_s if ledger is None else max(own_s, ledger.visibility_timeout)


def longest_s(ledger: Ledger, own_s: float) -> float:
    """Seconds without a write after which a host that holds nothing is fenced: how old its ledger may be."""
    patience_s = patience(ledger, own_s)
    return patience_s if ledger.dozing is None else max(patience_s, WRITES * ledger.dozing.write_s)


def claim_s(ledger: Ledger) -> float:
    """Seconds that a dozing host has to claim its first ticket."""
    assert ledger.dozing is not None
    return max(SHORTEST_CLAIM_S, POLLS * ledger.dozing.poll_s)
