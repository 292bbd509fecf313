"""Checks of a store, as plain functions for any test runner::

    @pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        conformance.run(check, MyStore(...))

A check takes a store and a prefix of its own. It raises `NotConforming`, which tells what was expected and what came.
It never looks at a clock. Checks with processes pass the store to forked and spawned children, so it must be picklable,
or `s3queue.store.Shareable`.

`CHECKS` are the properties that the queue relies on. `FAULT_CHECKS` are about unanswered requests; they need a proxy
that loses requests, see `Faults`. `STRICTER` are promises of `s3queue.store` that the queue does not use; some stores
fail them.
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
    """Run one check below a fresh prefix, and remove the objects that it left.

    Args:
        root: first part of the prefix; objects elsewhere are left alone.

    Raises:
        NotConforming: the store fails the check.
    """
    prefix = f"{root}/{check.__name__}-{uuid.uuid4().hex[:12]}/"
    try:
        check(store, prefix)
    finally:
        clear(store, prefix)
