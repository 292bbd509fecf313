"""When a host writes its ledger, with a clock that the test moves."""

from __future__ import annotations

from s3queue.config import Config
from s3queue.core.flushes import Flushes
from s3queue.core.held import Held
from s3queue.core.keys import Layout, source_path
from s3queue.core.ledger import Host
from s3queue.core.pacing import Pace
from s3queue.core.records import Dozing, Failed, Ledger, Offer, Part, Ticket
from s3queue.store import Capabilities

NOW = 1000.0


def busy_host(group: str | None = None) -> tuple[Host, Flushes, Pace]:
    """Twenty messages for four slots, claimed a moment ago, on a billed store."""
    host = Host(Layout(), "session", 4, {"q": Offer()})
    pace = Pace(Config(), Capabilities("priced"))
    flushes = Flushes(host, pace, 30.0)
    count = 20 if group is None else 1
    path = source_path("q", sent_ms=1_700_000_000_000, batch="0" * 16, count=count, group=group)
    host.tickets["1-0"] = Held(Ticket("session", (Part(path, 0, count, 1),)))
    flushes.begins(0, NOW)
    store(host, flushes)
    return host, flushes, pace


def store(host: Host, flushes: Flushes) -> None:
    host.stored = Ledger("nonce", host.session, claims=tuple(host.tickets))
    host.trusted_from, host.pending, host.stored_changes = NOW, None, host.changes
    flushes.stored(host.tickets)


def test_nothing_to_say_is_said_as_a_sign_of_life() -> None:
    _, flushes, _ = busy_host()
    assert flushes.next_at(20, NOW) == NOW + 10.0


def test_outcome_waits_for_others_from_when_it_came_about() -> None:
    host, flushes, _ = busy_host()
    host.succeed("1-0", (0, 1))
    assert flushes.next_at(19, NOW + 3.0) == NOW + 5.0
    host.succeed("1-0", (1, 2))
    assert flushes.next_at(18, NOW + 4.0) == NOW + 5.0


def test_what_somebody_waits_for_goes_at_once() -> None:
    def soon(host: Host, flushes: Flushes, pace: Pace, left: int) -> bool:
        return flushes.next_at(left, NOW + 1.0) <= NOW + pace.floor_s

    failing = busy_host()
    failing[0].fail("1-0", 0, Failed("retry", 0.0))
    assert soon(*failing, left=19)
    giving_back = busy_host()
    giving_back[0].release("1-0", (4, 20))
    assert soon(*giving_back, left=4)
    draining = busy_host()
    draining[0].draining = True
    draining[0].changes += 1
    assert soon(*draining, left=20)
    of_a_group = busy_host(group="g")
    of_a_group[0].succeed("1-0", (0, 1))
    assert soon(*of_a_group, left=0)


def test_what_runs_once_more_is_claimed_at_once_though_other_work_is_there() -> None:
    host, flushes, pace = busy_host()
    path = source_path("q", sent_ms=1_700_000_000_001, batch="0" * 16, count=1)
    for attempt, at in ((1, NOW + 2.0), (2, NOW + pace.floor_s)):
        host.tickets["1-1"] = Held(Ticket("session", (Part(path, 0, 1, attempt),)))
        host.changes += 1
        assert flushes.next_at(20, NOW) == at


def test_write_that_was_not_answered_is_repeated_at_once_and_does_not_pass_for_what_came_after_it() -> None:
    host, flushes, pace = busy_host()
    host.succeed("1-0", (0, 1))
    flushes.next_at(19, NOW)
    flushes.begins(19, NOW + 2.0)
    host.pending = Ledger("other", host.session), NOW + 2.0, host.changes
    host.fail("1-0", 1, Failed("retry", 0.0))
    assert flushes.next_at(18, NOW + 2.0) <= NOW + 2.0 + pace.floor_s
    flushes.begins(18, NOW + 2.1)  # the same again: it does not tell of the failure
    changes = host.pending[2]
    store(host, flushes)
    host.stored_changes = changes
    assert flushes.next_at(18, NOW + 2.1) <= NOW + 2.1 + pace.floor_s


def test_sign_of_life_that_is_due_is_not_sent_without_pause() -> None:
    host, flushes, pace = busy_host()
    host.trusted_from = NOW - 100.0
    flushes.begins(20, NOW)
    assert flushes.next_at(20, NOW) == NOW + pace.floor_s


def idle_host(settings: Config = Config()) -> tuple[Host, Flushes]:  # noqa: B008 - frozen
    host = Host(Layout(), "session", 4, {"q": Offer()})
    return host, Flushes(host, Pace(settings, Capabilities("priced")), 30.0)


def test_a_host_dozes_after_two_visibility_timeouts_without_work() -> None:
    host, flushes = idle_host()
    for now in (NOW, NOW + 10.0, NOW + 59.9):
        flushes.begins(0, now)
        assert host.dozing is None
    flushes.begins(0, NOW + 60.0)
    assert host.dozing == Dozing(300.0, 3.6)
    host.trusted_from, host.stored_changes = NOW + 60.0, host.changes
    host.stored = Ledger("nonce", host.session, dozing=host.dozing)
    assert flushes.next_at(0, NOW + 61.0) == NOW + 360.0


def test_a_dozing_host_that_claims_is_awake() -> None:
    host, flushes = idle_host()
    for now in (NOW, NOW + 60.0):
        flushes.begins(0, now)
    path = source_path("q", sent_ms=1_700_000_000_000, batch="0" * 16, count=1)
    host.tickets["1-0"] = Held(Ticket("session", (Part(path, 0, 1, 1),)))
    flushes.begins(0, NOW + 61.0)
    assert host.dozing is None
    host.tickets.clear()
    flushes.begins(0, NOW + 62.0)
    assert host.dozing is None


def test_a_host_does_not_doze_where_that_is_switched_off() -> None:
    host, flushes = idle_host(Config(doze_interval=0.0))
    for now in (NOW, NOW + 60.0):
        flushes.begins(0, now)
    assert host.dozing is None
