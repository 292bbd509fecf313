"""Where two writes look alike, both of two writers that hold one version could win.

The predecessor kept small entries in object metadata, with empty bodies: every version of an entry had the ETag of the
empty string, and two claims with the same stale ETag both succeeded. Here state is in the body, and every body of a
register carries a fresh nonce.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from s3queue.core.ledger import Refused
from s3queue.core.ops import Overtaken
from s3queue.core.records import Ledger, encode
from s3queue.store import Conflict, ObjectStore, Stored
from tests.regressions.town import led

WRITERS = 8


def swap_by_many(store: ObjectStore, key: str, bodies: list[bytes]) -> int:
    """How many of the writers win that replace one and the same version."""
    first = store.put(key, bodies.pop(), if_version=None)
    assert isinstance(first, Stored)
    with ThreadPoolExecutor(len(bodies)) as pool:
        outcomes = list(pool.map(lambda body: store.put(key, body, if_version=first.version), bodies))
    store.delete([key])
    assert all(isinstance(outcome, Stored | Conflict) for outcome in outcomes)
    return sum(isinstance(outcome, Stored) for outcome in outcomes)


def bodies() -> list[bytes]:
    ledger = Ledger("", "h1", slots=1)
    return [encode(replace(ledger, nonce=f"n{number}")) for number in range(WRITERS)]


def test_of_many_writers_with_one_version_one_wins(store: ObjectStore) -> None:
    assert swap_by_many(store, "one-version", bodies()) == 1


def test_of_many_writers_with_one_version_one_wins_on_a_server(server_store: ObjectStore) -> None:
    assert swap_by_many(server_store, "one-version", bodies()) == 1


def test_nothing_that_is_written_twice_is_written_with_equal_bodies(store: ObjectStore) -> None:
    """The same state, stored again, is another version: a stale writer cannot pass for a current one."""
    town, first = led(store)
    versions = set()
    for _ in range(5):
        first.flush()
        versions.add(first.host.version)
        first.cycles(6)  # a heartbeat each third of the lease
    assert len(versions) == 5
    boards = [town.board().nonce]
    first.cycles(6)
    assert town.board().nonce not in boards


def test_two_candidates_that_saw_one_board_do_not_both_lead(store: ObjectStore) -> None:
    town, _ = led(store)
    second, third = town.host("h2"), town.host("h3")
    for candidate in (second, third):
        candidate.look()
        candidate.look()
    town.now += town.settings.leader_lease + 1
    assert second.may_stand()
    assert third.may_stand()
    assert isinstance(second.stand(), Stored)
    assert isinstance(third.stand(), Overtaken)
    assert third.lead is None
    assert town.board().epoch == 2


def test_a_host_and_its_fence_do_not_both_write_its_ledger(store: ObjectStore) -> None:
    town, first = led(store)
    silent = town.host("h2", slots=8)
    town.enqueue(12)
    first.cycle()
    (ticket,) = silent.claim()
    silent.succeed(ticket)
    for _ in range(int(town.settings.visibility_timeout) + 3):
        first.flush()
        first.cycles(1)
    assert silent.flush() is Refused.FENCED
    assert silent.host.over
