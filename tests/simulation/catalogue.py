"""All mutants: each module that registers some is named here, and nowhere else."""

from __future__ import annotations

from tests.simulation import (  # noqa: F401 - imported for what they register
    bounding,
    dozing,
    gates,
    halting,
    hosting,
    leading,
    newcoming,
    noting,
    parking,
    redriving,
    results,
    sources,
    spoiling,
    steering,
    taking_over,
    ticking,
)
from tests.simulation.mutants import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant"]
