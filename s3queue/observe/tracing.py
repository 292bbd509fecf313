"""Traces and measurements for OpenTelemetry, by its conventions for messaging.

``send {queue}`` is a span of kind producer around an enqueue; its context travels in the headers of the messages, as
the program's propagators write it (``traceparent`` by default). ``process {queue}`` is a span of kind consumer around
each attempt. The first attempt continues the trace of its enqueue, or begins its own, linked to it: see the setting
``tracing``. Every further attempt begins its own, linked to it, since hours may lie between. So does a call that takes
several messages, linked to each of them.

Active if an SDK is configured in this process when it is first needed. Otherwise nothing is imported, measured or sent,
and messages are not a byte longer. Conventions: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any, Literal

from s3queue.context import Context
from s3queue.errors import Reject, Retry, Snooze

__all__ = ["SendSpan", "Spans", "begin_send", "flush", "is_on", "middleware"]

_SYSTEM = "s3queue"
#: Milliseconds that the end of a worker waits for the export of its last spans.
_FLUSH_MS = 1000


def is_on() -> bool:
    """Whether an SDK is configured, for traces or for metrics. Two lookups in a dictionary if the API was never
    imported."""
    trace, metrics = sys.modules.get("opentelemetry.trace"), sys.modules.get("opentelemetry.metrics")
    if trace is None and metrics is None:
        return False
    return (trace is not None and _is_real(trace.get_tracer_provider())) or (
        metrics is not None and _is_real(metrics.get_meter_provider())
    )


def _is_real(provider: object) -> bool:
    """Whether it is a provider of an SDK: the API's own stand-ins do nothing."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


class _Instruments:
    """The instruments of this process."""

    def __init__(self) -> None:
        from opentelemetry import metrics, trace

        self.tracer = trace.get_tracer(_SYSTEM)
        meter = metrics.get_meter(_SYSTEM)
        self.sent = meter.create_counter("messaging.client.sent.messages", "{message}")
        self.consumed = meter.create_counter("messaging.client.consumed.messages", "{message}")
        self.send_s = meter.create_histogram("messaging.client.operation.duration", "s")
        self.process_s = meter.create_histogram("messaging.process.duration", "s")


_made: tuple[object, object, _Instruments] | None = None


def _instruments() -> _Instruments:
    """Made once for the providers that are configured."""
    global _made
    from opentelemetry import metrics, trace

    providers = trace.get_tracer_provider(), metrics.get_meter_provider()
    if _made is None or _made[:2] != providers:
        _made = (*providers, _Instruments())
    return _made[2]


def _attributes(queue: str, operation: str) -> dict[str, Any]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


# ---- sending ---------------------------------------------------------------------------------------------------------


class SendSpan:
    """A span of an enqueue under way. Ends once, by `sent` or `failed`, in the thread that learns of it first."""

    def __init__(self, queue: str, count: int) -> None:
        from opentelemetry import trace

        self._instruments, self._count = _instruments(), count
        self._labels = _attributes(queue, "send")
        attributes = self._labels if count == 1 else self._labels | {"messaging.batch.message_count": count}
        self._span = self._instruments.tracer.start_span(
            f"send {queue}", kind=trace.SpanKind.PRODUCER, attributes=attributes
        )
        self._began: float | None = time.monotonic()

    def headers(self, given: dict[str, str]) -> dict[str, str]:
        """The headers with the context of this span, unless the caller has given one."""
        from opentelemetry import propagate, trace

        if "traceparent" in given:
            return given
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(self._span))
        return {**carrier, **given}

    def sent(self, ids: list[str]) -> None:
        """End the span: the messages are stored."""
        if len(ids) == 1:
            self._span.set_attribute("messaging.message.id", ids[0])
        self._end({})

    def failed(self, fault: BaseException) -> None:
        """End the span: some messages are not stored, or may not be."""
        if self._began is not None:
            _record(self._span, fault)
            self._end({"error.type": type(fault).__qualname__})

    def _end(self, more: dict[str, str]) -> None:
        began, self._began = self._began, None
        if began is not None:
            labels = self._labels | more
            self._instruments.sent.add(self._count, labels)
            self._instruments.send_s.record(time.monotonic() - began, labels)
            self._span.end()


