"""Docstrings of the public API: each exists, and names the errors of this library that its code raises."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, get_overloads

import pytest
import s3queue_backends

import s3queue
import s3queue.contrib.asgi
import s3queue.errors
import s3queue.middleware
import s3queue.store
import s3queue.testing
from s3queue.store import ObjectStore

MODULES = (s3queue, s3queue.middleware, s3queue.store, s3queue.testing, s3queue.contrib.asgi, s3queue_backends)
ERRORS = {*s3queue.errors.__all__, "TimeoutError"}
#: Explained once, in `s3queue.store` and `s3queue.middleware`.
OF_A_STORE = {name for name in vars(ObjectStore) if not name.startswith("_")}
HOOKS = {"before", "after", "failed", "around", "before_enqueue", "after_enqueue", "enqueue_failed"}


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield f"{module.__name__}.{name}", value


def functions_of(name: str, value: Any) -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Public functions and methods, and what else explains them: the docstring of their class."""
    if inspect.isfunction(value):
        yield name, value, ""
        return
    told = value.__doc__ or ""
    for base in value.__mro__:
        if not base.__module__.startswith("s3queue"):
            continue
        for method, member in vars(base).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            is_own = method == "__init__" or not method.startswith("_")
            if is_own and inspect.isfunction(function) and function.__module__.startswith("s3queue"):
                yield f"{name}.{method}", function, told


FUNCTIONS = {
    name: (function, told)
    for module in MODULES
    for owner, value in public(module)
    for name, function, told in functions_of(owner, value)
}


def raised_by(function: Callable[..., Any]) -> set[str]:
    """The errors that are named in its ``raise`` statements."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    named = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None)
    called = (one.func if isinstance(one, ast.Call) else one for one in named)
    return {one.id for one in called if isinstance(one, ast.Name)} & ERRORS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_function_has_a_docstring(name: str) -> None:
    function, told = FUNCTIONS[name]
    method = name.rpartition(".")[2]
    if method == "__init__":
        assert told.strip()
    elif not (name.startswith("s3queue_backends.") and method in OF_A_STORE) and not (
        name.startswith("s3queue.middleware.") and method in HOOKS
    ):
        assert (function.__doc__ or "").strip()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_names_the_errors_that_the_code_raises(name: str) -> None:
    function, told = FUNCTIONS[name]
    explained = f"{function.__doc__ or ''} {told}"
    assert {error for error in raised_by(function) if error not in explained} == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keyword_arguments_have_names_and_types(name: str) -> None:
    function = FUNCTIONS[name][0]
    more = [one for one in inspect.signature(function).parameters.values() if one.kind is one.VAR_KEYWORD]
    assert get_overloads(function) or [one.annotation for one in more if one.annotation in ("Any", "object")] == []
