"""Lazy results: a function returned them instead of doing its work."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from itertools import starmap
from typing import Any

__all__ = ["refuse_lazy"]

#: Types of results whose work has not run, or not completely, when a function returns them.
_LAZY = (Generator, Coroutine, AsyncGenerator, Awaitable, map, filter, starmap)
#: What functions mostly return.
_PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, dict, tuple, set})


def refuse_lazy(result: Any, label: str = "the task") -> None:
    """Raise `TypeError` for a result that would count as success although its work has not run: a coroutine, a generator,
    a `map`, a future, or what a function under `contextlib.contextmanager` returns."""
    if type(result) in _PLAIN:
        return
    # Not with this module, which every program that declares a task imports.
    from concurrent.futures import Future
    from contextlib import _AsyncGeneratorContextManager, _GeneratorContextManager

    if not isinstance(result, (*_LAZY, Future, _GeneratorContextManager, _AsyncGeneratorContextManager)):
        return
    if isinstance(result, Coroutine):
        result.close()
    match result:
        case Coroutine() | Awaitable():
            hint = "await it, in a task that is declared with async def"
        case AsyncGenerator():
            hint = "go through it with async for"
        case _GeneratorContextManager() | _AsyncGeneratorContextManager():
            hint = "enter it, in a function that is the task"
        case Future():
            hint = "wait for its result()"
        case _:
            hint = "go through it"
    what = "a coroutine" if inspect.iscoroutine(result) else f"a lazy {type(result).__name__}"
    raise TypeError(f"{label} returned {what}, so what it stands for has not run; {hint}")
