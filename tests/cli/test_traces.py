"""A trace through the processes that take part in it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_development import start
from tests.deadline import DEADLINE_S

TRACED = """
import json
import s3queue
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

class ToFile(SpanExporter):
    def export(self, spans):
        with open("spans", "a") as file:
            for span in spans:
                file.write(json.dumps({
                    "name": span.name,
                    "span": span.context.span_id,
                    "trace": span.context.trace_id,
                    "parent": span.parent and span.parent.span_id,
                    "links": [link.context.span_id for link in span.links],
                    "attempt": span.attributes.get("s3queue.attempt"),
                }) + "\\n")
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ToFile(), schedule_delay_millis=3_600_000))
trace.set_tracer_provider(provider)

@s3queue.task("traced", backoff=s3queue.Backoff(base=0.0, cap=0.0))
async def work(ctx: s3queue.Context) -> None:
    if ctx.attempt == 1:
        raise ValueError("no such user")
"""


def test_trace_goes_through_a_producer_a_worker_and_a_retry_and_its_last_spans_are_exported(tmp_path: Path) -> None:
    (tmp_path / "traced.py").write_text(TRACED)
    for args in (("enqueue", "traced:work"), ("run", "traced", "--workers", "1", "--until-empty")):
        process = start(tmp_path, *args)
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
    send, first, second = [json.loads(line) for line in (tmp_path / "spans").read_text().splitlines()]
    assert [span["name"] for span in (send, first, second)] == ["send traced", "process traced", "process traced"]
    assert (first["attempt"], first["parent"], first["trace"]) == (1, send["span"], send["trace"])
    assert (second["attempt"], second["parent"], second["links"]) == (2, None, [send["span"]])
    assert second["trace"] != send["trace"]
