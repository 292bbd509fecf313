"""``s3queue exporter``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from s3queue.cli.common import use
from s3queue.cli.options import store_options
from s3queue.config import Config
from s3queue.store import ObjectStore

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from s3queue.observe.serving import Answers, Health
    from s3queue.observe.stats import Stats

#: Seconds without an answer of the store after which the exporter is not healthy.
_LATELY_S = 60.0


@click.command("exporter")
@click.option("--bind", metavar="HOST:PORT", default="127.0.0.1:9192", show_default=True, help="Where to serve.")
@click.option(
    "--queue", "queues", metavar="NAME", multiple=True, help="Always name this queue in /scale. May be repeated."
)
@store_options
def command(
    bind: str, queues: tuple[str, ...], store_url: str | None, namespace: str | None, config_file: str | None
) -> None:
    """Serve /metrics, /healthz, /readyz and /scale of a namespace, until Ctrl-C.

    Use it if hosts are not scraped, or if at times no host runs. It serves the coordinator's last summary: one GET per
    scrape, at most every 2 s (10 s on billed stores), and one GET of the board. Histograms are served by hosts only:
    s3queue run --metrics. If no coordinator runs, it reports no living host and counts the messages that could start. So an
    autoscaler that has ended the last host starts one again.
    """
    from s3queue.core.keys import check_name
    from s3queue.observe.serving import application, server
    from s3queue.runtime.supervisor.sidecar import check_metrics, open_door

    check_metrics()
    for name in queues:
        check_name(name)
    store, config = use(store_url, config_file, namespace=namespace)
    door = open_door(bind)
    host, port = door.getsockname()[:2]
    click.echo(f"metrics of {store.url}, namespace {config.namespace}, at http://{host}:{port}/metrics", err=True)
    serving = server(door, application(answers(store, config, queues)))
    with contextlib.closing(door):
        serving.serve_forever()


def answers(store: ObjectStore, config: Config, queues: tuple[str, ...] = ()) -> Answers:
    """The functions behind the endpoints: from the summary, or, if no coordinator runs, from the stored objects."""
    from s3queue.observe.metrics import Rising, of_namespace, of_usage
    from s3queue.observe.prices import prices_of
    from s3queue.observe.scaling import scale
    from s3queue.observe.serving import Answers, Health
    from s3queue.runtime.metrics.summaries import Summaries
    from s3queue.runtime.metrics.unled import Unled, as_unled

    summaries, rising, prices = Summaries(store, config.namespace), Rising(), prices_of(store, config.prices)
    unled = Unled(store, config.namespace)

    def last() -> Stats | None:
        return as_unled(summaries.last(), unled.look(queues))

    def metrics() -> Iterator[Metric]:
        seen = last()
        yield from of_namespace(seen, rising)
        yield from of_usage(seen, prices)

    def healthy() -> Health:
        summaries.last()
        away_s = summaries.answered_s()
        told = summaries.fault or f"{away_s:.1f} s ago"
        return Health(away_s < _LATELY_S, {"store": told})

    def ready() -> Health:
        seen, health = summaries.last(), healthy()
        said = "nothing yet" if seen is None or seen.as_of is None else seen.as_of.isoformat()
        return Health(health.ok and not summaries.fault, {**health.checks, "summary": said})

    def scaled() -> dict[str, Any]:
        return scale(last(), queues)

    return Answers(metrics, healthy, ready, scaled)
