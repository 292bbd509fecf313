"""``python -m stress report``: measure, keep the figures as JSON, and write ``docs/benchmarks.md`` from them.

Each part keeps its own file below ``docs/assets/benchmarks/``; a part that is not asked for is taken from there, so a page
can be put together from runs of one day. Figures in the page come from those files and from nowhere else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from stress.bench.command import machine

PARTS = ("real", "peers", "scale", "sweep", "targets", "dashboard")
FOLDER = Path("docs/assets/benchmarks")


def _load(part: str) -> dict[str, Any]:
    path = FOLDER / f"{part}.json"
    loaded: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return loaded


def _keep(part: str, figures: dict[str, Any]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{part}.json").write_text(json.dumps(figures, indent=1) + "\n")


@click.command("report")
@click.option(
    "--only", multiple=True, type=click.Choice([*PARTS, "none"]), help="Measure only this; take the rest as kept."
)
@click.option("--real", "runs", multiple=True, help="Only these of the real runs.")
@click.option("--scenario", "scenarios", multiple=True, help="Only these of the simulated ones.")
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True, help="Repetitions of the peers.")
@click.option(
    "--scale",
    type=click.FloatRange(0.001),
    default=1.0,
    show_default=True,
    help="Factor for the messages of the peers.",
)
def command(
    only: tuple[str, ...], runs: tuple[str, ...], scenarios: tuple[str, ...], repetitions: int, scale: float
) -> None:
    """Measure everything, or a part, and write docs/benchmarks.md."""
    wanted = set(only or PARTS)
    if "real" in wanted:
        _real(runs)
    if "peers" in wanted:
        from stress.peers.command import run

        run(repetitions=repetitions, scale=scale, keep=lambda found: _keep("peers", {"date": _today(), **found}))
    if "scale" in wanted:
        _scale(scenarios)
    if "sweep" in wanted:
        from stress.scale.sweep import run as sweep

        _keep("sweep", {"date": _today(), "rows": sweep()})
    if "targets" in wanted:
        from stress.bench.sweep import run as real_sweep

        _keep("targets", {"date": _today(), "rows": real_sweep()})
    if "dashboard" in wanted:
        from stress.dashboard.command import run as dashboard

        _keep("dashboard", {"date": _today(), **dashboard()})
    write()


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _real(names: tuple[str, ...]) -> None:
    from stress.bench.rows import RUNS, measure

    kept = _load("real")
    for name in names or RUNS:
        click.echo(f"real: {name}", err=True)
        kept[name] = {"date": _today(), "machine": machine(), **measure(name)}
        _keep("real", kept)


def _scale(names: tuple[str, ...]) -> None:
    from stress.scale.command import run
    from stress.scale.scenarios import SCENARIOS

    kept = _load("scale")
    for name in names or SCENARIOS:
        click.echo(f"scale: {name}", err=True)
        kept[name] = run(SCENARIOS[name])
        _keep("scale", kept)


def write() -> None:
    from stress.page import page

    real, peers, scale, sweep, by_target, dashboard = (_load(part) for part in PARTS)
    Path("docs/benchmarks.md").write_text(page(real, peers, scale, sweep, by_target, dashboard))
    if peers:
        from stress.charts import drain_rates

        Path("docs/assets/peers.svg").write_text(drain_rates(peers))
    if scale:
        from stress.page import scale_charts

        for name, svg in scale_charts(scale).items():
            Path(f"docs/assets/{name}.svg").write_text(svg)
