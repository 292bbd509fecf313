"""One survey of a store, for tests."""

from __future__ import annotations

from s3queue_backends.memory import MemoryStore

from s3queue.core.hearing import Heard
from s3queue.core.survey import Survey, survey
from s3queue.store import Listed
from tests.core.hands import Hand, run
from tests.core.world import LAYOUT, NOW_MS

HOME = LAYOUT.home


def begin(heard: dict[str, Heard] | None = None, now: float = 10.0, **fields: object) -> Hand[Survey]:
    given: dict[str, object] = {"wanted": {}, "known": (), "now_ms": NOW_MS} | fields
    return Hand(survey(LAYOUT, {} if heard is None else heard, now=now, **given))  # type: ignore[arg-type]


def listed(*paths: str, version: str = "v") -> list[Listed]:
    return [Listed(HOME + one, version, 1) for one in paths]


def stored(*paths: str) -> MemoryStore:
    store = MemoryStore()
    for one in paths:
        store.put(HOME + one, b"x", if_version=None)
    return store


def look(store: MemoryStore, **fields: object) -> Survey:
    given: dict[str, object] = {"wanted": {}, "known": (), "now_ms": NOW_MS, "now": 1.0} | fields
    return run(survey(LAYOUT, {}, **given), store)  # type: ignore[arg-type]
