"""Mutants of what nobody can read. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

from typing import Any

from s3queue.core.chores.asides import Asides
from s3queue.core.plan import requests
from tests.simulation.mutants import mutant


@mutant(Asides, "take", "I8", within=50, operators=1)
def a_request_that_nobody_can_read_stays(_: Any, of: Asides, now: float) -> None:
    """A request that stays damaged is kept aside, and gets out of the way."""
    return


@mutant(requests, "give_up", "I8", within=50, operators=1)
def a_request_that_is_kept_aside_is_not_answered(_: Any, planning: Any, spoiled: Any) -> None:
    """What nobody can read is answered, so that it is deleted and its id remembered."""
