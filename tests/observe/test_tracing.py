from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from s3queue_backends.memory import MemoryStore

from s3queue import Producer, Queue, Retry, Snooze, handler
from s3queue.context import Context
from s3queue.core.keys import Layout
from s3queue.core.records import decode_batch, decode_message
from s3queue.errors import StoreDenied
from s3queue.observe.tracing import Spans
from s3queue.store import Found

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Seen(NamedTuple):
    spans: InMemorySpanExporter
    measured: InMemoryMetricReader

    def one(self, name: str) -> Any:
        (span,) = [span for span in self.spans.get_finished_spans() if span.name == name]
        return span

    def points(self, name: str) -> list[Any]:
        data = self.measured.get_metrics_data()
        assert data is not None
        found = [it for of in data.resource_metrics for scope in of.scope_metrics for it in scope.metrics]
        return [point for it in found if it.name == name for point in it.data.data_points]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """An SDK is configured."""
    it = Seen(InMemorySpanExporter(), InMemoryMetricReader())
    tracers, meters = TracerProvider(), MeterProvider([it.measured])
    tracers.add_span_processor(SimpleSpanProcessor(it.spans))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", tracers)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", meters)
    yield it
    tracers.shutdown()
    meters.shutdown()


def headers_of(store: MemoryStore) -> list[dict[str, str]]:
    """Of all messages that are stored, in order."""
    found = []
    for item in store.list(Layout().inbox):
        body = store.get(item.key)
        assert isinstance(body, Found)
        found += [decode_message(item.key, raw).headers for raw in decode_batch(item.key, body.body).messages]
    return found


def attempt(message: str, number: int, headers: dict[str, str], raises: BaseException | None = None) -> None:
    ctx = Context(message, "mail", "send", number, 1, "h", headers=headers)
    around: Any = Spans("continue").around(ctx)
    next(around)
    if raises is None:
        with pytest.raises(StopIteration):
            next(around)
    else:
        with pytest.raises(type(raises)):
            around.throw(raises)


def test_trace_goes_from_producer_to_worker_and_a_retry_begins_one_that_is_linked(seen: Seen) -> None:
    store = MemoryStore()
    with trace.get_tracer("mine").start_as_current_span("request") as request:
        message = Queue("mail", store).enqueue({"n": 1})
    (headers,) = headers_of(store)
    attempt(message, 1, headers, ValueError("no such user"))
    attempt(message, 2, headers)
    send = seen.one("send mail")
    spans: list[Any] = [span for span in seen.spans.get_finished_spans() if span.name == "process mail"]
    first, second = spans
    assert send.parent.span_id == request.get_span_context().span_id
    assert send.kind == SpanKind.PRODUCER
    assert dict(send.attributes) == {
        "messaging.system": "s3queue",
        "messaging.destination.name": "mail",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.message.id": message,
    }
    assert first.parent.span_id == send.context.span_id
    assert first.context.trace_id == send.context.trace_id
    assert first.kind == SpanKind.CONSUMER
    assert (first.attributes["messaging.message.id"], first.attributes["s3queue.attempt"]) == (message, 1)
    assert (first.attributes["error.type"], first.status.is_ok) == ("ValueError", False)
    assert first.events[0].name == "exception"
    assert second.parent is None
    assert second.context.trace_id != send.context.trace_id
    assert [link.context.span_id for link in second.links] == [send.context.span_id]
    assert second.status.is_ok


def test_first_attempt_may_begin_a_trace_of_its_own(seen: Seen) -> None:
    list(Spans("link").around(Context("m", "mail", "send", 1, 1, "h", headers={"traceparent": CALLER})))
    span = seen.one("process mail")
    assert span.parent is None
    assert [f"{link.context.span_id:016x}" for link in span.links] == ["b7ad6b7169203331"]


def test_call_that_takes_several_messages_is_linked_to_each_of_them(seen: Seen) -> None:
    other = CALLER.replace("b7ad6b7169203331", "00f067aa0ba902b7")
    contexts = [
        Context(f"m{number}", "mail", "send", 1, 1, "h", headers=headers)
        for number, headers in enumerate([{"traceparent": CALLER}, {"traceparent": other}, {"traceparent": CALLER}, {}])
    ]
    contexts[0].batch = tuple(contexts)
    list(Spans("continue").around(contexts[0]))
    span = seen.one("process mail")
    assert span.parent is None
    assert {f"{link.context.span_id:016x}" for link in span.links} == {"b7ad6b7169203331", "00f067aa0ba902b7"}
    assert len(span.links) == 2
    assert span.attributes["messaging.batch.message_count"] == 4
    assert "messaging.message.id" not in span.attributes
    (point,) = seen.points("messaging.client.consumed.messages")
    assert point.value == 4


