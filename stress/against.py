"""``python -m stress against``: the cost of a message now, compared with an earlier commit.

Both run `python -m stress bench` in turns, this checkout and the earlier one, so that other load of the machine affects
both. CPU, which the kernel counts for each thread, and requests are compared; rates are not, since other programs
change them.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import click

#: The file of kept figures.
KEPT = Path("docs/assets/benchmarks/against.json")
#: Arguments for `bench`, by name.
_RUNS = {
    "one by one": ("--messages", "10000", "--batch", "1"),
    "batches of 100": ("--messages", "200000", "--batch", "100"),
}
_ALWAYS = ("--repetitions", "1", "--samples", "0", "--warm-up", "0", "--json")


def _checkout(commit: str, folder: Path) -> None:
    """The files of this commit, without a registered work tree of git."""
    packed = subprocess.run(["git", "archive", "--format=tar", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(folder, filter="data")


def _bench(root: Path, options: tuple[str, ...]) -> dict[str, float]:
    """CPU in microseconds, and requests, for each message, by process."""
    done = subprocess.run(
        [sys.executable, "-m", "stress", "bench", *options, *_ALWAYS],
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'backends'}"},
        check=True,
        stdout=subprocess.PIPE,
    )
    told = json.loads(done.stdout)
    cpu = {f"{who} µs": one["median"] for who, one in told["cpu_us_per_message"].items()}
    return cpu | {"requests": sum(one["median"] for one in told["requests_per_message"].values())}


def _compared(runs: list[dict[str, dict[str, float]]]) -> dict[str, list[float]]:
    """By figure: the median before and now, and their ratio."""
    compared = {}
    for name in runs[0]["before"]:
        before, now = ([one[which][name] for one in runs] for which in ("before", "now"))
        compared[name] = [median(before), median(now), median(now) / median(before)]
    return compared


@click.command("against")
@click.argument("commit")
@click.option("--rounds", default=6, show_default=True, help="Runs of each commit, in turns.")
@click.option("--keep", is_flag=True, help=f"Keep the figures in {KEPT}, for docs/benchmarks.md.")
def command(commit: str, rounds: int, keep: bool) -> None:
    """Compare what a message without options costs now with what it cost at an earlier COMMIT, on SQLite."""
    here = Path(__file__).parent.parent
    kept: dict[str, Any] = {"commit": commit, "rounds": rounds, "runs": {}}
    with tempfile.TemporaryDirectory() as folder:
        _checkout(commit, Path(folder))
        for run, options in _RUNS.items():
            turns = [{"before": _bench(Path(folder), options), "now": _bench(here, options)} for _ in range(rounds)]
            kept["runs"][run] = _compared(turns)
            for name, (before, now, times) in kept["runs"][run].items():
                click.echo(f"{run}, {name}: {before:.4g} → {now:.4g}, {times:.3f} times")
            if keep:
                KEPT.write_text(json.dumps(kept, indent=1) + "\n")


def section() -> str:
    """The section of docs/benchmarks.md; empty if no figures are kept."""
    if not KEPT.exists():
        return ""
    kept = json.loads(KEPT.read_text())
    rows = "\n".join(
        f"| {run} | {name} | {before:.4g} | {now:.4g} | {times:.3f} |"
        for run, compared in kept["runs"].items()
        for name, (before, now, times) in compared.items()
    )
    return f"""## What options cost those who use none

`python -m stress against {kept["commit"]} --rounds {kept["rounds"]}`: messages without options, in this release and
in the last commit before results, keys, limits, schedules and the other options. Both run on SQLite, in turns; the
figures are medians. Target: at most 1.05 times.

| run | per message | before | now | times |
|---|---|---|---|---|
{rows}"""
