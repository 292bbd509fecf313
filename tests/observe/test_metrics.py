from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from s3queue_backends.memory import MemoryStore

from s3queue import ConfigError
from s3queue.core.keys import MAX_ORDER, Layout, life_path, source_path
from s3queue.core.records import HostTally, Summary, Tally, Usage, encode
from s3queue.errors import OutcomeUnknown, StoreUnavailable
from s3queue.io.clock import clock
from s3queue.observe.ears import Ear
from s3queue.observe.gathering import Gathered, Totals
from s3queue.observe.measures import BUCKETS, EACH, MOST_TIMED, Histogram, MeasuredStore, Measures
from s3queue.observe.metrics import Rising, of_host, of_namespace, of_usage
from s3queue.observe.prices import AS_OF, PRICES, dollars, parse_prices, prices_of
from s3queue.observe.scaling import scale, wanted
from s3queue.observe.serving import Answers, Health, application
from s3queue.observe.stats import HostStats, QueueStats, Stats
from s3queue.runtime.metrics.summaries import Summaries

#: What a dashboard or an alert may rely on: name, type, labels.
PROMISED = {
    "s3queue_messages": ("gauge", {"queue", "state"}),
    "s3queue_oldest_ready_seconds": ("gauge", {"queue"}),
    "s3queue_messages_enqueued": ("counter", {"queue"}),
    "s3queue_messages_finished": ("counter", {"queue", "outcome"}),
    "s3queue_attempts": ("counter", {"queue", "task", "result"}),
    "s3queue_message_duration_seconds": ("histogram", {"queue", "task"}),
    "s3queue_message_wait_seconds": ("histogram", {"queue"}),
    "s3queue_slots": ("gauge", {"state"}),
    "s3queue_worker_deaths": ("counter", {"cause"}),
    "s3queue_hosts": ("gauge", set()),
    "s3queue_fences": ("counter", set()),
    "s3queue_elections": ("counter", set()),
    "s3queue_cycle_seconds": ("gauge", set()),
    "s3queue_board_bytes": ("gauge", set()),
    "s3queue_store_requests": ("counter", {"role", "op", "result"}),
    "s3queue_store_request_seconds": ("histogram", {"op"}),
    "s3queue_store_dollars": ("counter", {"role"}),
}
NOBODY = Ear("/nowhere")


def seen(**queue: Any) -> Stats:
    return Stats(
        "s3://b",
        "s3queue",
        epoch=4,
        queues={"mail": QueueStats(**queue)},
        hosts=[
            HostStats(
                "a", slots=4, busy=3, usage={"host": Usage(put=10, get=100, conflicts=2, unanswered=1).as_dict()}
            ),
            HostStats("b", slots=4, over=True),
        ],
        as_of=datetime(2030, 1, 1, tzinfo=UTC),
        board_bytes=1234,
        cycle_s=0.25,
    )


def served(families: Iterable[Metric], accept: str = "text/plain") -> str:
    """What is answered to a scrape."""
    status, kind, body = ask(
        application(Answers(lambda: families, lambda: Health(True, {}), lambda: Health(True, {}), dict)),
        "/metrics",
        accept,
    )
    assert (status, kind.partition(";")[0]) == ("200 OK", "text/plain")
    return body.decode()


def ask(app: Any, path: str, accept: str = "", method: str = "GET") -> tuple[str, str, bytes]:
    told: list[Any] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_ACCEPT": accept, "wsgi.input": io.BytesIO()}
    body = b"".join(app(environ, lambda status, headers: told.extend((status, dict(headers)["Content-Type"]))))
    return told[0], told[1], body


