"""The real runs of ``docs/benchmarks.md``: each has a name, a setting, and the command that repeats it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stress.bench.command import run
from stress.bench.figures import summary
from stress.bench.measure import Bench, Setting
from stress.bench.memory import memory
from stress.bench.recovery import recovery
from stress.stores import store_url


@dataclass(frozen=True)
class Run:
    """
    Attributes:
        what: ``bench``, ``recovery`` or ``memory``.
        setting: its store is ``sqlite`` or ``seaweedfs``, as for ``stress bench --store``.
    """

    setting: Setting
    repetitions: int = 5
    what: str = "bench"

    @property
    def command(self) -> str:
        """The command line of this run."""
        if self.what != "bench":
            return f"python -m stress report --only real --real {self.what}-{self.setting.store}"
        plain, parts = Setting("sqlite"), [f"python -m stress bench --store {self.setting.store}"]
        for name in ("messages", "workers", "concurrency", "batch", "payload", "task_ms", "far", "samples"):
            value = getattr(self.setting, name)
            if value != getattr(plain, name) or name in ("messages", "samples"):
                parts.append(f"--{name.replace('_', '-')} {value:g}" if name != "far" else f"--far {value}")
        if self.repetitions != 5:
            parts.append(f"--repetitions {self.repetitions}")
        return " ".join(parts)


RUNS = {
    "singles-seaweedfs": Run(Setting("seaweedfs", messages=1000)),
    "singles-long-seaweedfs": Run(Setting("seaweedfs", messages=4000)),
    "batches-seaweedfs": Run(Setting("seaweedfs", messages=100_000, batch=100)),
    "singles-sqlite": Run(Setting("sqlite", messages=20_000)),
    "batches-sqlite": Run(Setting("sqlite", messages=200_000, batch=100)),
    "slots-16-far": Run(
        Setting("sqlite", messages=960, workers=4, concurrency=4, task_ms=1000.0, far="s3", raw=False), repetitions=1
    ),
    "latency-sqlite": Run(Setting("sqlite", messages=100, samples=60, raw=False), repetitions=1),
    "latency-seaweedfs": Run(Setting("seaweedfs", messages=100, samples=60, raw=False), repetitions=1),
    "recovery-sqlite": Run(Setting("sqlite", workers=4), what="recovery"),
    "recovery-seaweedfs": Run(Setting("seaweedfs", workers=4), what="recovery"),
    "memory-sqlite": Run(Setting("sqlite", messages=1_000_000, batch=100), repetitions=1, what="memory"),
}


def measure(name: str) -> dict[str, Any]:
    """The figures of one run."""
    one = RUNS[name]
    warm_up = 0 if one.repetitions == 1 or one.what != "bench" else 1
    with (
        tempfile.TemporaryDirectory(prefix="s3queue-bench-") as folder,
        store_url(one.setting.store, Path(folder)) as url,
    ):
        setting = replace(one.setting, store=url)
        if one.what == "bench":
            figures = run(setting, one.repetitions, warm_up)
        else:
            figures = _apart({"recovery": recovery, "memory": memory}[one.what], setting, one.repetitions)
    return {"command": one.command, "repetitions": one.repetitions, **figures}


def _apart(figures: Callable[[Bench], dict[str, float]], setting: Setting, repetitions: int) -> dict[str, Any]:
    told: list[dict[str, float]] = []
    for number in range(repetitions):
        with tempfile.TemporaryDirectory(prefix="s3queue-bench-") as folder:
            bench = Bench(setting, number, Path(folder))
            try:
                told.append(figures(bench))
            finally:
                bench.clean()
    return summary(list(told))
