"""``python -m stress wake``: how long the first message from another machine waits on an idle namespace.

The producer has another temporary directory than the host, so neither can wake the other: as if on two machines. Between
two messages the namespace is idle for long enough that every poll is as rare as it gets.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from stress.bench.measure import Bench, Setting, latency
from stress.stores import HELP, store_url


@click.command("wake")
@click.option("--store", default="seaweedfs", show_default=True, help=HELP)
@click.option("--pacing", default="balanced", show_default=True)
@click.option("--samples", default=12, show_default=True, help="Messages.")
@click.option("--idle", default=20.0, show_default=True, help="Seconds without work before each, at least.")
def command(store: str, pacing: str, samples: int, idle: float) -> None:
    """From enqueue to start, without and with knocks."""
    with tempfile.TemporaryDirectory() as folder, store_url(store, Path(folder)) as url:
        for name, knocks in (("polls", {}), ("knocks", {"knock": "127.0.0.1:0", "knock_key": "secret"})):
            settings: dict[str, Any] = {"pacing": pacing, **knocks}
            setting = Setting(store=url, samples=samples, idle_s=idle, settings=settings)
            with tempfile.TemporaryDirectory() as stamps, tempfile.TemporaryDirectory() as elsewhere:
                before, tempfile.tempdir = tempfile.tempdir, elsewhere
                try:
                    bench = Bench(setting, 0, Path(stamps))
                    times = latency(bench)
                finally:
                    tempfile.tempdir = before
            click.echo(f"{name}: p50 {times['p50']:,.0f} ms, longest {times['max']:,.0f} ms")
