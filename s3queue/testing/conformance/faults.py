"""Unanswered requests: a put without an answer has an unknown outcome, and is sent once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from s3queue.errors import OutcomeUnknown, StoreUnavailable
from s3queue.store import Conflict, Found, ObjectStore
from s3queue.testing.conformance.acts import expect, expect_error, must_find, must_store, new_and_old


class Faults(Protocol):
    """A proxy between a store and its server that loses requests and answers on demand.

    `s3queue.testing.faultproxy.FaultProxy` is one, for servers that speak HTTP.
    """

    def lose_answers(self) -> AbstractContextManager[None]:
        """In the block requests are carried out, but their answers never arrive."""
        ...

    def lose_requests(self) -> AbstractContextManager[None]:
        """In the block requests vanish after they were sent."""
        ...

    def cut_requests(self) -> AbstractContextManager[None]:
        """In the block a connection breaks after the headers of a request with a body have reached the server."""
        ...

    def refuse(self) -> AbstractContextManager[None]:
        """In the block no connection is accepted."""
        ...

    @property
    def seen(self) -> int:
        """Number of requests so far, lost ones included."""
        ...


FaultCheck = Callable[[ObjectStore, str, Faults], None]


def an_unanswered_put_that_landed_is_unknown(store: ObjectStore, prefix: str, faults: Faults) -> None:
    for key, version in new_and_old(store, prefix):
        with faults.lose_answers():
            expect_error(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
        expect(must_find(store, key).body, b"mine", "get after the put that landed")
        expect(store.put(key, b"mine", if_version=version), Conflict(), "the same put again")


def an_unanswered_put_that_did_not_land_is_unknown(store: ObjectStore, prefix: str, faults: Faults) -> None:
    for key, version in new_and_old(store, prefix):
        before = store.get(key)
        with faults.lose_requests():
            expect_error(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
        expect(store.get(key), before, "get after the put that was lost")
        must_store(store, key, b"mine", version)


def a_put_that_is_cut_short_stores_nothing(store: ObjectStore, prefix: str, faults: Faults) -> None:
    """A put names the length and the checksum of its body. A server that stores less makes a message lost, or a
    register unreadable.
    """
    for key, version in new_and_old(store, prefix):
        before = store.get(key)
        with faults.cut_requests():
            expect_error(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
        expect(store.get(key), before, "get after a put that was cut short")
        must_store(store, key, b"mine", version)


def an_unanswered_put_is_sent_once(store: ObjectStore, prefix: str, faults: Faults) -> None:
    for key, version in new_and_old(store, prefix):
        with faults.lose_answers():
            before = faults.seen
            expect_error(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
            expect(faults.seen - before, 1, "requests for one put")


def an_unanswered_read_is_unavailable(store: ObjectStore, prefix: str, faults: Faults) -> None:
    must_store(store, f"{prefix}a", b"one", None)
    with faults.lose_answers():
        expect_error(StoreUnavailable, lambda: store.get(f"{prefix}a"))
        expect_error(StoreUnavailable, lambda: store.list(prefix))
        expect_error(StoreUnavailable, lambda: store.delete([f"{prefix}a"]))


def a_refused_connection_is_unavailable(store: ObjectStore, prefix: str, faults: Faults) -> None:
    made = must_store(store, f"{prefix}a", b"one", None)
    store.close()
    with faults.refuse():
        expect_error(StoreUnavailable, lambda: store.put(f"{prefix}a", b"two", if_version=made))
        expect_error(StoreUnavailable, lambda: store.put(f"{prefix}b", b"two", if_version=None))
        expect_error(StoreUnavailable, lambda: store.get(f"{prefix}a"))
        expect_error(StoreUnavailable, lambda: store.list(prefix))
        expect_error(StoreUnavailable, lambda: store.delete([f"{prefix}a"]))
    expect(store.get(f"{prefix}a"), Found(b"one", made), "get once connections are accepted again")


FAULT_CHECKS: Sequence[FaultCheck] = (
    an_unanswered_put_that_landed_is_unknown,
    an_unanswered_put_that_did_not_land_is_unknown,
    a_put_that_is_cut_short_stores_nothing,
    an_unanswered_put_is_sent_once,
    an_unanswered_read_is_unavailable,
    a_refused_connection_is_unavailable,
)
