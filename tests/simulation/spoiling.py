"""Mutants of what nobody can read. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3queue.core.chores import letters
from s3queue.core.chores.asides import Asides
from s3queue.core.plan import requests
from s3queue.store import Found
from s3queue.testing.simulate import Weather
from tests.simulation.mutants import mutant

_CORRUPT: dict[str, Any] = {
    "shapes": ("corrupt", "plain"),
    "batches": 5,
    "weather": Weather(fault=0.0, chaos=0.02, kinds=("kill worker",), ends=0.6),
}


@mutant(Asides, "take", "I8", within=50, operators=1)
def a_request_that_nobody_can_read_stays(_: Any, of: Asides, now: float) -> None:
    """A request that stays damaged is kept aside, and gets out of the way."""
    return


@mutant(requests, "give_up", "I8", within=50, operators=1)
def a_request_that_is_kept_aside_is_not_answered(_: Any, planning: Any, spoiled: Any) -> None:
    """What nobody can read is answered, so that it is deleted and its id remembered."""


@mutant(letters, "dead_letter", "letters", within=100, **_CORRUPT)
def what_cannot_be_read_is_not_kept(write: Any, *given: Any, **more: Any) -> Any:
    """The letter of what nobody can read has its bytes."""
    letter = write(*given, **more)
    return replace(letter, payload=b"") if letter.raw else letter


@mutant(letters, "dead_letter", "letters", within=100, **_CORRUPT)
def one_letter_stands_for_what_can_be_read(
    write: Any, layout: Any, path: str, index: int, body: Any, *rest: Any, **more: Any
) -> Any:
    """One letter stands for a batch only from the first message on that cannot be read."""
    letter = write(layout, path, index, body, *rest, **more)
    return replace(letter, raw=True, payload=body.body) if isinstance(body, Found) else letter
