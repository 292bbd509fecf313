"""Which functions can be tasks, and where they take their context."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from s3queue.errors import ConfigError
from s3queue.payloads.codec import CONTEXT

__all__ = ["Form", "form_of"]

_NO_METHOD = "decorate a function, which makes or finds the object that it needs, or a staticmethod"


class Form(NamedTuple):
    """How a function is called.

    Attributes:
        is_async: whether calls return an awaitable.
        wants_ctx: whether it has a parameter ``ctx``.
        ctx_at: where that is among the positional arguments; None: it goes by name.
    """

    is_async: bool
    wants_ctx: bool
    ctx_at: int | None


def form_of(function: Callable[..., Any], what: str) -> Form:
    """How it is called.

    Args:
        what: names the task in errors.

    Raises:
        ConfigError: a worker could not call it: it is no function, a method, or a generator, or does not tell its
            parameters.
    """
    _refuse_methods(function, what)
    if not inspect.isroutine(function) or not callable(function):
        raise ConfigError(f"{what} is not a function", "decorate a function or a coroutine function")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # some of those that are written in C
        raise ConfigError(f"the parameters of {what} are not known", "decorate a function that calls it") from None
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"{what} is a generator, which a worker would never start", "return instead of yield")
    if parameters and parameters[0].name in ("self", "cls") and _is_in_class(function):
        raise ConfigError(f"{what} is a method, and a message carries no {parameters[0].name}", _NO_METHOD)
    is_async = inspect.iscoroutinefunction(function)
    context = next((at for at, one in enumerate(parameters) if one.name == CONTEXT), None)
    if context is None:
        return Form(is_async, False, None)
    if parameters[context].kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise ConfigError(f"{what}: {CONTEXT!r} is reserved for the context", "give the parameter another name")
    return Form(is_async, True, None if parameters[context].kind is inspect.Parameter.KEYWORD_ONLY else context)


def _refuse_methods(function: Any, what: str) -> None:
    """Raises `ConfigError` for a method of an object or a class: a worker has neither."""
    if isinstance(function, classmethod):
        raise ConfigError(f"{what} is a classmethod, and a message carries no class", _NO_METHOD)
    if isinstance(function, property | functools.cached_property):
        raise ConfigError(f"{what} is a property", _NO_METHOD)
    if isinstance(function, functools.singledispatchmethod | functools.partialmethod):
        raise ConfigError(f"{what} is a method, and a message carries no self", _NO_METHOD)
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, type | ModuleType):
        raise ConfigError(f"{what} is a method of an instance of {type(owner).__qualname__}", _NO_METHOD)


def _is_in_class(function: Callable[..., Any]) -> bool:
    """Whether it was defined in the body of a class, to be bound later."""
    return not inspect.ismethod(function) and "." in function.__qualname__.rpartition("<locals>.")[2]
