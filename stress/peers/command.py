"""``python -m stress peers``: s3queue and other queues in turn, several times, in one run."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from stress.bench.command import machine
from stress.bench.figures import median, summary, told
from stress.peers import harness, servers
from stress.peers.catalogue import PEERS

#: Ours: name, store, messages per object, messages.
OURS = (
    ("s3queue, SQLite, batches of 100", "sqlite", 100, 200_000),
    ("s3queue, SQLite, one by one", "sqlite", 1, 20_000),
    ("s3queue, SeaweedFS, batches of 100", "s3", 100, 100_000),
    ("s3queue, SeaweedFS, one by one", "s3", 1, 2_000),
)


@click.command("peers")
@click.option("--only", multiple=True, metavar="TEXT", help="Only those whose name contains this.")
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--scale", type=click.FloatRange(0.001), default=1.0, show_default=True, help="Factor for the numbers of messages."
)
@click.option("--json", "as_json", is_flag=True)
@click.option("--chart", type=click.Path(dir_okay=False, path_type=Path), help="Write an SVG of the drain rates.")
def command(only: tuple[str, ...], repetitions: int, scale: float, as_json: bool, chart: Path | None) -> None:
    """Other queues, each in its documented fast configuration, beside s3queue."""
    result = run(only, repetitions, scale)
    if chart is not None:
        from stress.charts import drain_rates

        chart.write_text(drain_rates(result))
    if as_json:
        click.echo(json.dumps(result, indent=1))
        return
    for name, row in result["queues"].items():
        click.echo(f"{name:38} " + (row["skipped"] if "skipped" in row else f"{told(row['drain_per_s']):>28} msg/s"))


def run(
    only: tuple[str, ...] = (),
    repetitions: int = 5,
    scale: float = 1.0,
    warm_up: int = 0,
    keep: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Everybody once, then everybody again: what the machine does meanwhile meets all of them.

    Args:
        keep: told after each round, so that one that is broken off is not for nothing.
    """
    told_by: dict[str, list[dict[str, float]]] = {}
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3queue-peers-")))
        measures = _measures(stack, folder, only, scale, skipped)
        for number in range(warm_up + repetitions):
            for name, measure in measures.items():
                if name in skipped:
                    continue
                click.echo(f"{number + 1}/{warm_up + repetitions} {name}", err=True)
                try:
                    figures = measure()
                except (LookupError, RuntimeError, OSError) as fault:
                    skipped[name] = str(fault)
                    click.echo(f"  left out: {fault}", err=True)
                    continue
                if number >= warm_up:
                    told_by.setdefault(name, []).append(figures)
            if keep is not None and told_by:
                keep(_result(told_by, skipped, number + 1 - warm_up, scale))
    return _result(told_by, skipped, repetitions, scale)


def _result(
    told_by: dict[str, list[dict[str, float]]], skipped: dict[str, str], repetitions: int, scale: float
) -> dict[str, Any]:
    queues: dict[str, Any] = {name: summary(list(rows)) for name, rows in told_by.items() if rows}
    queues = dict(sorted(queues.items(), key=lambda item: -median(item[1]["drain_per_s"])))
    about = {peer.name: {"version": peer.version(), "why": peer.why} for peer in PEERS if peer.name in queues}
    return {
        "machine": machine(),
        "repetitions": repetitions,
        "scale": scale,
        "queues": queues | {name: {"skipped": why} for name, why in skipped.items() if name not in queues},
        "about": about,
    }


def _measures(
    stack: ExitStack, folder: Path, only: tuple[str, ...], scale: float, skipped: dict[str, str]
) -> dict[str, Callable[[], dict[str, float]]]:
    def wanted(name: str) -> bool:
        return not only or any(text.lower() in name.lower() for text in only)

    measures: dict[str, Callable[[], dict[str, float]]] = {}
    peers = [peer for peer in PEERS if wanted(peer.name)]
    own = [one for one in OURS if wanted(one[0])]
    redis = ""
    if any(peer.store == "redis" for peer in peers):
        try:
            redis = stack.enter_context(servers.redis(folder))
        except LookupError as missing:
            skipped.update({peer.name: str(missing) for peer in peers if peer.store == "redis"})
    s3 = None
    if any(peer.store == "s3" for peer in peers) or any(one[1] == "s3" for one in own):
        from s3queue.testing.programs import Unavailable
        from s3queue.testing.servers import seaweedfs

        try:
            s3 = stack.enter_context(seaweedfs(folder / "weed"))
            os.environ.update(s3.env)
        except Unavailable as missing_server:
            skipped.update({peer.name: str(missing_server) for peer in peers if peer.store == "s3"})
            own = [one for one in own if one[1] != "s3"]
    for name, store, batch, messages in own:
        url = f"sqlite:///{folder}/{{n}}.db" if s3 is None or store == "sqlite" else s3.url("obstore+s3")
        measures[name] = partial(harness.ours, url, batch, messages, scale)
    for peer in peers:
        measures[peer.name] = partial(harness.measure, peer, redis=redis, s3=s3, scale=scale)
    return measures
