"""Steps driven by hand: look at the operation, say what came of it.

`Hand.store` is there for the operations that a test is not about: a real store performs those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core.ops import Delete, Gather, Get, List, Missed, Op, Put, Step
from s3queue.errors import StoreDenied, StoreError, StoreUnavailable
from s3queue.store import ObjectStore

T = TypeVar("T")


def perform(store: ObjectStore, op: Op) -> Any:
    match op:
        case Get(key, unless):
            return store.get(key, unless=unless)
        case Put(key, body, if_version):
            return store.put(key, body, if_version=if_version)
        case Delete(keys):
            return store.delete(keys)
        case List(prefix, after, limit):
            return store.list(prefix, after=after, limit=limit)
        case Gather(reads, None):
            return [perform(store, read) for read in reads]
        case Gather(reads, _):
            return [_try(store, read) for read in reads]


def _try(store: ObjectStore, read: Op) -> Any:
    try:
        return perform(store, read)
    except StoreError as fault:
        return Missed(fault)


class Hand(Generic[T]):
    """One step, up to its next operation.

    Attributes:
        op: what it asks; None once it has ended.
        asked: everything that it has asked so far.
    """

    def __init__(self, step: Step[T], store: ObjectStore | None = None) -> None:
        self._step, self.store = step, store or MemoryStore()
        self.op: Op | None = None
        self.asked: list[Op] = []
        self._result: T
        self._advance(lambda: next(step))

    def _advance(self, move: Callable[[], Op]) -> Op | None:
        try:
            self.op = move()
            self.asked.append(self.op)
        except StopIteration as end:
            self.op, self._result = None, end.value
        return self.op

    def tell(self, outcome: object) -> Op | None:
        """Answer the operation. Returns the next one."""
        assert self.op is not None
        return self._advance(lambda: self._step.send(outcome))

    def do(self) -> Op | None:
        """Let the store answer it."""
        assert self.op is not None
        return self.tell(perform(self.store, self.op))

    def until(self, kind: type[Op], key: str = "") -> Any:
        """Let the store answer everything before the next operation of this kind, on a key that begins so."""
        while self.op is not None:
            if isinstance(self.op, kind) and (not key or _about(self.op).startswith(key)):
                return self.op
            self.do()
        raise AssertionError(f"ended without {kind.__name__} {key}: {self.asked}")

    def lose(self) -> None:
        """The store gives up: nothing was applied, and the step ends."""
        with pytest.raises(StoreUnavailable):
            self._step.throw(StoreUnavailable("test"))
        self.op = None

    def give_up(self) -> Op | None:
        """The store gives up: nothing was applied, and the step goes on without it. Returns the next operation."""
        return self._advance(lambda: self._step.throw(StoreUnavailable("test")))

    def refuse(self) -> Op | None:
        """The store refuses this, and says so."""
        assert self.op is not None
        return self._advance(lambda: self._step.throw(StoreDenied("put", _about(self.op or List("")))))

    @property
    def result(self) -> T:
        assert self.op is None, f"not at its end: {self.op}"
        return self._result

    def finish(self) -> T:
        """Let the store answer all that is left."""
        while self.op is not None:
            self.do()
        return self._result

    def count(self, kind: type[Op], key: str = "") -> int:
        """How many operations of this kind it has asked for, on keys that begin so."""
        return sum(isinstance(op, kind) and _about(op).startswith(key) for op in self.asked)


def _about(op: Op) -> str:
    match op:
        case Get(key) | Put(key) | List(key):
            return key
        case Delete(keys):
            return keys[0]
        case Gather(reads):
            return reads[0][0]


def run(step: Step[T], store: ObjectStore | None = None) -> T:
    """The step's result, with every operation performed by the store."""
    return Hand(step, store).finish()
