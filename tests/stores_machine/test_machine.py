"""Random verbs on a store and on a dict: they answer the same."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from s3queue_backends.memory import MemoryStore
from s3queue_backends.sqlite import SqliteStore

from s3queue.store import Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged

#: Few enough to meet again; some are beginnings of others; some sort differently as UTF-16.
_KEYS = st.sampled_from(
    [
        "a",
        "a/",
        "a/b",
        "a/b/c",
        "a0",
        "a/é",
        "a/\uffee",
        "a/\U0001f40c",
        "b",
        "b/%41",
        "b/A",
        "b/a b",
        "b/~",
        "B",
        "c'--",
    ]
)
_PREFIXES = st.sampled_from(["", "a", "a/", "a/b", "b/", "b/%", "c", "zz", "a/\U0001f40c"])
_BODIES = st.sampled_from([b"", b"1", b"2", b"\x00\xff" * 3, b"x" * 5000])


class There(NamedTuple):
    body: bytes
    version: str


class Machine(RuleBasedStateMachine):
    """
    Attributes:
        there: the objects.
        old: versions that were current once, by key.
    """

    versions: Bundle[str] = Bundle("versions")

    def __init__(self) -> None:
        super().__init__()
        self.there: dict[str, There] = {}
        self.old: dict[str, dict[str, bytes]] = {}
        self.store = self.opened()

    def opened(self) -> ObjectStore:
        raise NotImplementedError

    # ---- writing -------------------------------------------------------------------------------------------

    def _put(self, key: str, body: bytes, if_version: str | None, holds: bool) -> str:
        outcome = self.store.put(key, body, if_version=if_version)
        if not holds:
            assert outcome == Conflict()
            return "none"
        assert isinstance(outcome, Stored)
        assert outcome.version
        known = self.old.setdefault(key, {})
        assert known.get(outcome.version, body) == body  # a version never means two bodies
        known[outcome.version] = body
        self.there[key] = There(body, outcome.version)
        return outcome.version

    @initialize(target=versions)
    def a_version_of_nothing(self) -> str:
        return "none"

    @rule(target=versions, key=_KEYS, body=_BODIES)
    def create(self, key: str, body: bytes) -> str:
        return self._put(key, body, None, key not in self.there)

    @rule(target=versions, key=_KEYS, body=_BODIES)
    def replace_the_current_version(self, key: str, body: bytes) -> str:
        there = self.there.get(key)
        return self._put(key, body, "none" if there is None else there.version, there is not None)

    @rule(target=versions, key=_KEYS, body=_BODIES, version=versions)
    def replace_some_version(self, key: str, body: bytes, version: str) -> str:
        there = self.there.get(key)
        return self._put(key, body, version, there is not None and there.version == version)

    @rule(keys=st.lists(_KEYS, max_size=4))
    def delete(self, keys: list[str]) -> None:
        self.store.delete(keys)
        for key in keys:
            self.there.pop(key, None)

    # ---- reading -------------------------------------------------------------------------------------------

    @rule(key=_KEYS)
    def get(self, key: str) -> None:
        there = self.there.get(key)
        assert self.store.get(key) == (Missing() if there is None else Found(*there))

    @rule(key=_KEYS, version=versions)
    def get_unless(self, key: str, version: str) -> None:
        there = self.there.get(key)
        expected: object = Missing() if there is None else Found(*there)
        if there is not None and there.version == version:
            expected = Unchanged()
        assert self.store.get(key, unless=version) == expected

    @rule(key=_KEYS)
    def get_unless_current(self, key: str) -> None:
        if (there := self.there.get(key)) is not None:
            assert self.store.get(key, unless=there.version) == Unchanged()

    @rule(prefix=_PREFIXES, after=st.just("") | _KEYS, limit=st.sampled_from([1, 2, 3, 1000]))
    def list(self, prefix: str, after: str, limit: int) -> None:
        found = list(self.store.list(prefix, after=after, limit=limit))
        assert found == list(self._listed(prefix, after))[:limit]

    def _listed(self, prefix: str, after: str) -> Iterator[Listed]:
        for key in sorted(self.there, key=lambda key: key.encode()):
            if key.startswith(prefix) and key.encode() > after.encode():
                there = self.there[key]
                yield Listed(key, there.version, len(there.body))

    @invariant()
    def a_listing_shows_everything(self) -> None:
        assert [item.key for item in self.store.list("")] == [item.key for item in self._listed("", "")]

    def teardown(self) -> None:
        self.store.close()


class Memory(Machine):
    def opened(self) -> ObjectStore:
        return MemoryStore()

    @rule()
    def open_again(self) -> None:
        self.store = MemoryStore(self.store.name)  # type: ignore[attr-defined]


class Sqlite(Machine):
    def opened(self) -> ObjectStore:
        self._folder = tempfile.TemporaryDirectory()
        return SqliteStore(str(Path(self._folder.name) / "store.db"))

    @rule()
    def close_and_go_on(self) -> None:
        self.store.close()

    @rule()
    def open_again(self) -> None:
        """As another process would, from the pickled description."""
        copy = pickle.loads(pickle.dumps(self.store))
        self.store.close()
        self.store = copy

    def teardown(self) -> None:
        super().teardown()
        self._folder.cleanup()


_SETTINGS = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestMemory = Memory.TestCase
TestMemory.settings = _SETTINGS
TestSqlite = Sqlite.TestCase
TestSqlite.settings = settings(_SETTINGS, max_examples=20)
