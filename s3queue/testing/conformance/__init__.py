"""What a store must do, as plain functions. Any test runner will do::

    @pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        conformance.run(check, MyStore(...))

A check takes a store and a prefix of its own, and raises `NotConforming` saying what was expected and what came. It
never looks at a clock. Checks with processes hand the store to forked and spawned children, so it must be picklable, or
`s3queue.store.Shareable`.

`CHECKS` is what the queue relies on. `FAULT_CHECKS` are about requests that go unanswered; they need something that
loses them, see `Faults`. `STRICTER` is promised by `s3queue.store` and not used by the queue, and some stores fail it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from s3queue.store import ObjectStore
from s3queue.testing.conformance import deletes, listings, puts, reads, writers
from s3queue.testing.conformance.acts import Check, NotConforming, clear
from s3queue.testing.conformance.faults import FAULT_CHECKS, FaultCheck, Faults
from s3queue.testing.conformance.listings import STRICTER

__all__ = ["CHECKS", "FAULT_CHECKS", "STRICTER", "Check", "FaultCheck", "Faults", "NotConforming", "run"]

CHECKS: Sequence[Check] = (*puts.CHECKS, *writers.CHECKS, *reads.CHECKS, *listings.CHECKS, *deletes.CHECKS)


def run(check: Check, store: ObjectStore, *, root: str = "conformance") -> None:
    """Run one check below a fresh prefix, and remove what it left behind.

    Args:
        root: first part of the prefix; everything else below it is left alone.
    """
    prefix = f"{root}/{check.__name__}-{uuid.uuid4().hex[:12]}/"
    try:
        check(store, prefix)
    finally:
        clear(store, prefix)
