"""Whether another ``ticket_target`` drains short backlogs faster. Real runs.

The default against a tenth of it, a third, three and ten times; all settings in turn, several times.
`stress.scale.sweep` has longer tasks and longer backlogs.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from stress.bench.measure import Setting, repetition

TASKS_MS = (0.0, 1.0, 10.0)
#: Slots: workers, and slots of each.
SLOTS = {1: (1, 1), 2: (2, 1), 8: (2, 4)}
TARGETS_S = (0.1, 0.3, 1.0, 3.0, 10.0)
DEFAULT_S = 1.0


def messages(task_ms: float, slots: int) -> int:
    """As many as take about two seconds, and more than one ticket."""
    return 40_000 if not task_ms else int(2000 / task_ms * slots)


def run(repetitions: int = 3) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="s3queue-sweep-") as folder:
        for task_ms in TASKS_MS:
            for slots, (workers, concurrency) in SLOTS.items():
                plain = Setting(
                    f"sqlite:///{Path(folder)}/{{n}}.db",
                    messages=messages(task_ms, slots),
                    workers=workers,
                    concurrency=concurrency,
                    task_ms=task_ms,
                    batch=100,
                    raw=False,
                )
                rates: dict[float, list[float]] = {target: [] for target in TARGETS_S}
                for number in range(repetitions):
                    for target in TARGETS_S:
                        told = repetition(replace(plain, settings={"ticket_target": target}), number)
                        rates[target].append(float(told["drain_per_s"]))
                middle = {target: statistics.median(values) for target, values in rates.items()}
                best = max(middle, key=lambda target: middle[target])
                rows.append(
                    {
                        "task_ms": task_ms,
                        "slots": slots,
                        "messages": plain.messages,
                        "per_s": {str(target): round(value, 1) for target, value in middle.items()},
                        "best": best,
                        "ratio": round(middle[DEFAULT_S] / middle[best], 3),
                    }
                )
                click.echo(f"{rows[-1]}", err=True)
    return rows
