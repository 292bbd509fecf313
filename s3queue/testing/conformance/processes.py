"""Threads and child processes that use one store at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from s3queue.store import ObjectStore, Shareable
from s3queue.testing.conformance.acts import NotConforming, T

#: Seconds that children may take before a check fails; generous, since it only bounds a hang.
PATIENCE_S = 120.0


def in_threads(work: Callable[[int], T], count: int) -> list[T]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


@contextmanager
def shared(store: ObjectStore) -> Iterator[None]:
    if not isinstance(store, Shareable):
        yield
        return
    store.share()
    try:
        yield
    finally:
        store.close()


class _Failed(NamedTuple):
    why: str


def _report(pipe: Any, work: Callable[..., object], args: tuple[object, ...]) -> None:
    try:
        pipe.send(work(*args))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent tells
        pipe.send(_Failed(f"{type(error).__name__}: {error}"))
    finally:
        pipe.close()


def in_processes(
    method: str, work: Callable[..., Any], calls: Sequence[tuple[object, ...]], *, barrier: bool = False
) -> list[Any]:
    """Run each call in a child of its own, and return their results, in order."""
    from multiprocess import get_context

    context = get_context(method)
    more = (context.Barrier(len(calls)),) if barrier else ()
    children = []
    for args in calls:
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_report, args=(there, work, (*args, *more)), daemon=True)
        with warnings.catch_warnings():
            # From 3.12 on forking beside threads warns, and a client under test may well have threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        there.close()
        children.append((child, here))
    results = []
    try:
        for child, here in children:
            if not here.poll(PATIENCE_S):
                raise NotConforming(f"a {method}ed child did not answer in {PATIENCE_S:.0f} s")
            try:
                result = here.recv()
            except EOFError:
                child.join(PATIENCE_S)
                raise NotConforming(f"a {method}ed child died with exit code {child.exitcode}") from None
            if isinstance(result, _Failed):
                raise NotConforming(f"in a {method}ed child: {result.why}")
            results.append(result)
    finally:
        for child, here in children:
            if len(results) < len(children):
                child.kill()
            child.join(PATIENCE_S)
            here.close()
    return results
