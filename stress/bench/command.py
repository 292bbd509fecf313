"""``python -m stress bench``: one setting, several repetitions, every figure with its lowest and highest."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from stress import stores
from stress.bench.figures import summary
from stress.bench.measure import Setting, repetition
from stress.scale.models import MODELS


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def run(setting: Setting, repetitions: int, warm_up: int = 1) -> dict[str, Any]:
    """The figures of one setting."""
    told = [repetition(setting, number) for number in range(warm_up + repetitions)]
    return summary(list(told[warm_up:]))


@click.command("bench")
@click.option("--store", default="sqlite", show_default=True, help=stores.HELP)
@click.option("--messages", type=click.IntRange(2), default=10_000, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--concurrency", type=click.IntRange(1), default=1, show_default=True)
@click.option("--batch", type=click.IntRange(1, 1000), default=1, show_default=True, help="Messages per object.")
@click.option("--payload", type=click.IntRange(0), default=0, show_default=True, help="Bytes per message.")
@click.option(
    "--task-ms", type=click.FloatRange(0), default=0.0, show_default=True, help="Milliseconds that a task sleeps."
)
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True, help="Counted repetitions.")
@click.option(
    "--samples",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Latency samples in each repetition; 0: none.",
)
@click.option(
    "--idle-s", type=click.FloatRange(0.001), default=1.0, show_default=True, help="Seconds between two samples."
)
@click.option(
    "--warm-up", type=click.IntRange(0), default=1, show_default=True, help="Repetitions before, which do not count."
)
@click.option("--far", type=click.Choice(sorted(MODELS)), help="Add the latencies of this model to the store.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of s3queue; JSON or a string.")
@click.option("--json", "as_json", is_flag=True, help="Print nothing but JSON.")
def command(
    store: str,
    messages: int,
    workers: int,
    concurrency: int,
    batch: int,
    payload: int,
    task_ms: float,
    repetitions: int,
    samples: int,
    idle_s: float,
    warm_up: int,
    far: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Fill a queue and drain it, and count what that takes."""
    with tempfile.TemporaryDirectory(prefix="s3queue-bench-") as folder, stores.store_url(store, Path(folder)) as url:
        setting = Setting(
            url,
            messages=messages,
            workers=workers,
            concurrency=concurrency,
            batch=batch,
            payload=payload,
            task_ms=task_ms,
            far=far or "",
            settings=dict(map(_setting, settings)),
            samples=samples,
            idle_s=idle_s,
        )
        figures = run(setting, repetitions, warm_up)
    asked = {
        "store": store,
        "messages": messages,
        "workers": workers,
        "concurrency": concurrency,
        "batch": batch,
        "payload": payload,
        "task_ms": task_ms,
        "repetitions": repetitions,
        "far": far,
        "settings": dict(map(_setting, settings)),
    }
    if as_json:
        click.echo(json.dumps({"setting": asked, "machine": machine(), **figures}, indent=1))
        return
    for label, one in _rows(figures):
        click.echo(f"{label:32} {one['median']:>12,.4g}   ({one['min']:,.4g} to {one['max']:,.4g})")


def _rows(figures: dict[str, Any], of: str = "") -> Iterator[tuple[str, dict[str, float]]]:
    """Each figure with its full name, at any depth."""
    for name, value in figures.items():
        if "median" in value:
            yield of + name, value
        else:
            yield from _rows(value, f"{of}{name}.")


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
