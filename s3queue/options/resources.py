"""Resources: objects that are made once per process and passed to tasks, such as connections, clients and models.

::

    @s3queue.resource
    def database() -> Iterator[Connection]:
        with connect() as connection:
            yield connection                    # what comes behind it closes

    @s3queue.task(queue="mail")
    def send(user: int, *, db: Connection = s3queue.given(database)) -> None: ...

    send.enqueue(7)                             # the message does not hold it
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, cast, overload

from s3queue.errors import ConfigError
from s3queue.payloads.codec import Given

__all__ = ["Given", "Resource", "close_resources", "given", "resource"]

T = TypeVar("T")

#: The resources that this process has made, the newest last.
_made: list[Resource[Any]] = []
#: Resources of the process that forked this one. Kept, since a collected generator would run its end, and close what is
#: shared.
_inherited: list[contextlib.ExitStack] = []
#: Guards the making and the list; reentrant, since one resource may use another.
_lock = threading.RLock()


class Resource(Generic[T]):
    """Made in each process when a task first needs it; all slots of the process share it. From `resource`."""

    def __init__(self, make: Callable[[], Any]) -> None:
        if not inspect.isroutine(make) or inspect.iscoroutinefunction(make) or inspect.isasyncgenfunction(make):
            raise ConfigError(
                f"{make!r} cannot make a resource", "decorate a function or a generator; not an async one"
            )
        self._make = make
        self._value: Any = None
        self._stack: contextlib.ExitStack | None = None

    def get(self) -> T:
        """The object. If making it raises, a later call tries again."""
        if self._stack is None:
            with _lock:
                if self._stack is None:
                    stack = contextlib.ExitStack()
                    if inspect.isgeneratorfunction(self._make):
                        self._value = stack.enter_context(contextlib.contextmanager(self._make)())
                    else:
                        self._value = self._make()
                    self._stack = stack
                    _made.append(self)
        return cast("T", self._value)

    def close(self) -> None:
        """Close it; the next `get` makes another one."""
        with _lock:
            stack, self._stack, self._value = self._stack, None, None
            if stack is not None:
                _made.remove(self)
                stack.close()

    def _forget(self) -> None:
        """Forget the object: it belongs to another process."""
        self._value = None
        if self._stack is not None:
            _inherited.append(self._stack)
            self._stack = None

    def __repr__(self) -> str:
        return f"<resource {getattr(self._make, '__qualname__', self._make)}>"


@overload
def resource(make: Callable[[], Iterator[T]], /) -> Resource[T]: ...
@overload
def resource(make: Callable[[], T], /) -> Resource[T]: ...
def resource(make: Callable[[], Any], /) -> Resource[Any]:
    """Declare how a resource is made: by a function that returns it, or by a generator that yields it and then closes it.

    Each process makes it once, when a task first needs it, and closes it when its worker has drained, but not if it is
    killed. With ``concurrency`` above 1 several threads share it.

    Raises:
        ConfigError: the decorated object is no function, or is async.
    """
    return Resource(make)


def given(resource: Resource[T]) -> T:
    """Mark a parameter as a resource: for the default of a keyword-only parameter of a task.

    The worker passes the resource to it, and so does a direct call of the task. It is not part of the message.

    Raises:
        ConfigError: the argument is no resource.
    """
    if not isinstance(resource, Resource):
        raise ConfigError(f"{resource!r} is not a resource", "decorate what makes it with @s3queue.resource")
    return cast("T", Given(resource))


def handed(function: Callable[..., Any], what: str) -> dict[str, Resource[Any]]:
    """By parameter: the resources that a task is handed.

    Raises:
        ConfigError: such a parameter may also be given by place.
    """
    found: dict[str, Resource[Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if isinstance(parameter.default, Given):
            if parameter.kind is not parameter.KEYWORD_ONLY:
                raise ConfigError(
                    f"{what}: parameter {name!r} gets a resource", "make it keyword-only: write it after a *"
                )
            found[name] = parameter.default.resource
    return found


def close_resources() -> None:
    """Close what this process has made, the last one first. What that raises is logged."""
    while _made:
        one = _made[-1]
        try:
            one.close()
        except Exception:
            logging.getLogger("s3queue.worker").exception("cannot close %r", one)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    for one in _made:
        one._forget()
    _made.clear()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(close_resources)
