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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_WR
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from s3queue.core.ops import Delete, Get, List, Put, Unknown
from s3queue.errors import StoreError, StoreUnavailable, StoreUnsupported
from s3queue.runtime.drive import Driver
from s3queue.store import Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged

__all__ = [
    "SHORT",
    "THOROUGH",
    "USUAL",
    "Effort",
    "HasClock",
    "KeepsVersions",
    "Report",
    "Row",
    "SignsPuts",
    "power",
    "probe",
    "require_safe",
]

#: Writers that race for one key. Many races of two find more than a few of many: where a server compares and then writes,
#: it is the number of tries that counts. In the same time S3Mock 5.2.0 was found in 10 of 10 short checks with two, and
#: in 8 of 10 with four. SeaweedFS lets one loser wait for a second, and each further one for one more.
WRITERS = 2
#: Races for different keys that run side by side, since losers wait. 32 connections for each of the two kinds.
_LANES = 16
#: A put that is cut short is waited for as long, in seconds: some servers wait for the rest of it.
_CUT_S = 3.0
#: Requests of each verb that are timed.
TIMED = 20
#: How often a check is begun, elsewhere each time, where answers to its puts are lost: if every tenth is, a check of ten
#: puts gets through but for one time in 5,000.
_TRIES = 20

_PAGE = 5


class Effort(NamedTuple):
    """How much is asked.

    Attributes:
        races: of each of the two kinds, at most.
        budget_s: seconds after which no more of them are begun.
        whole: also what cannot be wrong, such as latencies.
        lanes: races of each kind at a time.
    """

    races: int
    budget_s: float
    whole: bool = True
    lanes: int = _LANES


#: Effort at each start of a supervisor on a file or memory of this machine: there is no server whose races could differ
#: from those of the conformance suite, only a disk that may not work.
LOCAL = Effort(8, 0.5, whole=False, lanes=2)
#: Effort at each start of a supervisor, of ``doctor``, and of ``doctor --thorough``.
SHORT, USUAL, THOROUGH = Effort(48, 0.8, whole=False), Effort(192, 15.0), Effort(6000, 120.0)


@runtime_checkable
class SignsPuts(Protocol):
    """A store behind HTTP that can say how a put looks."""

    def sign_put(self, key: str, body: bytes) -> tuple[str, Mapping[str, str]] | None:
        """A URL that this body may be put to, and the headers that describe it. No request. None: not with this
        service."""
        ...


@runtime_checkable
class KeepsVersions(Protocol):
    """A store whose bucket may keep replaced objects."""

    def keeps_versions(self, key: str) -> bool:
        """Whether it did so with this object. One request."""
        ...


@runtime_checkable
class HasClock(Protocol):
    """A store whose server tells the time."""

    def clock(self, key: str) -> float:
        """The server's time around the last write of this object, in seconds since 1970, to the second."""
        ...


