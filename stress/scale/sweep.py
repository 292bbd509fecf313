"""Adaptive tickets against tickets of a fixed size: does anybody who tunes by hand do better?

Every point drains a backlog in virtual time, once as the coordinator sizes tickets by itself, and once for each fixed
number of messages per slot that a host may hold. What is compared is the time until everything is committed, or for long
backlogs how much is committed after a minute. ``cold_ratio`` is about the very first messages of a
queue, before anything was measured. Latencies have no spread here, so that what differs is the size alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from s3queue.core.plan import hosts
from stress.scale.simulation import Setting, simulate

TASKS_MS = (0.02, 1.0, 10.0, 100.0, 1000.0)
WAITING = (1, 100, 10_000)
SLOTS = (1, 2, 8)
#: Messages per slot.
FIXED = (1, 2, 4, 16, 64, 256, 1024)
#: Longer backlogs are told by what is done in so much time.
_LONGEST_S = 60.0


@contextmanager
def fixed(per_slot: int | None) -> Iterator[None]:
    """Tickets of a fixed size, whatever tasks take."""
    original: Any = hosts.capacity
    if per_slot is not None:
        hosts.capacity = lambda slots, mean_s, settings, batch=0: slots * per_slot
    try:
        yield
    finally:
        hosts.capacity = original


def point(
    model: str, task_ms: float, waiting: int, slots: int, per_slot: int | None, *, measured: bool = True
) -> float:
    """Messages committed per second."""
    setting = Setting(
        model=model,
        hosts=1,
        slots=slots,
        concurrency=1,
        task_ms=task_ms,
        load=0.0,
        backlog=waiting,
        batch=min(waiting, 10),
        warm_s=0.0,
        measure_s=_LONGEST_S,
        spread_s=0.0,
        cpu=0.0,
        until_empty=True,
        measured=measured,
        split="limitless",
        sigma=0.0,
    )
    with fixed(per_slot):
        told = simulate(setting)
    return float(told["messages"]) / float(told["drained_s"] or _LONGEST_S)


def run(models: tuple[str, ...] = ("s3",)) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for model in models:
        for task_ms in TASKS_MS:
            for waiting in WAITING:
                for slots in SLOTS:
                    adaptive = point(model, task_ms, waiting, slots, None)
                    by_hand = {size: point(model, task_ms, waiting, slots, size) for size in FIXED}
                    best = max(by_hand, key=lambda size: by_hand[size])
                    rows.append(
                        {
                            "model": model,
                            "task_ms": task_ms,
                            "waiting": waiting,
                            "slots": slots,
                            "adaptive_per_s": round(adaptive, 3),
                            "best_per_s": round(by_hand[best], 3),
                            "best_size": best,
                            "worst_per_s": round(min(by_hand.values()), 3),
                            "ratio": round(adaptive / by_hand[best], 3),
                            "cold_ratio": round(
                                point(model, task_ms, waiting, slots, None, measured=False) / by_hand[best], 3
                            ),
                        }
                    )
    return rows


@click.command("sweep")
@click.option("--model", "models", multiple=True, default=("s3",), show_default=True)
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path))
def command(models: tuple[str, ...], path: Path | None) -> None:
    """Adaptive tickets against every fixed size, in virtual time."""
    rows = run(models)
    for row in rows:
        click.echo(
            f"{row['model']:10} {row['task_ms']:>7} ms {row['waiting']:>6} waiting {row['slots']} slots: adaptive "
            f"{row['adaptive_per_s']:>10}/s, best by hand {row['best_per_s']:>10}/s ({row['best_size']} per slot), "
            f"ratio {row['ratio']}, the first ever {row['cold_ratio']}"
        )
    if path is not None:
        path.write_text(json.dumps(rows, indent=1) + "\n")
