"""How long a host may be silent, with a clock that the test moves."""

from __future__ import annotations

from s3queue.core.hearing import Heard
from s3queue.core.records import Board, Dozing, Ledger
from s3queue.core.silence import Silence, claim_s
from tests.core.world import board, ledger, one_ticket

#: Writes every five minutes, polls every 4 s: it has 12 s to claim.
DOZING = Dozing(300.0, 4.0)


def heard(of: Ledger, since: float = 0.0, **fields: bool) -> dict[str, Heard]:
    return {of.session: Heard("v1", of, since, **fields)}


def assigned() -> Board:
    return one_ticket()[0]


def test_an_awake_host_is_ended_after_its_visibility_timeout() -> None:
    silence, hosts = Silence(30.0), heard(ledger("h1"))
    assert not silence.ended(board(), hosts, (), 30.0)
    assert silence.ended(board(), hosts, (), 30.1)["h1"].ledger.fenced


def test_a_dozing_host_that_holds_nothing_has_three_of_its_intervals() -> None:
    silence, hosts = Silence(30.0), heard(ledger("h1", dozing=DOZING))
    assert not silence.ended(board(), hosts, (), 900.0)
    assert silence.ended(board(), hosts, (), 900.1).keys() == {"h1"}


def test_the_silence_of_a_dozing_host_counts_from_the_first_look_at_its_ticket() -> None:
    silence, hosts = Silence(30.0), heard(ledger("h1", dozing=DOZING))
    for now in (290.0, 296.0, 302.0):
        assert not silence.ended(assigned(), hosts, (), now)
    assert silence.ended(assigned(), hosts, (), 302.1).keys() == {"h1"}


def test_a_second_ticket_after_an_empty_board_gives_a_dozing_host_its_time_again() -> None:
    silence, hosts = Silence(30.0), heard(ledger("h1", dozing=DOZING))
    silence.ended(assigned(), hosts, (), 100.0)
    silence.ended(board(), hosts, (), 105.0)
    assert not silence.ended(assigned(), hosts, (), 113.0)


def test_a_host_whose_last_write_cannot_be_read_may_doze_by_now() -> None:
    silence, hosts = Silence(30.0), heard(ledger("h1"), is_read=False)
    assert not silence.ended(assigned(), hosts, (), 290.0)
    assert silence.ended(assigned(), hosts, (), 320.1).keys() == {"h1"}


def test_an_outage_of_the_coordinator_restarts_the_time_to_claim() -> None:
    silence, hosts = Silence(30.0), heard(ledger("h1", dozing=DOZING))
    silence.ended(assigned(), hosts, (), 100.0)
    silence.anew(hosts)
    hosts["h1"].since = 0.0
    assert not silence.ended(assigned(), hosts, (), 120.0)


def test_a_host_that_polls_often_has_five_seconds_to_claim() -> None:
    assert claim_s(ledger(dozing=Dozing(300.0, 0.5))) == 5.0


def test_our_own_host_counts_as_one_that_has_just_written() -> None:
    hosts = heard(ledger("me", dozing=DOZING)) | heard(ledger("h1", dozing=DOZING), 95.0) | heard(ledger("h2"))
    assert Silence(30.0).quiet_s(hosts, "me", 100.0) == {"me": 0.0, "h1": 5.0}
