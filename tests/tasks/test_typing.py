"""What a type checker is told of a decorated function. Checked by mypy; running it checks that nothing of it fails."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, assert_type, get_type_hints

import pytest

import s3queue
from s3queue import Context, MessageId, Queue, Task, events
from s3queue.config import Config, load
from s3queue.enqueue.loading import load as load_messages
from s3queue.middleware import Enqueue, Middleware, Report
from s3queue.options.batching import Options, TaskOptions
from s3queue.options.limits import DECLARED
from s3queue.options.policies import policy
from s3queue.options.sending import OnceOptions, SendOptions
from s3queue.options.settings import HostSettings, Settings
from s3queue.testing import Drained, TaskQueue


@s3queue.task("typed")
def plain(n: int, text: str = "") -> str:
    return text * n


@s3queue.task("typed")
def with_context(ctx: Context, n: int) -> float:
    return n / ctx.attempt


@s3queue.task("typed")
async def coroutine(n: int) -> int:
    return n


@s3queue.task("typed", batch=10, wait=0.5)
def several(numbers: list[int]) -> list[Exception | None]:
    return [None for _ in numbers]


@s3queue.task("typed", batch=10)
def several_with_context(ctx: Context, numbers: list[int]) -> None: ...


@s3queue.task("typed", batch=10, result_ttl=60)
def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


@s3queue.task("typed", batch=10, result_ttl=60)
async def lengths_later(ctx: Context, texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


@s3queue.handler("typed-raw")
def take(payload: bytes) -> None: ...


def test_a_call_has_the_type_of_the_function() -> None:
    assert_type(plain(2, "x"), str)
    assert_type(with_context(2), float)
    assert_type(several([1, 2]), list[Exception | None])
    assert_type(lengths(["x"]), list[int])
    running = coroutine(1)
    _ = assert_type(running, Coroutine[Any, Any, int])
    running.close()


def test_type_checkers_know_every_setting_in_its_type() -> None:
    told = get_type_hints(Settings)
    assert told == {
        name: kind | None for name, kind in get_type_hints(Config).items() if name in Config.__struct_fields__
    }
    own = inspect.signature(s3queue.Supervisor).parameters
    assert told.keys() - get_type_hints(HostSettings).keys() == told.keys() & own.keys()
    assert not get_type_hints(HostSettings).keys() & inspect.signature(load).parameters.keys()


def test_type_checkers_know_every_option_of_an_enqueue_in_its_type() -> None:
    for taken in (Queue.enqueue, load_messages):
        hints = get_type_hints(taken, localns={"Queue": Queue})
        assert {name: hints[name] for name in OnceOptions.__annotations__} == get_type_hints(OnceOptions)
    own = {"payload", "return"}
    assert get_type_hints(Queue.enqueue).keys() - own == OnceOptions.__annotations__.keys()
    assert get_type_hints(Queue.enqueue_many).keys() - {"payloads", "return"} == SendOptions.__annotations__.keys()


def test_types_for_annotations_are_found_at_run_time() -> None:
    assert s3queue.middleware.Middleware is Middleware
    assert s3queue.testing.TaskQueue is TaskQueue
    for module in (s3queue.middleware, s3queue.testing):
        with pytest.raises(AttributeError, match="nothing"):
            _ = module.nothing


def test_type_checkers_know_every_option() -> None:
    taken = {*inspect.signature(policy).parameters, *DECLARED, "middleware", "expires_in"}
    assert Options.__annotations__.keys() == taken
    timed = inspect.signature(s3queue.task).parameters.keys() - {"queue", "name", "batch", "wait", "options"}
    assert TaskOptions.__annotations__.keys() - taken == timed
    with pytest.raises(TypeError, match=r"handler\(\) got an unexpected keyword argument 'cron'"):
        s3queue.handler("q", cron="* * * * *")  # type: ignore[call-overload]


if TYPE_CHECKING:
    handler: Task[[bytes], None] = take
    assert_type(plain.enqueue(1, text="x"), MessageId[str])
    assert_type(plain.enqueue(1).result(), str)
    assert_type(with_context.enqueue(1), MessageId[float])
    assert_type(coroutine.enqueue(1).result(), int)

    async def waits() -> None:
        assert_type(await coroutine.enqueue(1), int)
        assert_type(await plain.enqueue(1).aresult(), str)

    assert_type(plain.options(delay=1).enqueue(1), MessageId[str])
    plain.enqueue("x")  # type: ignore[arg-type]
    plain.enqueue()  # type: ignore[call-arg]
    with_context.enqueue(1, 2)  # type: ignore[call-arg]
    plain.options(delay=1).enqueue(1, txt="x")  # type: ignore[call-arg]
    several.enqueue(1)
    several.enqueue([1])  # type: ignore[arg-type]
    several(1)  # type: ignore[arg-type]
    several_with_context.enqueue(1)
    assert_type(lengths.enqueue("x").result(), int)
    assert_type(lengths_later.enqueue("x").result(), int)

    class Hooks:
        def before(self, ctx: Context) -> None: ...
        def after(self, ctx: Context, result: object) -> None: ...
        async def failed(self, ctx: Context, raised: BaseException) -> None: ...

    class Spans:
        def around(self, ctx: Context) -> Iterator[None]:
            yield

    class AsyncSpans:
        async def around(self, ctx: Context) -> AsyncIterator[None]:
            yield

    class Tenant:
        def before_enqueue(self, call: Enqueue) -> None: ...

    s3queue.use(Hooks(), Spans(), AsyncSpans(), Tenant(), Report(print))
    s3queue.use(3)  # type: ignore[arg-type]
    s3queue.task("typed", middleware=[Hooks()])
    s3queue.Supervisor(middleware=[Hooks()], workers=2, visibility_timeout=60, history=None)
    s3queue.Supervisor(visibility_timeout="60")  # type: ignore[arg-type]
    s3queue.Supervisor(visibility=60)  # type: ignore[call-arg]
    s3queue.configure(store="memory://", max_attempts=4)
    s3queue.configure(max_attempts="4")  # type: ignore[arg-type]
    queue = Queue("typed-raw")
    queue.enqueue_stream([b""], batch=10, priority=1)
    queue.enqueue_stream([b""], prority=1)  # type: ignore[call-arg]
    with s3queue.Producer() as producer:
        assert_type(producer.enqueue(plain, 1), MessageId[str])
        assert_type(producer.enqueue(plain.options(delay=1), 1), MessageId[str])
        producer.enqueue(plain, "1")  # type: ignore[arg-type]
        producer.send(queue, b"", delay=1, unique="waiting")
        producer.send(queue, b"", dealy=1)  # type: ignore[call-arg]

    @s3queue.on("dead")
    def mourn(event: events.Dead) -> int:
        return event.attempt

    assert_type(mourn(events.Dead(message="", attempt=1)), int)

    def uses_the_fixture(task_queue: TaskQueue) -> None:
        task_queue.assert_enqueued(plain)
        task_queue.assert_enqueued(plain, 1, text="x")
        task_queue.assert_enqueued(plain, "x")  # type: ignore[call-overload]
        assert_type(task_queue.drain().check(), Drained)