class Row(msgspec.Struct, frozen=True):
    """The result of one check.

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
    return _Probe(driver, prefix, effort or (SHORT if short else USUAL)).run()


def power(races: int) -> str:
    """What so many races find: a store that fails one in n is missed with the probability ``(1 - 1/n) ** races``."""
    return f"finds with 99 % a store that fails one race in {max(1, int(1 / (1 - 0.01 ** (1 / races))))}"


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


class _Unclear(Exception):
    """A put of this check was not answered: the state of its keys is unknown."""


class _Probe:
    def __init__(self, driver: Driver, prefix: str, effort: Effort) -> None:
        self.driver, self.prefix, self.effort = driver, prefix, effort
        #: What it can do is asked of the store itself, not of what measures it.
        self.store: ObjectStore = getattr(driver.store, "bare", driver.store)

    def run(self) -> Report:
        checks: list[Callable[[str], Row | list[Row]]] = [self._read_after_write, self._create_race, self._replace_race]
        checks += [self._stale_replace, self._missing_replace, self._listing, self._order, self._conditional_get]
        checks += [self._cut_short]
        left: list[Row] = []
        try:
            if self.effort.whole:
                checks += [self._equal_bodies, self._old_versions, self._clock, self._latency]
                rows = [self._sure(check) for check in checks]
            else:
                with ThreadPoolExecutor(len(checks)) as pool:
                    rows = list(pool.map(self._sure, checks))
        finally:
            with suppress(StoreError):
                left = self._clear()
        return Report((*(row for some in rows for row in some), *left))

    def _clear(self) -> list[Row]:
        last: list[str] = []
        while keys := [entry.key for entry in self._list(self.prefix)]:
            if keys == last:
                measured = f"{len(keys)} objects are still there below {self.prefix}"
                return [_row("delete", False, measured, "the bucket does not grow for ever")]
            self._delete(*keys)
            last = keys
        return []

    def _sure(self, check: Callable[[str], Row | list[Row]]) -> list[Row]:
        name = check.__name__.strip("_").replace("_", "-")
        for n in range(_TRIES):
            try:
                found = check(f"{self.prefix}{name}-{n}/")
                return found if isinstance(found, list) else [found]
            except _Unclear:
                continue
            except StoreUnsupported as refused:
                return [_row(refused.capability, False, refused.why, "all of them")]
        raise StoreUnavailable("put", self.prefix, f"answers were lost in each of {_TRIES} tries")

    def _read_after_write(self, folder: str) -> Row:
        seen, key = [], f"{folder}read"
        version = self._stored(key, b"1 one", None)
        seen.append(self._get(key) == Found(b"1 one", version))
        version = self._stored(key, b"2 two", version)
        seen.append(self._get(key) == Found(b"2 two", version))
        self._pause()
        self._delete(key)
        seen.append(isinstance(self._get(key), Missing))
        what = ("create", "replace", "delete")
        late = [name for name, fresh in zip(what, seen, strict=True) if not fresh]
        return _row(
            "read after write",
            not late,
            "old content after " + ", ".join(late) if late else "sees every create, replace and delete",
            "P2 committed exactly once",
        )

    def _create_race(self, folder: str) -> Row:
        return self._race(
            folder, "exclusive create", "create one key", None, "P6 enqueued once, one coordinator at a time"
        )

    def _replace_race(self, folder: str) -> Row:
        return self._race(
            folder, "atomic replace", "replace one version", b"0 first", "P2 committed exactly once, P3 runs once"
        )

    def _race(self, folder: str, check: str, deed: str, first: bytes | None, promise: str) -> Row:
        until = time.monotonic() + self.effort.budget_s
        lanes = self.effort.lanes
        with ThreadPoolExecutor(lanes) as pool:
            ran = list(pool.map(lambda lane: self._lane(f"{folder}{lane}-", first, until), range(lanes)))
        races = [race for lane in ran for race in lane]
        if not races:
            raise _Unclear
        bad, most = sum(not good for _, good in races), max(won for won, _ in races)
        if bad:
            lost = "" if most > 1 else ", and its write was lost"
            measured = f"{most} of {WRITERS} writers could {deed}{lost}, in {bad} of {len(races)} races"
        else:
            measured = f"1 of {WRITERS} writers could {deed}, in each of {len(races)} races; {power(len(races))}"
        return _row(check, not bad, measured, promise)

    def _lane(self, folder: str, first: bytes | None, until: float) -> list[tuple[int, bool]]:
        """Races one after the other: how many writers were told that they won, and whether that is as it should be."""
        races: list[tuple[int, bool]] = []
        with ThreadPoolExecutor(WRITERS) as writers:
            for n in range(self.effort.races // self.effort.lanes):
                if n and time.monotonic() > until:
                    break
                key = f"{folder}{n}"
                try:
                    version = None if first is None else self._stored(key, first, None)
                    self._pause()
                    won = self._all_at_once(writers, key, version, connect=n == 0)
                except _Unclear:
                    continue
                found = self._get(key)
                races.append((len(won), len(won) == 1 and isinstance(found, Found) and found.body in won))
        return races

    def _all_at_once(self, writers: ThreadPoolExecutor, key: str, version: str | None, *, connect: bool) -> list[bytes]:
        """The bodies of those that were told they won.

        Args:
            connect: give each writer its connection before the race, so that the requests arrive together.
        """
        barrier = threading.Barrier(WRITERS)

        def write(n: int) -> tuple[bytes, Any]:
            body = b"%d writer %d" % (random.getrandbits(60), n)
            if connect:
                with suppress(StoreError):
                    self._get(key)
            barrier.wait()
            return body, self.driver.perform(Put(key, body, version))

        outcomes = list(writers.map(write, range(WRITERS)))
        won = [body for body, outcome in outcomes if isinstance(outcome, Stored)]
        if not won and any(isinstance(outcome, Unknown) for _, outcome in outcomes):
            raise _Unclear
        return won

    def _stale_replace(self, folder: str) -> Row:
        key = f"{folder}stale"
        old = self._stored(key, b"1 old", None)
        new = self._stored(key, b"2 new", old)
        self._pause()
        outcome = self._put(key, b"3 late", old)
        kept = isinstance(outcome, Conflict) and self._get(key) == Found(b"2 new", new)
        return _row(
            "stale replace refused",
            kept,
            "an older version cannot be replaced" if kept else "a write that named an older version went through",
            "P2 committed exactly once, P3 a fenced host is over",
        )

    def _missing_replace(self, folder: str) -> Row:
        version = self._stored(f"{folder}there", b"1 one", None)
        key = f"{folder}not-there"
        kept = isinstance(self._put(key, b"2 two", version), Conflict) and isinstance(self._get(key), Missing)
        return _row(
            "replace of a missing object refused",
            kept,
            "what was removed stays so" if kept else "a write that named a version created the object",
            "P3 a host that was removed is over",
        )

    def _listing(self, folder: str) -> Row:
        late = []
        for n in range(3):
            self._stored(f"{folder}{n}", b"x", None)
            if len(self._list(folder)) != n + 1:
                late.append("create")
        for n in range(3):
            self._delete(f"{folder}{n}")
            if len(self._list(folder)) != 2 - n:
                late.append("delete")
        return _row(
            "list after write",
            not late,
            "old listing after " + ", ".join(sorted(set(late))) if late else "shows every create and delete at once",
            "P1 never lost",
        )

    def _order(self, folder: str) -> Row:
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
        whole = [entry.key for entry in self._list(folder)]
        pages: list[str] = []
        while page := self._list(folder, after=pages[-1] if pages else "", limit=_PAGE):
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

    def _conditional_get(self, folder: str) -> Row:
        key = f"{folder}unless"
        old = self._stored(key, b"1 old", None)
        new = self._stored(key, b"2 new", old)
        changed, same = self._get(key, unless=old), self._get(key, unless=new)
        if changed != Found(b"2 new", new):
            return _row("conditional get", False, "says unchanged of what has changed", "P3 claims are seen in time")
        if isinstance(same, Unchanged):
            return _row("conditional get", True, "sends only what has changed", "none; costs")
        return _row("conditional get", None, "sends the object even if it has not changed", "none; costs")

    def _cut_short(self, folder: str) -> Row:
        """Two raw puts, the second of which breaks off after its headers."""
        check, promise = "whole puts", "P1 never lost"
        body = b"a body that does not arrive"
        if not isinstance(self.store, SignsPuts) or (whole := self.store.sign_put(f"{folder}whole", body)) is None:
            return _row(check, None, "not asked: this store takes no plain HTTP request", promise)
        cut = self.store.sign_put(f"{folder}cut", body)
        assert cut is not None
        try:
            answer = _send(*whole, body, cut=False)
            if not 200 <= answer < 300:
                return _row(check, None, f"not asked: a plain put was answered with {answer}", promise)
            _send(*cut, body, cut=True)
        except (OSError, HTTPException) as failed:
            return _row(check, None, f"not asked: {type(failed).__name__}", promise)
        found = self._get(f"{folder}cut")
        kept = isinstance(found, Found)
        measured = (
            f"kept {len(found.body)} bytes of {len(body)}" if isinstance(found, Found) else "stores nothing of it"
        )
        return _row(check, not kept, f"a put that breaks off after its headers: {measured}", promise)

    def _old_versions(self, folder: str) -> Row:
        measured = "the store does not tell"
        if isinstance(self.store, KeepsVersions):
            key = f"{folder}kept"
            self._stored(key, b"1 kept", None)
            measured = "not kept"
            if self.store.keeps_versions(key):
                measured = (
                    "kept: each rewrite of a board and a ledger stays for ever and slows it down; turn versioning off, "
                    "or expire noncurrent versions after a day"
                )
        return _row("old versions", None, measured, "none; costs")

    def _equal_bodies(self, folder: str) -> Row:
        key = f"{folder}equal"
        one = self._stored(key, b"1 same", None)
        other = self._stored(key, b"1 same", one)
        measured = (
            "equal versions; every record has a random part, so bodies differ" if one == other else "different versions"
        )
        return _row("versions of equal bodies", None, measured, "P2 committed exactly once")

    def _clock(self, folder: str) -> Row:
        measured = "the store does not tell"
        if isinstance(self.store, HasClock):
            key = f"{folder}clock"
            before = time.time()
            self._stored(key, b"1", None)
            theirs = self.store.clock(key)
            ours = (before + time.time()) / 2
            ahead = theirs + 0.5 - ours  # it is cut to the second
            measured = "within a second" if abs(ahead) <= 1.0 else f"the store is {ahead:+.0f} s ahead of this machine"
        return _row("clock difference", None, measured, "none; S3 refuses requests 15 minutes off")

    def _latency(self, folder: str) -> list[Row]:
        body = b"x" * 1000
        keys = [f"{folder}{n:02}" for n in range(TIMED)]
        versions: list[str] = []

        def replace(n: int) -> None:
            versions[n] = self._stored(keys[n], b"y%d" % n + body, versions[n], pause=False)

        rows = [self._time("create", lambda n: versions.append(self._stored(keys[n], body, None)))]
        self._pause()
        rows.append(self._time("replace", replace))
        rows.append(self._time("get", lambda n: self._get(keys[n])))
        rows.append(self._time("list", lambda n: self._list(folder)))
        self._pause()
        return [*rows, self._time("delete", lambda n: self._delete(keys[n]))]

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

    def _get(self, key: str, unless: str | None = None) -> Found | Unchanged | Missing:
        outcome: Found | Unchanged | Missing = self.driver.perform(Get(key, unless))
        return outcome

    def _list(self, prefix: str, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        listed: Sequence[Listed] = self.driver.perform(List(prefix, after, limit))
        return listed

    def _delete(self, *keys: str) -> None:
        self.driver.perform(Delete(keys))

    def _put(self, key: str, body: bytes, version: str | None) -> Stored | Conflict:
        outcome: Stored | Conflict | Unknown = self.driver.perform(Put(key, body, version))
        if isinstance(outcome, Unknown):
            raise _Unclear
        return outcome

    def _stored(self, key: str, body: bytes, version: str | None, *, pause: bool = True) -> str:
        if version is not None and pause:
            self._pause()
        outcome = self._put(key, body, version)
        if isinstance(outcome, Conflict):
            # Another program writes here, or the store refuses a valid put.
            raise StoreUnsupported("conditional put", f"a put whose condition held was refused: {key}")
        return outcome.version


def _row(check: str, good: bool | None, measured: str, promise: str) -> Row:
    return Row(check, "info" if good is None else "ok" if good else "bad", measured, promise)


def _send(url: str, headers: Mapping[str, str], body: bytes, *, cut: bool) -> int:
    """A put with nothing but sockets. Returns the status; 0 where it was cut."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_CUT_S)
    try:
        connection.putrequest("PUT", f"{parts.path}?{parts.query}", skip_accept_encoding=True)
        for name, value in (*headers.items(), ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(None if cut else body)
        if cut:
            connection.sock.shutdown(SHUT_WR)
            with suppress(OSError):
                while connection.sock.recv(1 << 16):  # until the server has made up its mind
                    pass
            return 0
        return connection.getresponse().status
    finally:
        connection.close()
