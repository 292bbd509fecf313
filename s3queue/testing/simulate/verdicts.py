"""What a checker says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Verdict(NamedTuple):
    """``ok``; ``bad``, with what was broken; or ``unknown``: this history does not show it, with the reason."""

    state: str
    why: str = ""


OK = Verdict("ok")


def bad(why: str) -> Verdict:
    return Verdict("bad", why)


def unknown(why: str) -> Verdict:
    return Verdict("unknown", why)


def first(faults: Iterable[str]) -> Verdict:
    """Bad for the first fault, ok if there is none."""
    for fault in faults:
        return bad(fault)
    return OK
