"""Ends the process of a task at a chosen point, once for each message, as a power cut would. Then the message runs
again.

The task repeats everything that it did before that point. If that does harm, the task is not idempotent.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from s3queue.errors import ConfigError

#: The point at which the task has returned, but its outcome is not reported yet.
END = "end"


class Crashed(BaseException):
    """The process ends here. Code of a task must not catch it."""


class Crash:
    """A point at which processes end.

    Args:
        point: ``end``; or a function by its import path, ``shop.charge`` or ``shop.Client.charge``: when it has
            returned.

    Attributes:
        messages: ids of messages that crashed, once each.
    """

    def __init__(self, point: str) -> None:
        self.point = point
        self.messages: list[str] = []
        self._fired = False

    @property
    def fired(self) -> bool:
        """Whether the running attempt has reached the point: its process ends as soon as the task has returned."""
        return self._fired

    def look(self, messages: list[str]) -> None:
        """An attempt of these messages has ended. Raises `Crashed` if the process ends here."""
        fired, self._fired = self._fired, False
        if self.point == END:
            fired = not set(messages) & set(self.messages)
        if fired:
            self.messages += messages
            raise Crashed(f"the test ended the process at {self.point}")

    @contextmanager
    def armed(self, current: Callable[[], str | None]) -> Iterator[None]:
        """In the block the function at the point ends processes.

        Args:
            current: returns the message that runs in the thread or context of the caller; None: no message does.
        """
        if self.point == END:
            yield
            return
        owner, name = _find(self.point)
        known = inspect.getattr_static(owner, name)
        setattr(owner, name, self._around(known, getattr(owner, name), current))
        try:
            yield
        finally:
            setattr(owner, name, known)

    def _around(self, known: Any, called: Any, current: Callable[[], str | None]) -> Any:
        function = known.__func__ if isinstance(known, staticmethod | classmethod) else known

        def after() -> None:
            message = current()
            if message is not None and message not in self.messages:
                self._fired = True
                raise Crashed(f"the test ended the process at {self.point}")

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                result = await function(*args, **kwargs)
                after()
                return result

            wrapper: Any = awaited
        else:

            @functools.wraps(function)
            def ran(*args: Any, **kwargs: Any) -> Any:
                result = function(*args, **kwargs)
                after()
                return result

            wrapper = ran
        return type(known)(wrapper) if isinstance(known, staticmethod | classmethod) else wrapper


def _find(point: str) -> tuple[Any, str]:
    """The owner of the function, and its name there. Raises `ConfigError`: there is no such function."""
    parts = point.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        try:
            for part in parts[cut:-1]:
                owner = getattr(owner, part)
            if callable(getattr(owner, parts[-1])):
                return owner, parts[-1]
        except AttributeError:
            break
    raise ConfigError(f"no function {point!r} to crash at", "an import path, such as shop.charge; or 'end'")
