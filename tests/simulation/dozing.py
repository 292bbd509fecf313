"""What is taken away from hosts that doze."""

from __future__ import annotations

from typing import Any

from s3queue.core import silence
from s3queue.core.silence import Silence
from s3queue.testing.simulate import Weather
from s3queue.testing.simulate.scenes import DOZY
from tests.simulation.mutants import mutant

#: Billed worlds with pauses of many seconds, in which hosts doze.
_DOZY: dict[str, Any] = {
    "doze_s": 4.0,
    "times": DOZY,
    "billed": True,
    "storm_s": 26.0,
    "shared": True,
    "shapes": ("plain",),
}


@mutant(Silence, "_is_silent", "I22", **_DOZY)
def a_dozing_host_is_fenced_by_its_last_write(_: Any, of: Silence, session: str, heard: Any, now: float) -> bool:
    """The silence of a dozing host counts from the board that assigns it something, not from its last write."""
    return heard.since is not None and now - heard.since > silence.patience(heard.ledger, of._own_s)


@mutant(silence, "claim_s", "I22", **_DOZY)
def a_dozing_host_has_no_time_to_claim(_: Any, ledger_: Any) -> float:
    """A dozing host has some polls' time to claim what it is assigned."""
    return 0.0


@mutant(
    Silence,
    "_is_silent",
    "I8",
    **_DOZY | {"weather": Weather(fault=0.0, chaos=0.02, kinds=("kill host",)), "machines": 3},
)
def a_dozing_host_is_never_fenced(is_silent: Any, of: Silence, session: str, heard: Any, now: float) -> bool:
    """A dozing host that does not claim is fenced."""
    dozes = heard.ledger is not None and heard.ledger.dozing is not None
    return not dozes and is_silent(of, session, heard, now)
