"""Asks a store for what the queue relies on, and measures the rest. Behind ``s3queue doctor``.

Servers exist that accept the headers of a conditional put and ignore them, or that compare and then write with room for
another writer between. With one of those every message may be lost or done twice, and nothing would say so. A probe
cannot prove that a store is safe; it finds those that are not, in seconds and before anything is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from s3queue.errors import StoreError, StoreUnavailable, StoreUnsupported
from s3queue.io.drive import Driver
from s3queue.operate.probe import measures, promises, races
from s3queue.operate.probe.asking import LOCAL, SHORT, THOROUGH, USUAL, Asker, Effort, Unclear
from s3queue.operate.probe.races import power
from s3queue.operate.probe.report import Report, Row, row_of

__all__ = ["SHORT", "THOROUGH", "USUAL", "Effort", "Report", "Row", "power", "probe", "require_safe"]

Check = Callable[[Asker, str], Row | list[Row]]
#: What may be wrong.
_CHECKS: tuple[Check, ...] = (
    promises.read_after_write,
    races.create_race,
    races.replace_race,
    promises.stale_replace,
    promises.missing_replace,
    promises.listing,
    promises.order,
    promises.conditional_get,
    promises.cut_short,
)
#: What cannot.
_MEASURES: tuple[Check, ...] = (measures.equal_bodies, measures.old_versions, measures.clock, measures.latency)
#: How often a check is begun, elsewhere each time, where answers to its puts are lost: if every tenth is, a check of ten
#: puts gets through but for one time in 5,000.
_TRIES = 20


def probe(driver: Driver, prefix: str, *, short: bool = False, effort: Effort | None = None) -> Report:
    """Check a store below a prefix of its own, and remove the objects written there.

    What the network does to single requests is no verdict on the store: what was not applied is sent again, and a check
    of which a put went unanswered is begun again under other keys, where that put cannot come late.

    Args:
        driver: of the store; counts the requests, and says how long one is sent again.
        prefix: that nothing else uses.
        short: only what may be wrong, side by side, and without latencies.
        effort: `SHORT` with ``short``, `USUAL` without, `THOROUGH`, or another.

    Raises:
        StoreUnavailable, StoreDenied: it cannot be asked at all.

    Asks: about 1,700 requests; in the short form about 440, in less than two seconds on a server nearby.
    """
    ask = Asker(driver, effort or (SHORT if short else USUAL))
    left: list[Row] = []
    try:
        if ask.effort.whole:
            rows = [_sure(ask, prefix, check) for check in (*_CHECKS, *_MEASURES)]
        else:
            with ThreadPoolExecutor(len(_CHECKS)) as pool:
                rows = list(pool.map(lambda check: _sure(ask, prefix, check), _CHECKS))
    finally:
        with suppress(StoreError):
            left = _clear(ask, prefix)
    return Report((*(row for some in rows for row in some), *left))


def require_safe(driver: Driver, prefix: str) -> None:
    """Return if the short form of `probe` finds nothing wrong. On an embedded store it is shorter still, about 80
    requests.

    Raises:
        StoreUnsupported: naming the first property that is missing.
        StoreUnavailable, StoreDenied: it cannot be asked at all.
    """
    store = driver.store
    if not store.capabilities.list_is_ordered:
        raise StoreUnsupported(
            "order of listing", f"{store.url} cannot hold a queue: it does not list in order of keys"
        )
    effort = SHORT if store.capabilities.requests_cost else LOCAL
    for row in probe(driver, prefix, effort=effort).rows:
        if row.verdict == "bad":
            raise StoreUnsupported(row.check, f"{store.url} cannot hold a queue: {row.check}: {row.measured}")


def _sure(ask: Asker, prefix: str, check: Check) -> list[Row]:
    name = check.__name__.replace("_", "-")
    for n in range(_TRIES):
        try:
            found = check(ask, f"{prefix}{name}-{n}/")
            return found if isinstance(found, list) else [found]
        except Unclear:
            continue
        except StoreUnsupported as refused:
            return [row_of(refused.capability, False, refused.why, "all of them")]
    raise StoreUnavailable("put", prefix, f"answers were lost in each of {_TRIES} tries")


def _clear(ask: Asker, prefix: str) -> list[Row]:
    last: list[str] = []
    while keys := [entry.key for entry in ask.list(prefix)]:
        if keys == last:
            measured = f"{len(keys)} objects are still there below {prefix}"
            return [row_of("delete", False, measured, "the bucket does not grow for ever")]
        ask.delete(*keys)
        last = keys
    return []
