from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3queue
from s3queue import Backoff, ConfigError, Context, Fenced, Task, configure
from s3queue.core.keys import fencing_token
from s3queue.registry import registry

if TYPE_CHECKING:
    from decimal import Decimal


class TestDeclaring:
    def test_a_task_is_known_by_queue_and_qualified_name(self) -> None:
        @s3queue.task("mail")
        def send(n: int) -> None:
            """Send it."""

        assert isinstance(send, Task)
        assert registry.find("mail", send.name) is send
        assert send.name.endswith("send")
        assert (send.__name__, send.__doc__, send.__wrapped__) == ("send", "Send it.", send.function)
        assert registry.find("mail", "other") is None
        assert registry.find("other", send.name) is None
        assert registry.queues() == ("mail",)

    def test_a_handler_has_no_name(self) -> None:
        @s3queue.handler("raw")
        def take(payload: bytes) -> None: ...

        assert registry.find("raw", "") is take
        assert "handler" in repr(take)

    def test_settings_come_from_the_process_unless_the_task_says_otherwise(self) -> None:
        @s3queue.task("q")
        def plain() -> None: ...

        @s3queue.task("q", max_attempts=7, time_limit=2, backoff=Backoff(base=5))
        def own() -> None: ...

        @s3queue.task("q", time_limit=None)
        def unlimited() -> None: ...

        assert (plain.max_attempts, plain.time_limit, plain.backoff) == (3, None, Backoff())
        configure(max_attempts=9, time_limit=30)
        assert (plain.max_attempts, plain.time_limit) == (9, 30)
        assert (own.max_attempts, own.time_limit, own.backoff.base) == (7, 2, 5)
        assert unlimited.time_limit is None
        assert registry.offer("q").max_attempts == 9

    def test_an_offer_for_a_queue_without_tasks_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no task serves the queue 'q'"):
            registry.offer("q")

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"queue": "no/slash"}, "queue name"),
            ({"queue": ""}, "queue name"),
            ({"queue": None}, "name of its queue"),
            ({"max_attempts": 0}, "max_attempts"),
            ({"max_attempts": True}, "max_attempts"),
            ({"max_attempts": 2.0}, "max_attempts"),
            ({"time_limit": 0}, "time_limit"),
            ({"time_limit": float("nan")}, "time_limit"),
            ({"time_limit": "5"}, "time_limit"),
            ({"time_limit": timedelta(seconds=5)}, "time_limit"),
            ({"backoff": 5}, "backoff"),
            ({"name": ""}, "name"),
            ({"name": 5}, "name"),
        ],
    )
    def test_a_wrong_option_is_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            s3queue.task(**{"queue": "q", **options})(lambda: None)
        assert registry.queues() == ()

    @pytest.mark.parametrize("decorator", [s3queue.task, s3queue.handler])
    def test_a_decorator_without_its_parentheses_says_what_to_write(self, decorator: Any) -> None:
        with pytest.raises(ConfigError, match=rf"write @s3queue\.{decorator.__name__}\(queue="):
            decorator(lambda: None)

    def test_what_is_no_plain_function_is_refused(self) -> None:
        def generator() -> Any:
            yield 1

        async def agenerator() -> Any:
            yield 1

        class Thing:
            def __call__(self) -> None: ...

        wrong: list[Callable[..., Any]] = [generator, agenerator, Thing, Thing()]
        for function in wrong:
            with pytest.raises(ConfigError):
                s3queue.task("q")(function)

    def test_a_parameter_called_ctx_cannot_be_the_rest(self) -> None:
        def it(*ctx: int) -> None: ...

        with pytest.raises(ConfigError, match="reserved for the context"):
            s3queue.task("q")(it)

    def test_annotations_may_name_what_comes_later(self) -> None:
        scope: dict[str, Any] = {"s3queue": s3queue}
        source = "from __future__ import annotations\n@s3queue.task('q')\ndef it(v: Later): ..."
        exec(compile(source, "later.py", "exec"), scope)
        it: Task[..., Any] = scope["it"]
        with pytest.raises(ConfigError, match="Later"):
            it.encode((1,), {})
        scope["Later"] = int
        assert it.decode(it.encode((1,), {})) == ((1,), {})

    def test_annotations_that_only_a_type_checker_sees_are_refused_before_anything_runs(self) -> None:
        def it(v: Decimal) -> None: ...

        late = s3queue.task("q")(it)
        with pytest.raises(ConfigError, match="TYPE_CHECKING"):
            registry.offer("q")
        with pytest.raises(ConfigError, match="TYPE_CHECKING"):
            late.enqueue(1)  # type: ignore[arg-type]

    def test_neither_the_result_nor_the_context_need_resolve(self) -> None:
        def it(ctx: Missing, v: int) -> Missing: ...  # type: ignore[name-defined] # noqa: F821

        wrapped = s3queue.task("q")(it)
        assert wrapped.encode((1,), {})


