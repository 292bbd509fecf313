"""Asks a store for what the queue relies on, and measures the rest. Behind ``s3queue doctor``.

Servers exist that accept the headers of a conditional put and ignore them, or that compare and then write with room for
another writer between. With one of those every message may be lost or done twice, and nothing would say so. A probe
cannot prove that a store is safe; it finds those that are not, in seconds and before anything is lost.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Literal, Protocol, runtime_checkable

import msgspec

from s3queue.errors import OutcomeUnknown, StoreError, StoreUnavailable, StoreUnsupported
from s3queue.store import Conflict, Found, Missing, ObjectStore, Stored, Unchanged

__all__ = ["HasClock", "Report", "Row", "probe", "require_safe"]

#: Writers that race for one key: more than one server thread can serve at once, on any machine.
WRITERS = 16
#: In the short form. SeaweedFS lets each loser of a race wait for a second or more, and this is waited for at every start.
WRITERS_SHORT = 4
#: Races of each kind. One may pass by luck where the gap is short.
RACES = 3
#: Requests of each verb that are timed.
TIMED = 20
#: How often a race is run again that ended without a winner because answers were lost or requests refused.
_REPEATS = 4

_PAGE = 5


@runtime_checkable
class HasClock(Protocol):
    """A store whose server tells the time."""

    def clock(self, key: str) -> float:
        """The server's time around the last write of this object, in seconds since 1970, to the second."""
        ...


class Row(msgspec.Struct, frozen=True):
    """What one check found.

    Attributes:
        check: the property, as `StoreUnsupported.capability` names it.
        verdict: ``ok``, ``bad`` (the queue would break its promises), or ``info``.
        measured: what was seen, for people.
        promise: of the queue, that this carries.
    """

    check: str
    verdict: Literal["ok", "bad", "info"]
    measured: str
    promise: str


class Report(msgspec.Struct, frozen=True):
    """All rows, in the order they were asked."""

    rows: tuple[Row, ...]

    @property
    def safe(self) -> bool:
        return all(row.verdict != "bad" for row in self.rows)

    def __str__(self) -> str:
        table = [
            ("", "check", "measured", "promise"),
            *((r.verdict, r.check, r.measured, r.promise) for r in self.rows),
        ]
        widths = [max(len(row[column]) for row in table) for column in range(3)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]) for row in table]
        return "\n".join([*lines, "", "safe" if self.safe else "NOT SAFE: do not keep a queue here"])


def probe(store: ObjectStore, prefix: str, *, short: bool = False) -> Report:
    """Check a store below a prefix of its own, and remove what was written there.

    Args:
        prefix: that nothing else uses.
        short: only what may be wrong, once each, and without latencies.

    Raises:
        StoreUnavailable, StoreDenied: it cannot be asked at all.

    Asks: about 450 requests; in the short form about 60.
    """
    return _Probe(store, prefix, short).run()


def require_safe(store: ObjectStore, prefix: str) -> None:
    """Return if the short form of `probe` finds nothing wrong.

    Raises:
        StoreUnsupported: naming the first property that is missing.
        StoreUnavailable, StoreDenied: it cannot be asked at all.
    """
    if not store.capabilities.list_is_ordered:
        raise StoreUnsupported("order of listing", "this kind of store does not list in the order of keys")
    for row in probe(store, prefix, short=True).rows:
        if row.verdict == "bad":
            raise StoreUnsupported(row.check, f"{store.url} cannot hold a queue: {row.check}: {row.measured}")


