"""Which function a queue and a name stand for, and which functions can be one."""

from __future__ import annotations

import asyncio
import functools
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import s3queue
from s3queue import ConfigError
from s3queue.registry import registry


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module ``made_up``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "made_up.py"
    sys.modules.pop("made_up", None)


BARE = """
import s3queue

def measured(function):
    def wrapper(n):
        return function(n)
    return wrapper

@s3queue.task("q"{first})
@measured
def one(n): return 1
"""
TWO = '\n@s3queue.task("q"{second})\n@measured\ndef two(n): return 2\n'


class TestTwoFunctionsOfOneName:
    def test_behind_one_decorator_without_wraps(self, module: Path) -> None:
        module.write_text((BARE + TWO).format(first="", second=""))
        with pytest.raises(ConfigError, match=r"already measured\.<locals>\.wrapper") as caught:
            importlib.import_module("made_up")
        assert caught.value.hint == "give one of them a name="

    def test_each_with_a_name_of_its_own(self, module: Path) -> None:
        module.write_text((BARE + TWO).format(first=', "one"', second=', "two"'))
        made: Any = importlib.import_module("made_up")
        assert (made.one(0), made.two(0)) == (1, 2)
        assert (registry.find("q", "one"), registry.find("q", "two")) == (made.one, made.two)

    @pytest.mark.parametrize(
        "text",
        [
            "for n in (1, 2):\n    @s3queue.task('q')\n    def f(n=n): return n\n",
            "def make(n):\n    @s3queue.task('q')\n    def f(): return n\n    return f\na, b = make(1), make(2)\n",
            "a, b = s3queue.task('q')(lambda: 1), s3queue.task('q')(lambda: 2)\n",
            "@s3queue.task('q')\ndef f(): return 1\na = f\n@s3queue.task('q')\ndef f(): return 2\n",
            "def f(): ...\ns3queue.task('q', 'a')(f)\nf = lambda: 2\nf.__qualname__ = 'f'\ns3queue.task('q', 'a')(f)\n",
        ],
        ids=["loop", "factory", "lambda", "defined twice", "another of its name"],
    )
    def test_made_in_other_ways(self, text: str, module: Path) -> None:
        module.write_text(f"import s3queue\n{text}")
        with pytest.raises(ConfigError, match="give one of them a name="):
            importlib.import_module("made_up")


class TestOneFunctionAgain:
    @pytest.mark.parametrize(
        "text", [BARE.format(first=""), "import s3queue\n@s3queue.task('q')\ndef one(n): return 1\n"]
    )
    def test_reload_replaces_it(self, text: str, module: Path) -> None:
        module.write_text(text)
        made: Any = importlib.import_module("made_up")
        first = made.one
        module.write_text(f"\n\n{text}".replace("return 1", "return 10"))
        importlib.invalidate_caches()
        importlib.reload(made)
        assert made.one is not first
        assert registry.find("q", made.one.name) is made.one
        one: Any = made.one
        assert one(0) == 10

    def test_same_file_under_another_module_name_replaces_it(self, module: Path) -> None:
        module.write_text(BARE.format(first=""))
        importlib.import_module("made_up")
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(module.read_text(), str(module), "exec"), scope)
        assert registry.find("q", scope["one"].name) is scope["one"]

    def test_same_function_declared_twice_keeps_the_last(self) -> None:
        def it() -> None: ...

        s3queue.task("q")(it)
        again = s3queue.task("q", max_attempts=7)(it)
        assert registry.tasks("q") == (again,)

    def test_cells_of_a_notebook_may_define_it_again(self) -> None:
        scope: dict[str, Any] = {"s3queue": s3queue}
        cell = compile("@s3queue.task('q')\ndef it(): return 1", "<cell>", "exec").replace(co_name="<cell line: 1>")
        exec(cell, scope)
        exec(compile("@s3queue.task('q')\ndef it(): return 2", "<cell>", "exec"), scope)
        redefined: Any = scope["it"]
        assert redefined() == 2


class Counter:
    total = 0

    def add(self, n: int) -> None: ...

    @classmethod
    def reset(cls, n: int) -> int:
        return n


class TestMethods:
    def test_task_over_a_classmethod_says_what_to_do(self) -> None:
        with pytest.raises(ConfigError, match="is a classmethod") as caught:

            class Jobs:
                @s3queue.task("q")
                @classmethod
                def it(cls, n: int) -> None: ...

        assert "staticmethod" in caught.value.hint
        assert registry.tasks() == ()

    def test_classmethod_over_a_task_says_what_to_do(self) -> None:
        with pytest.raises(ConfigError, match="is a method"):

            class Jobs:
                @classmethod
                @s3queue.task("q")
                def it(cls, n: int) -> None: ...

    def test_plain_method_says_what_to_do(self) -> None:
        with pytest.raises(ConfigError, match="carries no self"):

            class Jobs:
                @s3queue.task("q")
                def it(self, n: int) -> None: ...

    @pytest.mark.parametrize("function", [Counter().add, [].append, "x".join])
    def test_method_of_an_instance_says_what_to_do(self, function: Any) -> None:
        with pytest.raises(ConfigError, match="method of an instance of"):
            s3queue.task("q")(function)

    def test_property_says_what_to_do(self) -> None:
        wrong: Any = property(lambda self: 1)
        with pytest.raises(ConfigError, match="is a property"):
            s3queue.task("q")(wrong)

    @pytest.mark.parametrize(
        "method",
        [functools.singledispatchmethod(Counter.add), functools.partialmethod(Counter.add, 1)],
        ids=["singledispatchmethod", "partialmethod"],
    )
    def test_method_that_functools_makes_says_what_to_do(self, method: Any) -> None:
        with pytest.raises(ConfigError, match="carries no self"):
            s3queue.task("q")(method)

    def test_function_of_c_that_does_not_tell_its_parameters_says_what_to_do(self) -> None:
        with pytest.raises(ConfigError, match=r"the parameters of .*'max'.* are not known"):
            s3queue.task("q")(max)

    def test_staticmethod_is_a_function_in_either_order(self) -> None:
        class Jobs:
            @s3queue.task("q")
            @staticmethod
            def over(n: int) -> int:
                return n

            @staticmethod
            @s3queue.task("q")
            def under(n: int) -> int:
                return n

            @s3queue.task("q")
            @staticmethod
            async def late(n: int) -> int:
                return n

        assert (Jobs.over(1), Jobs.under(2), asyncio.run(Jobs.late(3))) == (1, 2, 3)
        assert Jobs.late.is_async
        assert Jobs.over.encode((1,), {}) == Jobs.under.encode((1,), {})

    def test_classmethod_bound_to_its_class_is_a_function(self) -> None:
        it = s3queue.task("q")(Counter.reset)
        assert it(5) == 5
        assert it.decode(it.encode((5,), {})) == ((5,), {})

    def test_a_function_may_have_a_parameter_called_self(self) -> None:
        @s3queue.task("q")
        def it(self: int) -> int:
            return self

        assert it(3) == 3
