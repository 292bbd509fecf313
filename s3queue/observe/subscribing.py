"""Functions of the user's that are called with events."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from s3queue.events import Event

__all__ = ["Subscribers", "here", "on"]

_Call = TypeVar("_Call", bound=Callable[[Any], object])


class Subscribers:
    """By kind, in the order in which they were added."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Callable[[Any], object]]] = {}

    def on(self, *kinds: str) -> Callable[[_Call], _Call]:
        """Decorator; see `on`."""
        from s3queue.events import KINDS  # thirty classes, which only those need who subscribe

        if not kinds:
            raise ConfigError("no kind of event was named", 'for example @s3queue.on("dead")')
        for kind in kinds:
            if kind not in KINDS:
                near = difflib.get_close_matches(str(kind), KINDS, n=1)
                raise ConfigError(
                    f"no event is called {kind!r}",
                    f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(sorted(KINDS)),
                )

        def add(call: _Call) -> _Call:
            if inspect.iscoroutinefunction(call):
                raise ConfigError(f"{call!r} is async, and nobody would await it", "subscribe a plain function")
            for kind in kinds:
                calls = self._calls.setdefault(kind, [])
                if call not in calls:
                    calls.append(call)
            return call

        return add

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(self._calls)

    def has(self, kind: str) -> bool:
        return kind in self._calls

    def tell(self, event: Event) -> list[BaseException]:
        """Call those that listen to it. Returns what they raised; also `SystemExit`, which would end this process, and
        cost messages that did nothing an attempt."""
        raised: list[BaseException] = []
        for call in self._calls.get(event.kind, ()):
            try:
                call(event)
            except (Exception, SystemExit) as fault:  # noqa: BLE001 - of the user's; the caller logs it
                raised.append(fault)
        return raised


#: Of this process, and of those that it forks.
here = Subscribers()


def on(*kinds: str) -> Callable[[_Call], _Call]:
    """Have a function called with each event of these kinds that happens in this process::

        @s3queue.on("dead")
        def page_somebody(event: s3queue.events.Dead) -> None: ...

    It is called in the process and the thread that tells the event: for what happens to a message, the worker that runs it.
    It must be quick, and may not wait for the queue itself. What it raises is logged, and changes nothing. For the events
    of all processes of a host in one place see `s3queue.Supervisor.on`. Where nobody subscribes, nothing of this is called.

    Raises:
        ConfigError: there is no such kind.
    """
    return here.on(*kinds)