def test_context_that_the_caller_gives_is_left_alone(seen: Seen) -> None:
    store = MemoryStore()
    Queue("mail", store).enqueue(1, headers={"traceparent": CALLER, "user": "7"})
    assert headers_of(store) == [{"traceparent": CALLER, "user": "7"}]


def test_batch_is_one_span_with_its_count_and_all_of_its_messages_name_it(seen: Seen) -> None:
    store = MemoryStore()
    Queue("mail", store).enqueue_many(range(3))
    span = seen.one("send mail")
    assert span.attributes["messaging.batch.message_count"] == 3
    assert {headers["traceparent"].split("-")[2] for headers in headers_of(store)} == {f"{span.context.span_id:016x}"}
    (point,) = seen.points("messaging.client.sent.messages")
    assert point.value == 3


def test_calls_that_share_a_put_have_a_span_each(seen: Seen) -> None:
    @handler("mail")
    def send(payload: int) -> None: ...

    store = MemoryStore()
    queue = Queue("mail", store)
    with Producer(store, linger=0.2) as producer:
        callers = [threading.Thread(target=producer.send, args=(queue, number)) for number in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    spans = [span for span in seen.spans.get_finished_spans() if span.name == "send mail"]
    sent = {headers["traceparent"].split("-")[2] for headers in headers_of(store)}
    assert {f"{span.context.span_id:016x}" for span in spans} == sent
    assert len(sent) == 3


def test_enqueue_that_fails_ends_its_span_with_the_error(seen: Seen) -> None:
    class Closed(MemoryStore):
        def put(self, key: str, body: bytes, *, if_version: str | None) -> Any:
            raise StoreDenied("put", key)

    with pytest.raises(StoreDenied):
        Queue("mail", Closed()).enqueue(1)
    span = seen.one("send mail")
    assert (span.attributes["error.type"], span.status.is_ok) == ("StoreDenied", False)


@pytest.mark.parametrize(
    ("raised", "outcome", "error"),
    [(Snooze(after=1), "snoozed", None), (Retry(), "retried", "Retry"), (KeyError("x"), None, "KeyError")],
)
def test_span_tells_how_the_attempt_ended(
    seen: Seen, raised: BaseException, outcome: str | None, error: str | None
) -> None:
    attempt("m", 1, {}, raised)
    span = seen.one("process mail")
    assert (span.attributes.get("s3queue.outcome"), span.attributes.get("error.type")) == (outcome, error)
    (point,) = seen.points("messaging.process.duration")
    assert point.count == 1
    assert point.attributes.get("error.type") == error


PLAIN = """
import sys
import s3queue
from s3queue.observe import tracing
from s3queue_backends.memory import MemoryStore
{before}
store = MemoryStore()
queue = s3queue.Queue("mail", store)
queue.enqueue(1)
assert tracing.middleware("continue") == ()
(item,) = store.list("s3queue/p00/in/")
print(len(store.get(item.key).body), "opentelemetry.sdk" in sys.modules)
"""


def test_without_an_sdk_nothing_is_added_and_nothing_is_imported() -> None:
    sizes = set()
    for before in ("", "import opentelemetry.trace, opentelemetry.metrics"):
        done = subprocess.run(
            [sys.executable, "-c", PLAIN.format(before=before)],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        size, imported = done.stdout.split()
        assert imported == "False"
        sizes.add(size)
    assert len(sizes) == 1
    assert "traceparent" not in str(headers_of_plain())


def headers_of_plain() -> list[dict[str, str]]:
    store = MemoryStore()
    Queue("mail", store).enqueue(1)
    return headers_of(store)


def test_api_alone_is_no_sdk() -> None:
    assert not isinstance(metrics.get_meter_provider(), MeterProvider)
    list(Spans("continue").around(Context("m", "mail", "send", 1, 1, "h")))  # does no harm either
