"""Objects of a namespace that cannot be read, and what to do about each."""

from __future__ import annotations

import re

from msgspec import Struct

from s3queue.core.keys import Layout
from s3queue.core.ops import list_all
from s3queue.io.drive import Driver
from s3queue.observe.stats import Stats
from s3queue.operate.inspection import read_summary

__all__ = ["Damage", "explain", "find_damages"]


class Damage(Struct, frozen=True):
    """An object that cannot be read.

    Attributes:
        what: what it is, and what follows from the damage.
        todo: what to do about it.
    """

    key: str
    what: str
    todo: str


_PUT_BACK = "put back an older version of the object"
#: By what follows the name of the namespace in a key: what such an object is, and what to do. The first that fits.
_KINDS = tuple(
    (re.compile(pattern), what, todo)
    for pattern, what, todo in (
        (
            r"aside/",
            "the copy of a damaged request of an operator: nothing was done",
            "run the command again, then delete this object",
        ),
        (
            r"p\d+/board$",
            "the board: nothing is assigned",
            f"{_PUT_BACK}; without one delete it, wait half a minute, and run s3queue board restore",
        ),
        (
            r"p\d+/control$",
            "what operators have set: a new coordinator assigns nothing without it",
            f"{_PUT_BACK}; without one delete it, and set pauses, limits and schedules again",
        ),
        (
            r"p\d+/hosts/",
            "the ledger of a host: its messages run again, elsewhere",
            "nothing: the host is fenced and joins again",
        ),
        (r"p\d+/do/", "a request of an operator that is damaged: nothing is done", "run the command again"),
        (r"summary/", "the summary that stats reads", "nothing: a host that leads writes it again"),
        (
            r"p\d+/(in|later)/",
            "a batch of messages that do not run",
            f"upgrade the hosts if a newer release wrote it, or {_PUT_BACK}; without one delete it, and enqueue again",
        ),
    )
)


def explain(key: str) -> Damage:
    """What a key of ``Stats.unreadable`` is. Asks for nothing."""
    within = key.partition("/")[2]
    for pattern, what, todo in _KINDS:
        if pattern.match(within):
            return Damage(key, what, todo)
    return Damage(key, "no object of this release", "upgrade the hosts if a newer release wrote it, or delete it")


def find_damages(driver: Driver, layout: Layout) -> list[Damage]:
    """Of what the coordinator said last, a hundred at most, and every request that was kept aside.

    Asks: one GET, and one LIST per 1,000 copies.
    """
    seen = Stats(driver.store.url, layout.root)
    read_summary(seen, layout, driver)
    copies = [item.key for item in driver.run(list_all(layout.aside("")))]
    return [explain(key) for key in sorted({*seen.unreadable, *copies})]