class _Probe:
    def __init__(self, store: ObjectStore, prefix: str, short: bool) -> None:
        self.store, self.prefix, self.short = store, prefix, short

    def run(self) -> Report:
        rows: list[Row] = []
        try:
            rows.append(self._read_after_write())
            if self.short:
                with ThreadPoolExecutor(2) as pool:
                    races = [pool.submit(race) for race in (self._create_race, self._replace_race)]
                rows += [race.result() for race in races]
            else:
                rows += [self._create_race(), self._replace_race()]
            rows += [self._stale_replace(), self._missing_replace()]
            rows += [self._listing(), self._order(), self._conditional_get()]
            if not self.short:
                rows += [self._equal_bodies(), self._clock(), *self._latency()]
        except StoreUnsupported as refused:
            rows.append(_row(refused.capability, False, refused.why, "all of them"))
        finally:
            with suppress(StoreError):
                while keys := [entry.key for entry in self.store.list(self.prefix)]:
                    self.store.delete(keys)
        return Report(tuple(rows))

    def _read_after_write(self) -> Row:
        seen, key = [], f"{self.prefix}read"
        version = self._stored(key, b"1 one", None)
        seen.append(self.store.get(key) == Found(b"1 one", version))
        version = self._stored(key, b"2 two", version)
        seen.append(self.store.get(key) == Found(b"2 two", version))
        self._pause()
        self.store.delete([key])
        seen.append(isinstance(self.store.get(key), Missing))
        what = ("create", "replace", "delete")
        late = [name for name, fresh in zip(what, seen, strict=True) if not fresh]
        return _row(
            "read after write",
            not late,
            "old content after " + ", ".join(late) if late else "sees every create, replace and delete",
            "P2 committed exactly once",
        )

    def _create_race(self) -> Row:
        return self._race("exclusive create", "create one key", None, "P6 enqueued once, one coordinator at a time")

    def _replace_race(self) -> Row:
        return self._race(
            "atomic replace", "replace one version", b"0 first", "P2 committed exactly once, P3 runs once"
        )

    def _race(self, check: str, deed: str, first: bytes | None, promise: str) -> Row:
        writers = WRITERS_SHORT if self.short else WRITERS
        most, held = 0, True
        for n in range(1 if self.short else RACES):
            for again in range(_REPEATS):
                key = f"{self.prefix}{check.replace(' ', '-')}-{n}-{again}"
                version = None if first is None else self._stored(key, first, None)
                self._pause()
                won = self._all_at_once(key, version, writers)
                if won is not None:
                    break
            else:
                raise StoreUnavailable("put", self.prefix, "no race of writers ended with an answer for a winner")
            most = max(most, len(won))
            found = self.store.get(key)
            held = held and isinstance(found, Found) and found.body in won
        if most == 1:
            measured = f"1 of {writers} writers could {deed}" + ("" if held else ", and its write was lost")
        else:
            measured = f"{most} of {writers} writers could {deed}"
        return _row(check, most == 1 and held, measured, promise)

    def _all_at_once(self, key: str, version: str | None, writers: int) -> list[bytes] | None:
        """The bodies of those that were told they won; None where nobody was and somebody has no answer."""
        barrier = threading.Barrier(writers)

        def write(n: int) -> bytes | None:
            body = b"%d writer %d" % (random.getrandbits(60), n)
            # Each thread has its connection before the race, so that the requests arrive together.
            with suppress(StoreUnavailable):
                self.store.get(key)
            barrier.wait()
            try:
                return body if isinstance(self.store.put(key, body, if_version=version), Stored) else None
            except (StoreUnavailable, OutcomeUnknown):
                unanswered.append(n)
                return None

        unanswered: list[int] = []
        with ThreadPoolExecutor(writers) as pool:
            won = [body for body in pool.map(write, range(writers)) if body is not None]
        return None if not won and unanswered else won

    def _stale_replace(self) -> Row:
        key = f"{self.prefix}stale"
        old = self._stored(key, b"1 old", None)
        new = self._stored(key, b"2 new", old)
        self._pause()
        outcome = self._put(key, b"3 late", old)
        kept = isinstance(outcome, Conflict) and self.store.get(key) == Found(b"2 new", new)
        return _row(
            "stale replace refused",
            kept,
            "an older version cannot be replaced" if kept else "a write that named an older version went through",
            "P2 committed exactly once, P3 a fenced host is over",
        )

    def _missing_replace(self) -> Row:
        version = self._stored(f"{self.prefix}there", b"1 one", None)
        key = f"{self.prefix}not-there"
        kept = isinstance(self._put(key, b"2 two", version), Conflict) and isinstance(self.store.get(key), Missing)
        return _row(
            "replace of a missing object refused",
            kept,
            "what was removed stays so" if kept else "a write that named a version created the object",
            "P3 a host that was removed is over",
        )

    def _listing(self) -> Row:
        folder, late = f"{self.prefix}listing/", []
        for n in range(3):
            self._stored(f"{folder}{n}", b"x", None)
            if len(self.store.list(folder)) != n + 1:
                late.append("create")
        for n in range(3):
            self.store.delete([f"{folder}{n}"])
            if len(self.store.list(folder)) != 2 - n:
                late.append("delete")
        return _row(
            "list after write",
            not late,
            "old listing after " + ", ".join(sorted(set(late))) if late else "shows every create and delete at once",
            "P1 never lost",
        )

    def _order(self) -> Row:
        folder = f"{self.prefix}order/"
        names = [
            "in/a/5/0000000000002",
            "board",
            "in/a/5/0000000000010",
            "later/1-a/x",
            "in/b/5/1",
            "hosts/Z",
            "hosts/a",
        ]
        for name in names:
            self._stored(folder + name, b"x", None)
        keys = sorted(folder + name for name in names)
        whole = [entry.key for entry in self.store.list(folder)]
        pages: list[str] = []
        while page := self.store.list(folder, after=pages[-1] if pages else "", limit=_PAGE):
            pages += [entry.key for entry in page]
            if len(pages) > len(keys):
                break
        right = whole == keys and pages == keys
        return _row(
            "order of listing",
            right,
            "in order of keys, page by page"
            if right
            else f"{len(set(keys) - set(pages))} of {len(keys)} missing from pages, or out of order",
            "P1 never lost",
        )

    def _conditional_get(self) -> Row:
        key = f"{self.prefix}unless"
        old = self._stored(key, b"1 old", None)
        new = self._stored(key, b"2 new", old)
        changed, same = self.store.get(key, unless=old), self.store.get(key, unless=new)
        if changed != Found(b"2 new", new):
            return _row("conditional get", False, "says unchanged of what has changed", "P3 claims are seen in time")
        if isinstance(same, Unchanged):
            return _row("conditional get", True, "sends only what has changed", "none; costs")
        return _row("conditional get", None, "sends the object even if it has not changed", "none; costs")

    def _equal_bodies(self) -> Row:
        key = f"{self.prefix}equal"
        one = self._stored(key, b"1 same", None)
        other = self._stored(key, b"1 same", one)
        measured = (
            "equal versions; every record has a random part, so bodies differ" if one == other else "different versions"
        )
        return _row("versions of equal bodies", None, measured, "P2 committed exactly once")

    def _clock(self) -> Row:
        measured = "the store does not tell"
        if isinstance(self.store, HasClock):
            key = f"{self.prefix}clock"
            before = time.time()
            self._stored(key, b"1", None)
            theirs = self.store.clock(key)
            ours = (before + time.time()) / 2
            ahead = theirs + 0.5 - ours  # it is cut to the second
            measured = "within a second" if abs(ahead) <= 1.0 else f"the store is {ahead:+.0f} s ahead of this machine"
        return _row("clock difference", None, measured, "none; S3 refuses requests 15 minutes off")

    def _latency(self) -> list[Row]:
        body = b"x" * 1000
        keys = [f"{self.prefix}latency/{n:02}" for n in range(TIMED)]
        versions: list[str] = []

        def replace(n: int) -> None:
            versions[n] = self._stored(keys[n], b"y%d" % n + body, versions[n], pause=False)

        rows = [self._time("create", lambda n: versions.append(self._stored(keys[n], body, None)))]
        self._pause()
        rows.append(self._time("replace", replace))
        rows.append(self._time("get", lambda n: self.store.get(keys[n])))
        rows.append(self._time("list", lambda n: self.store.list(f"{self.prefix}latency/")))
        self._pause()
        return [*rows, self._time("delete", lambda n: self.store.delete([keys[n]]))]

    def _time(self, verb: str, call: Callable[[int], object]) -> Row:
        took = []
        for n in range(TIMED):
            start = time.perf_counter()
            call(n)
            took.append((time.perf_counter() - start) * 1000)
        measured = f"{statistics.median(took):.2f} ms, at most {max(took):.2f} ms of {TIMED}"
        return _row(f"latency of {verb}", None, measured, "none; how soon work begins")

    def _pause(self) -> None:
        """Between two writes of one key, on stores that need it."""
        if self.store.capabilities.min_rewrite_s:
            time.sleep(self.store.capabilities.min_rewrite_s)

    def _put(self, key: str, body: bytes, version: str | None) -> Stored | Conflict:
        """A put that tries again where nothing was applied."""
        for left in range(5, -1, -1):
            try:
                return self.store.put(key, body, if_version=version)
            except StoreUnavailable:
                if not left:
                    raise
                time.sleep(0.1 * 2 ** (5 - left))
        raise AssertionError("the last round returns or raises")

    def _stored(self, key: str, body: bytes, version: str | None, *, pause: bool = True) -> str:
        if version is not None and pause:
            self._pause()
        outcome = self._put(key, body, version)
        if isinstance(outcome, Conflict):
            # Somebody else writes here, or the store refuses what it should take.
            raise StoreUnsupported("conditional put", f"a put whose condition held was refused: {key}")
        return outcome.version


def _row(check: str, good: bool | None, measured: str, promise: str) -> Row:
    return Row(check, "info" if good is None else "ok" if good else "bad", measured, promise)