def samples(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """As the parser of Prometheus reads it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(served(families))
        for sample in family.samples
    }


def value(families: Iterable[Metric], name: str, **labels: str) -> float:
    return samples(families)[name, frozenset(labels.items())]


def measured() -> Totals:
    measures = Measures("worker 0", NOBODY)
    tried, source = measures.task("mail", "send", 1), source_path("mail", sent_ms=1, batch="a", count=1)
    for path in (source, source, ""):
        tried.ran[0] += 1
        measures.ran("mail", "send", path, clock(), 0.5, 1)
    measures.ended("mail", "send", "retrying")
    store = MeasuredStore(MemoryStore(), measures, "worker")
    store.put("k", b"x", if_version=None)
    store.put("k", b"x", if_version=None)
    store.get("k")
    gathered = Gathered()
    gathered.hear([measures.snapshot(), {"kind": "worker_died", "cause": "oom"}, {"kind": "fenced", "role": "agent"}])
    return gathered.totals()


def test_names_types_and_labels_are_those_that_are_promised() -> None:
    of_this_host = of_host(measured(), {"busy": 1, "idle": 3}, PRICES["s3"], Rising())
    families = [*of_namespace(seen(ready=1), Rising()), *of_this_host]
    told = {family.name: family for family in text_string_to_metric_families(served(families))}
    assert told.keys() - PROMISED.keys() == {"s3queue_summary_timestamp_seconds"}
    for name, (kind, labels) in PROMISED.items():
        family = told[name]
        assert family.type == kind, name
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(labels)}, name
        assert all(label not in ("message", "session", "host") for sample in family.samples for label in sample.labels)


def test_messages_are_told_by_state_and_those_that_came_are_all_of_them() -> None:
    counts = {"ready": 3, "running": 2, "waiting": 1, "done": 10, "dead": 1, "deaths": 4, "redriven": 3}
    families = list(of_namespace(seen(**counts, unfit={"t@": 5}), Rising()))
    assert value(families, "s3queue_messages", queue="mail", state="ready") == 3
    assert value(families, "s3queue_messages", queue="mail", state="retrying") == 1
    assert value(families, "s3queue_messages", queue="mail", state="unfit") == 5
    assert value(families, "s3queue_messages_finished_total", queue="mail", outcome="dead") == 4
    assert value(families, "s3queue_messages_enqueued_total", queue="mail") == 22, "those that were redriven came once"
    assert value(families, "s3queue_messages", queue="mail", state="dead") == 1
    assert value(families, "s3queue_elections_total") == 4
    assert value(families, "s3queue_hosts") == 1
    assert value(families, "s3queue_board_bytes") == 1234
    assert value(families, "s3queue_cycle_seconds") == 0.25


def test_messages_that_came_never_fall_while_a_census_has_not_counted_them() -> None:
    rising = Rising()
    list(of_namespace(seen(ready=1000), rising))
    assert (
        value(of_namespace(seen(ready=400, at_least=True), rising), "s3queue_messages_enqueued_total", queue="mail")
        == 1000
    )


def test_namespace_of_which_nobody_has_said_anything_is_told_as_empty() -> None:
    assert value(of_namespace(None, Rising()), "s3queue_hosts") == 0


def test_attempts_durations_and_requests_are_those_that_were_made() -> None:
    families = list(of_host(measured(), {"busy": 1, "idle": 3}, {"put": 5.0, "get": 0.4}, Rising()))
    assert value(families, "s3queue_attempts_total", queue="mail", task="send", result="ok") == 2
    assert value(families, "s3queue_attempts_total", queue="mail", task="send", result="retrying") == 1
    assert value(families, "s3queue_message_duration_seconds_count", queue="mail", task="send") == 3
    assert value(families, "s3queue_message_wait_seconds_count", queue="mail") == 2
    assert value(families, "s3queue_message_wait_seconds_bucket", queue="mail", le="1800") == 0, "it was sent in 1970"
    assert value(families, "s3queue_store_requests_total", role="worker", op="put", result="conflict") == 1
    assert value(families, "s3queue_store_request_seconds_count", op="put") == 2
    assert value(families, "s3queue_store_dollars_total", role="worker") == pytest.approx(10.4e-6)
    assert value(families, "s3queue_worker_deaths_total", cause="oom") == 1
    assert value(families, "s3queue_fences_total") == 1


def test_wait_is_counted_from_when_the_message_could_start() -> None:
    measures, now_ms = Measures("worker 0", NOBODY), 1_000_000_000_000
    measures.task("mail", "send", 1)
    dead = f"p00~{source_path('mail', sent_ms=1, batch='c', count=1).replace('/', '~')}~0"
    for path in (
        source_path("mail", sent_ms=1, batch="a", count=1, due_ms=MAX_ORDER),
        source_path("mail", sent_ms=now_ms, batch="b", count=1, newest_first=True),
        life_path(dead, 2),  # nobody can tell when it was redriven
    ):
        measures.ran("mail", "send", path, clock(), 0.0, 1)
    ((_, counts, total),) = measures.snapshot()["waits"]
    assert sum(counts) == 2
    assert counts[0] == 1, "due after its start, by the clock of the one who sent it"
    assert total > 1e8


def test_of_very_many_short_tasks_no_more_are_timed_than_of_many() -> None:
    measures = Measures("worker 0", NOBODY)
    tried = measures.task("mail", "send", 1)

    def run(many: int) -> int:
        """How many of them were timed."""
        timed = 0
        for _ in range(many):
            tried.ran[0] += 1
            if tried.ran[0] >= tried.due[0]:
                measures.ran("mail", "send", "", 0.0, 1e-6, tried.weight(0))
                timed += 1
        return timed

    many = 4 * EACH * MOST_TIMED
    assert run(many) >= 4 * MOST_TIMED
    measures.snapshot()
    assert run(many) <= MOST_TIMED + 1
    counts = measures.snapshot()["durations"][0][2]
    assert 2 * many - 5 * EACH < sum(counts) <= 2 * many
    measures.snapshot()  # a time with none
    assert run(EACH) == 1, "where there are few again"


def test_short_tasks_are_counted_each_and_timed_one_in_many() -> None:
    measures = Measures("worker 0", NOBODY)
    tried = measures.task("mail", "send", 2)

    def run(slot: int, seconds: float) -> None:
        tried.ran[slot] += 1
        if tried.ran[slot] >= tried.due[slot]:
            measures.ran("mail", "send", "", clock(), seconds, tried.weight(slot))

    def timed() -> int:
        return sum(measures.snapshot()["durations"][0][2])

    many = 2 * (10 * EACH + 1)
    for number in range(many):
        run(number % 2, 0.0001)
    assert (timed(), measures.snapshot()["ran"]) == (many, [["mail", "send", many]])
    assert measures.snapshot()["durations"][0][3] == pytest.approx(many * 0.0001)
    run(0, 3.0)
    assert timed() == many, "it is not due"
    for _ in range(EACH - 1):
        run(0, 3.0)
    assert timed() == many + EACH
    for _ in range(EACH + 3):
        run(0, 3.0)
    assert timed() == many + EACH + EACH + 3, "what was chosen before holds, and then each one is timed: they are long"


def test_attempts_that_ended_well_never_fall_when_a_result_cannot_be_stored() -> None:
    """A counter that falls is taken for one that has begun anew, and all of it for what came since."""
    measures, gathered, rising = Measures("worker 0", NOBODY), Gathered(), Rising()
    measures.task("mail", "send", 1).ran[0] = 5

    def told() -> float:
        gathered.hear([measures.snapshot()])
        families = list(of_host(gathered.totals(), {}, PRICES["none"], rising))
        return value(families, "s3queue_attempts_total", queue="mail", task="send", result="ok")

    assert told() == 5
    measures.ended("mail", "send", "retrying")
    assert told() == 5


@pytest.mark.parametrize(
    ("fault", "result"), [(StoreUnavailable("get", "k"), "unavailable"), (OutcomeUnknown("put", "k"), "unanswered")]
)
def test_request_that_fails_is_counted_by_how(fault: Exception, result: str) -> None:
    class Broken(MemoryStore):
        def get(self, key: str, *, unless: str | None = None) -> Any:
            raise fault

    measures = Measures("agent", NOBODY)
    with pytest.raises(type(fault)):
        MeasuredStore(Broken(), measures, "host").get("k")
    assert [row[:3] for row in measures.snapshot()["store"]] == [["host", "get", result]]
    assert measures.answered == 0


def test_worker_that_is_replaced_takes_nothing_along() -> None:
    gathered = Gathered()
    for _ in range(2):
        measures = Measures("worker 0", NOBODY)
        measures.ended("mail", "send", "dead")
        measures.ended("mail", "send", "dead")
        snapshots = [measures.snapshot(), measures.snapshot()]
        gathered.hear(snapshots)
    assert gathered.totals().results == {("mail", "send", "dead"): 4}
    assert gathered.totals().results == {("mail", "send", "dead"): 4}, "looking changes nothing"


def test_histogram_counts_a_value_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    it = Histogram()
    for seconds in (BUCKETS[0], BUCKETS[0] * 1.01, BUCKETS[-1] * 2):
        it.add(seconds)
    assert (it.counts[0], it.counts[1], it.counts[-1]) == (1, 1, 1)


# ---- from the summary alone -------------------------------------------------------------------------------------------


def test_exporter_tells_requests_and_dollars_of_all_hosts() -> None:
    families = list(of_usage(seen(done=7, failed=2), PRICES["s3"]))
    assert value(families, "s3queue_store_requests_total", role="host", op="put", result="ok") == 7
    assert value(families, "s3queue_store_requests_total", role="host", op="put", result="conflict") == 2
    assert value(families, "s3queue_store_dollars_total", role="host") == pytest.approx((10 * 5 + 100 * 0.4) / 1e6)
    assert value(families, "s3queue_slots", state="busy") == 3
    assert value(families, "s3queue_slots", state="idle") == 1
    assert value(families, "s3queue_attempts_total", queue="mail", task="", result="ok") == 7


def test_exporter_counts_on_what_hosts_had_asked_that_are_gone() -> None:
    before = seen()
    after = Stats("s3://b", "s3queue", past=before.hosts[0].usage)
    for name, labels in [
        ("s3queue_store_requests_total", {"role": "host", "op": "put", "result": "ok"}),
        ("s3queue_store_dollars_total", {"role": "host"}),
    ]:
        first, second = (value(of_usage(one, PRICES["s3"]), name, **labels) for one in (before, after))
        assert first == second


def test_sessions_of_one_supervisor_are_counted_once() -> None:
    asked = {"host": Usage(put=10).as_dict()}
    later = {"host": Usage(put=12).as_dict()}
    both = Stats(
        "s", "n", hosts=[HostStats("a", "web:1", usage=asked, over=True), HostStats("b", "web:1", usage=later)]
    )
    assert both.usage["host"]["put"] == 12


def test_summary_is_read_once_however_many_ask_and_an_outage_keeps_the_last_one() -> None:
    class Counted(MemoryStore):
        gets, away = 0, False

        def get(self, key: str, *, unless: str | None = None) -> Any:
            Counted.gets += 1
            if Counted.away:
                raise StoreUnavailable("get", key)
            return super().get(key, unless=unless)

    store = Counted()
    tally = Summary("n", 1, 1000, queues={"mail": Tally(ready=2)}, hosts=(HostTally("a", slots=1),))
    store.put(Layout().summary, encode(tally), if_version=None)
    reader = Summaries(store, "s3queue", every_s=1000.0)
    for _ in range(5):
        last = reader.last()
        assert last is not None
        assert last.queues["mail"].ready == 2
    assert Counted.gets == 1
    again = Summaries(store, "s3queue", every_s=0.0)
    assert again.last() is not None
    Counted.away = True
    assert again.last() is not None
    assert again.fault


# ---- scaling, prices, endpoints ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "busy", "slots"),
    [
        (QueueStats(), 4, 0),
        (QueueStats(ready=10), 0, 10),
        (QueueStats(ready=600, mean_s=1.0), 0, 10),
        (QueueStats(ready=1, mean_s=0.001), 0, 1),
        (QueueStats(running=4, mean_s=1.0), 4, 4),
        (QueueStats(running=400, mean_s=0.001), 4, 4),
        (QueueStats(running=2), 4, 2),
        (QueueStats(ready=50, running=2, mean_s=10.0, paused=True), 4, 2),
    ],
)
def test_slots_are_wanted_for_what_is_ready_and_never_fewer_than_run(counts: QueueStats, busy: int, slots: int) -> None:
    assert wanted(counts, busy) == slots


def test_scale_is_never_empty() -> None:
    assert scale(None, ("mail",)) == {
        "queues": {"mail": {"wanted": 0, "ready": 0, "running": 0}},
        "total": {"wanted": 0, "ready": 0, "running": 0},
        "as_of": None,
    }
    told = scale(seen(ready=3, running=3))
    assert told["queues"]["mail"] == {"wanted": 6, "ready": 3, "running": 3}
    assert told["total"] == {"wanted": 6, "ready": 3, "running": 3}


def test_prices_are_those_of_the_store_and_a_setting_overrides_them() -> None:
    assert prices_of(MemoryStore()) == PRICES["none"]
    assert prices_of(MemoryStore(), "put=7, list=1.5") == {"put": 7.0, "get": 0.0, "list": 1.5, "delete": 0.0}
    assert dollars({"put": 1_000_000, "sent": 5}, PRICES["s3"]) == 5.0
    assert datetime.strptime(AS_OF, "%Y-%m").year >= 2025  # noqa: DTZ007 - a month


@pytest.mark.parametrize("text", ["put", "put=", "put=x", "copy=1", "put=-1", "put=nan"])
def test_price_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a price"):
        parse_prices(text)


def test_endpoints_answer_with_their_status_and_nothing_of_a_fault_but_its_name() -> None:
    def breaks() -> dict[str, Any]:
        raise RuntimeError("a secret")

    app = application(
        Answers(
            lambda: (), lambda: Health(True, {"agent": "1 s ago"}), lambda: Health(False, {"host": "draining"}), breaks
        )
    )
    assert ask(app, "/healthz")[::2] == ("200 OK", b'{"ok": true, "agent": "1 s ago"}\n')
    status, kind, body = ask(app, "/readyz")
    assert (status, kind, json.loads(body)) == (
        "503 Service Unavailable", "application/json", {"ok": False, "host": "draining"},
    )  # fmt: skip
    assert ask(app, "/scale")[::2] == ("500 Internal Server Error", b"RuntimeError\n")
    assert ask(app, "/")[0] == "404 Not Found"
    assert ask(app, "/metrics", method="POST")[0] == "405 Method Not Allowed"
    assert ask(app, "/healthz", method="HEAD")[2] == b""