def begin_send(queue: str, count: int) -> SendSpan | None:
    """A span for an enqueue of ``count`` messages. None: no SDK is configured."""
    return SendSpan(queue, count) if is_on() else None


# ---- processing ------------------------------------------------------------------------------------------------------


class Spans:
    """Middleware: a span around each attempt. See the module.

    Args:
        first: ``continue`` or ``link``: how a first attempt uses the trace of its enqueue.
    """

    def __init__(self, first: Literal["continue", "link"]) -> None:
        self._first = first

    def around(self, ctx: Context) -> Iterator[None]:
        """The attempt runs inside its span."""
        from opentelemetry import trace

        instruments = _instruments()
        labels, began = _attributes(ctx.queue, "process"), time.monotonic()
        parent, links = self._origin(ctx)
        attributes, many = labels | {"s3queue.task": ctx.task}, max(1, len(ctx.batch))
        if many > 1:
            attributes["messaging.batch.message_count"] = many
        else:
            attributes |= {"messaging.message.id": ctx.message_id, "s3queue.attempt": ctx.attempt}
        try:
            with instruments.tracer.start_as_current_span(
                f"process {ctx.queue}",
                parent,
                kind=trace.SpanKind.CONSUMER,
                attributes=attributes,
                links=links,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    yield
                except BaseException as raised:
                    labels |= _ended(span, raised)
                    raise
        finally:
            instruments.consumed.add(many, labels)
            instruments.process_s.record(time.monotonic() - began, labels)

    def _origin(self, ctx: Context) -> tuple[Any, list[Any]]:
        """The context in which the span begins, and its links."""
        from opentelemetry import context, propagate, trace

        sent = [propagate.extract(one.headers, context.Context()) for one in ctx.batch or (ctx,)]
        if len(sent) == 1 and ctx.attempt == 1 and self._first == "continue":
            return sent[0], []
        found = (trace.get_current_span(one).get_span_context() for one in sent)
        origins = {(one.trace_id, one.span_id): one for one in found if one.is_valid}
        return context.Context(), [trace.Link(one) for one in origins.values()]


def _ended(span: Any, raised: BaseException) -> dict[str, str]:
    """Record how an attempt ended, in its span and in the measurements."""
    if isinstance(raised, Snooze):
        span.set_attribute("s3queue.outcome", "snoozed")
        return {}
    if isinstance(raised, Retry | Reject):
        span.set_attribute("s3queue.outcome", "retried" if isinstance(raised, Retry) else "rejected")
    _record(span, raised)
    return {"error.type": type(raised).__qualname__}


def _record(span: Any, fault: BaseException) -> None:
    from opentelemetry import trace

    span.record_exception(fault)
    span.set_attribute("error.type", type(fault).__qualname__)
    span.set_status(trace.Status(trace.StatusCode.ERROR, f"{type(fault).__name__}: {fault}"))


def middleware(first: Literal["continue", "link"]) -> tuple[object, ...]:
    """The middleware for the attempts of a worker; empty if no SDK is configured."""
    return (Spans(first),) if is_on() else ()


def flush() -> None:
    """Export the remaining spans. Processes that `multiprocess` has started run no handlers of `atexit`."""
    if not is_on():
        return
    for module, get in (("trace", "get_tracer_provider"), ("metrics", "get_meter_provider")):
        api = sys.modules.get(f"opentelemetry.{module}")
        force = None if api is None else getattr(getattr(api, get)(), "force_flush", None)
        if force is not None:
            try:
                force(_FLUSH_MS)
            except Exception as fault:  # noqa: BLE001 - the worker ends all the same
                print(f"s3queue: cannot export the last spans: {fault}", file=sys.stderr)
