"""Subscribers: functions of the user that are called with events."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from s3queue.errors import ConfigError
from s3queue.observe.beside import Beside
from s3queue.words import plural

if TYPE_CHECKING:
    from s3queue.events import Event

__all__ = ["Subscribers", "here", "on"]

_Call = TypeVar("_Call", bound=Callable[[Any], object])


class Subscribers:
    """Functions by kind of event, in the order in which they were added."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Callable[[Any], object]]] = {}
        self._beside = Beside()
        self._is_at_once = False

    def on(self, *kinds: str) -> Callable[[_Call], _Call]:
        """Decorator; see `on`.

        Raises:
            ConfigError: no kind was named, there is no such kind, or the function is async.
        """
        from s3queue.events import KINDS  # thirty classes, which only programs with subscribers need

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
                raise ConfigError(f"{call!r} is async, and would not be awaited", "subscribe a plain function")
            for kind in kinds:
                calls = self._calls.setdefault(kind, [])
                if call not in calls:
                    calls.append(call)
            return call

        return add

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds with a subscriber."""
        return frozenset(self._calls)

    def has(self, kind: str) -> bool:
        """Whether this kind has a subscriber."""
        return kind in self._calls

    def tell(self, event: Event, warn: Callable[[str, str], object]) -> None:
        """Call the subscribers of an event, in a thread. Never waits, and never raises.

        Args:
            warn: called with a key and a text if a subscriber raises (also `SystemExit`, which does not end this
                process), or if the event is dropped because too many wait.
        """

        def call_all() -> None:
            for call in self._calls.get(event.kind, ()):
                try:
                    call(event)
                except (Exception, SystemExit) as fault:  # noqa: BLE001 - of the user's
                    why = f"a subscriber of {event.kind} raised {type(fault).__name__}: {fault}"
                    warn(f"subscriber {event.kind}", why)

        if self._is_at_once:
            call_all()
        elif not self._beside.post(call_all):
            warn("subscribers", f"an event {event.kind} was dropped: its subscribers are too slow, or hang")

    def finish(self, warn: Callable[[str, str], object]) -> None:
        """At the end of a process: give subscribers 2 s for the last events."""
        if dropped := self._beside.finish():
            warn(
                "subscribers", f"{plural(dropped, 'event')} dropped at the end: their subscribers are too slow, or hang"
            )

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Call subscribers directly where an event is emitted: for tests."""
        before, self._is_at_once = self._is_at_once, True
        try:
            yield
        finally:
            self._is_at_once = before


#: The subscribers of this process, and of those that it forks.
here = Subscribers()


def on(*kinds: str) -> Callable[[_Call], _Call]:
    """Call a function with each event of these kinds that happens in this process::

        @s3queue.on("dead")
        def page_somebody(event: s3queue.events.Dead) -> None: ...

    It runs in the process in which the event happens: for an event of a message, in the worker that runs the message. There
    it has a thread of its own, and gets one event after the other. Nothing waits for it, however slow it is. So an event is
    delivered at most once: it is dropped if 10,000 wait, if the process dies, or 2 s after the process is done. Dropped
    events are logged, and so are exceptions that the function raises. `s3queue.Supervisor.on` gets the events of all
    processes of a host in one place. Without subscribers nothing of this costs anything.

    Raises:
        ConfigError: there is no such kind.
    """
    return here.on(*kinds)
