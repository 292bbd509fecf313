"""Figures of several repetitions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any


def figure(values: Iterable[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    known = sorted(values)
    return {"median": _short(statistics.median(known)), "min": _short(known[0]), "max": _short(known[-1])}


def _short(value: float) -> float:
    """A number with four digits: more would suggest a precision that it does not have."""
    return float(f"{value:.4g}")


def summary(repetitions: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The same structure, with a `figure` in place of each number."""
    first = repetitions[0]
    return {
        key: summary([one[key] for one in repetitions])
        if isinstance(first[key], Mapping)
        else figure(one[key] for one in repetitions)
        for key in first
    }


def percentile(values: list[float], share: float) -> float:
    """The percentile, by nearest rank."""
    known = sorted(values)
    return known[max(0, math.ceil(share * len(known) - 1e-9) - 1)]


def median(value: Any) -> float:
    """The median of a `figure`."""
    return float(value["median"])


def told(value: Any, digits: str = ",.0f") -> str:
    """A `figure` as text: the median, with the range in brackets."""
    return f"{value['median']:{digits}} ({value['min']:{digits}}–{value['max']:{digits}})"