class TestIdentity:
    MODULE = "import s3queue\n@s3queue.task('q', name='it')\ndef {name}(): ...\n"

    def run(self, file: str, name: str = "it") -> Any:
        scope: dict[str, Any] = {}
        exec(compile(self.MODULE.format(name=name), file, "exec"), scope)
        return scope[name]

    def test_a_module_imported_twice_replaces_its_own(self) -> None:
        self.run("a.py")
        again = self.run("a.py")
        assert registry.find("q", "it") is again

    def test_another_file_may_not_take_the_name(self) -> None:
        first = self.run("a.py")
        with pytest.raises(ConfigError, match=r"already it in a\.py"):
            self.run("b.py")
        assert registry.find("q", "it") is first

    def test_nor_may_another_function_of_the_same_file(self) -> None:
        self.run("a.py")
        with pytest.raises(ConfigError, match="name="):
            self.run("a.py", "other")

    def test_a_queue_has_one_handler(self) -> None:
        s3queue.handler("q")(lambda payload: None)
        with pytest.raises(ConfigError, match="one handler"):

            @s3queue.handler("q")
            def second(payload: Any) -> None: ...

    def test_one_function_may_serve_two_queues(self) -> None:
        def it(n: int) -> None: ...

        one, two = s3queue.task("one")(it), s3queue.task("two")(it)
        assert (one.queue, two.queue) == ("one", "two")
        assert s3queue.task("three")(one).function is it

    def test_a_decorated_function_is_looked_at_through_its_wrappers(self) -> None:
        import functools

        def passing(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def inner(*args: Any, **kwargs: Any) -> Any:
                return function(*args, **kwargs)

            return inner

        @s3queue.task("q")
        @passing
        def it(n: int) -> int:
            return n

        assert it(3) == 3
        assert it.decode(it.encode((3,), {})) == ((3,), {})
        assert it.origin[0] == __file__


class TestCalling:
    def ctx(self) -> Context:
        return Context("m", "q", "t", 2, 3, "s")

    def test_a_direct_call_is_an_ordinary_call(self) -> None:
        @s3queue.task("q")
        def add(a: int, b: int = 1) -> int:
            return a + b

        assert add(1) == 2
        assert add(1, b=5) == 6
        with pytest.raises(TypeError):
            add()  # type: ignore[call-arg]

    def test_the_context_goes_where_the_function_wants_it(self) -> None:
        def first(ctx: Context, a: int, b: int) -> Any:
            return ctx, a, b

        def middle(a: int, ctx: Context, b: int) -> Any:
            return ctx, a, b

        def last(a: int, b: int, ctx: Context) -> Any:
            return ctx, a, b

        def named(a: int, b: int, *, ctx: Context) -> Any:
            return ctx, a, b

        def only(a: int, /, ctx: Context, *b: int) -> Any:
            return ctx, a, *b

        ctx = self.ctx()
        for function in (first, middle, last, named, only):
            it: Task[..., Any] = s3queue.task("q")(function)
            assert it.wants_ctx
            assert it.call(*it.decode(it.encode((1, 2), {})), ctx) == (ctx, 1, 2)
            local, a, b = it(1, 2)
            assert isinstance(local, Context)
            assert (local.message_id, local.attempt, a, b) == ("local", 1, 1, 2)

    def test_a_direct_call_may_bring_its_own_context(self) -> None:
        def first(ctx: Context, a: int, b: int = 0) -> Any:
            return ctx, a, b

        it: Task[..., Any] = s3queue.task("q")(first)
        ctx = self.ctx()
        assert it(ctx, 1) == (ctx, 1, 0)
        assert it(a=1, ctx=ctx) == (ctx, 1, 0)

    def test_a_local_context_has_the_time_limit_of_the_task(self) -> None:
        @s3queue.task("q", time_limit=60)
        def it(ctx: Context) -> float | None:
            return ctx.remaining()

        remaining = it()
        assert remaining is not None
        assert 0 < remaining <= 60

    def test_an_async_task_returns_its_coroutine(self) -> None:
        @s3queue.task("q")
        async def it(ctx: Context, n: int) -> int:
            return n + ctx.attempt

        assert it.is_async
        assert asyncio.run(it(1)) == 2
        assert asyncio.run(it.call((1,), {}, self.ctx())) == 3

    def test_a_forgotten_await_is_a_failure_and_not_a_success(self) -> None:
        async def work() -> None: ...

        @s3queue.task("q")
        def it() -> Any:
            return work()

        with pytest.raises(TypeError, match="async def"):
            it.call((), {}, None)


class TestContext:
    def test_cancelled_follows_the_host(self) -> None:
        import threading

        fenced = threading.Event()
        ctx = Context("m", "q", "t", 1, fencing_token("7-9"), "s", cancel=fenced)
        ctx.check()
        fenced.set()
        assert ctx.cancelled
        with pytest.raises(Fenced, match="7-9"):
            ctx.check()

    def test_remaining_is_none_without_a_limit_and_negative_past_it(self) -> None:
        assert Context("m", "q", "t", 1, 0, "s").remaining() is None
        late = Context("m", "q", "t", 1, 0, "s", time.monotonic() - 5).remaining()
        assert late is not None
        assert late < 0


class TestBackoff:
    def test_it_doubles_from_base_to_cap(self) -> None:
        steady = Backoff(base=1, cap=10, jitter=False)
        assert [steady.delay(attempt, 0.5) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]

    @given(
        base=st.floats(0, 1e6),
        cap=st.floats(0, 1e9),
        attempt=st.integers(1, 10**6),
        random=st.floats(0, 0.999),
    )
    def test_full_jitter_is_between_zero_and_the_bound(
        self, base: float, cap: float, attempt: int, random: float
    ) -> None:
        if cap < base:
            with pytest.raises(ConfigError):
                Backoff(base, cap)
            return
        delay = Backoff(base, cap).delay(attempt, random)
        assert 0 <= delay <= cap
        assert delay <= Backoff(base, cap, jitter=False).delay(attempt, 0)

    def test_wrong_bounds_are_refused(self) -> None:
        for base, cap in ((-1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)):
            with pytest.raises(ConfigError):
                Backoff(base, cap)
