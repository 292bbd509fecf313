"""``python -m stress metrics``: what ``--metrics`` costs a host that drains batches, by rate and by CPU.

Hosts without and with it drain the same number of messages in turns, so that whatever else the machine does falls on both.
The CPU of the process that serves metrics counts with the agent, without its start.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import median

import click

from stress.bench.measure import Setting, repetition
from stress.stores import HELP, store_url

#: Where figures are kept.
KEPT = Path("docs/assets/benchmarks/metrics.json")
#: Settings of the host.
_HOSTS = {"without": {}, "with": {"metrics": "127.0.0.1:0"}}


def _drain(setting: Setting, number: int) -> dict[str, float]:
    """Messages per second, and CPU of a message in microseconds."""
    told = repetition(setting, number)
    cpu = told["cpu_us_per_message"]
    return {
        "drained per second": told["drain_per_s"],
        "agent µs": cpu["agent"],
        "worker µs": cpu["worker"],
        "host µs": cpu["agent"] + cpu["worker"],
    }


@click.command("metrics")
@click.option("--store", default="sqlite", show_default=True, help=HELP)
@click.option("--messages", default=300_000, show_default=True)
@click.option("--rounds", default=8, show_default=True, help="Of each, in turns.")
@click.option("--keep", is_flag=True, help=f"Keep the figures in {KEPT}, for docs/benchmarks.md.")
def command(store: str, messages: int, rounds: int, keep: bool) -> None:
    """Drain batches of 100 without and with --metrics."""
    runs: dict[str, list[dict[str, float]]] = {host: [] for host in _HOSTS}
    for number in range(rounds):
        for host, settings in _HOSTS.items():
            with tempfile.TemporaryDirectory() as folder, store_url(store, Path(folder)) as url:
                runs[host].append(
                    _drain(Setting(url, messages=messages, batch=100, settings=settings, raw=False), number)
                )
    figures = {
        name: [median(one[name] for one in runs[host]) for host in _HOSTS]
        + [median(w[name] / o[name] for o, w in zip(runs["without"], runs["with"], strict=True))]
        for name in runs["with"][0]
    }
    for name, (without, having, times) in figures.items():
        click.echo(f"{name}: {without:,.4g} without, {having:,.4g} with, {times:.3f} times (median of {rounds} pairs)")
    if keep:
        kept = {"messages": messages, "rounds": rounds, "figures": figures}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")


def section() -> str:
    """Of docs/benchmarks.md; empty where nothing was kept."""
    if not KEPT.exists():
        return ""
    kept = json.loads(KEPT.read_text())
    rows = "\n".join(
        f"| {name} | {without:,.4g} | {having:,.4g} | {times:.3f} |"
        for name, (without, having, times) in kept["figures"].items()
    )
    return f"""## What metrics cost

`python -m stress metrics --messages {kept["messages"]} --rounds {kept["rounds"]}`: hosts without and with `--metrics` drain
batches of 100 on SQLite, in turns. The figures are medians, the last column is the median of the ratios of each pair.
Target: with metrics at least 0.97 times the rate.

| | without | with | times |
|---|---|---|---|
{rows}"""
