"""Processes of one host shared an identity, the leader let its own lease lapse, and all queues had one fixed namespace.

So several believed that they led, and the epoch moved on every few seconds. Here a session's id holds machine, process and
random bits and is never used twice, a leader renews by writing the board, and a namespace is a prefix of every key.
"""

from __future__ import annotations

from s3queue.core.keys import Layout
from s3queue.runtime.local.life import Life
from s3queue.runtime.supervisor.household import new_session
from s3queue.store import ObjectStore
from tests.regressions.town import Town, drain, led


def test_no_two_sessions_have_one_id_though_they_are_of_one_process() -> None:
    assert len({new_session() for _ in range(1000)}) == 1000


def test_two_supervisors_of_one_machine_are_told_apart() -> None:
    lives = [Life.create(), Life.create()]
    try:
        first, second = (life.place() for life in lives)
        assert first.machine == second.machine
        assert first.life != second.life
    finally:
        for life in lives:
            life.close(remove=True)


def test_a_leader_that_lives_leads_for_ever(store: ObjectStore) -> None:
    """Idle or not: it writes the board at least every third of the lease, and nobody else may stand."""
    town, first = led(store)
    other = town.host("h2")
    for second in range(5 * int(town.settings.leader_lease)):
        town.now += 1
        first.cycle()
        if second % 10 == 0:
            other.flush()
            first.flush()
        other.look()
        assert not other.may_stand()
    assert town.board().epoch == 1


def test_of_many_sessions_of_one_machine_one_leads(store: ObjectStore) -> None:
    town = Town(store)
    crowd = [town.host(f"host-{number}") for number in range(5)]
    for member in crowd:
        member.look()
        assert member.may_stand(), "there is no board"
    for member in crowd:
        member.stand()
    assert [member.lead is not None for member in crowd].count(True) == 1
    assert town.board().epoch == 1


def test_namespaces_do_not_see_each_other(store: ObjectStore) -> None:
    town, first = led(store)
    town.enqueue(4)
    other = Town(store)
    other.layout = Layout("elsewhere")
    member = other.host("h1")
    member.look()
    member.stand()
    member.cycle()
    assert not member.claim()
    drain(town, first)
    assert not [item.key for item in store.list("elsewhere/") if "/in/" in item.key]
