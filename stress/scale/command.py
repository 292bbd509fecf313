"""``python -m stress scale``: one scenario from options, or a list of them from `stress.scale.scenarios`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, fields
from typing import Any

import click

from stress.scale.models import MODELS
from stress.scale.scenarios import SCENARIOS
from stress.scale.simulation import Setting, simulate

_DEFAULTS = Setting()


@click.command("scale")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option("--model", type=click.Choice(sorted(MODELS)))
@click.option("--hosts", type=click.IntRange(1))
@click.option("--slots", type=click.IntRange(1), help="Per host.")
@click.option("--partitions", type=click.IntRange(1))
@click.option("--queues", type=click.IntRange(1))
@click.option("--task-ms", type=click.FloatRange(0.001))
@click.option("--batch", type=click.IntRange(1, 1000))
@click.option("--load", type=click.FloatRange(0), help="Arrivals, as a share of what all slots could run.")
@click.option("--backlog", type=click.IntRange(0), help="Messages that wait at the beginning.")
@click.option("--backlog-s", type=click.FloatRange(0), help="The same as seconds of work for all slots.")
@click.option("--warm-s", type=click.FloatRange(0))
@click.option("--measure-s", type=click.FloatRange(0.1))
@click.option("--split", type=click.Choice(["none", "queue", "limitless"]))
@click.option("--kill-leader-at", type=click.FloatRange(0))
@click.option("--again", is_flag=True, default=None, help="A new agent starts on the dead leader's machine.")
@click.option(
    "--cpu", type=click.FloatRange(0), help="Weight of the coordinator's real computing time; 0: reproducible."
)
@click.option("--slow", type=click.FloatRange(0), help="Multiplies every latency.")
@click.option("--readers", type=click.IntRange(1))
@click.option("--seed", type=int)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of s3queue.")
@click.option("--json", "as_json", is_flag=True)
def command(scenarios: tuple[str, ...], settings: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Simulate many hosts on a store with latencies, limits and prices.

    SCENARIO names a prepared one; without any, the options make one. Prepared: those of `list`.
    """
    if scenarios == ("list",):
        for name, scenario in SCENARIOS.items():
            click.echo(f"{name:24} {_describe(scenario)}")
        return
    given = {name: value for name, value in options.items() if value is not None}
    if settings:
        given["settings"] = {name: _value(text) for name, _, text in (one.partition("=") for one in settings)}
    chosen = {name: SCENARIOS[name] for name in scenarios} if scenarios else {"custom": Setting()}
    told: dict[str, Any] = {}
    for name, scenario in chosen.items():
        values = {one.name: getattr(scenario, one.name) for one in fields(Setting)} | given
        told[name] = run(Setting(**values))
        if not as_json:
            _show(name, told[name])
    if as_json:
        click.echo(json.dumps(told, indent=1))


def run(setting: Setting) -> dict[str, Any]:
    began = time.perf_counter()
    figures = simulate(setting)
    return {"setting": asdict(setting), **figures, "took_s": round(time.perf_counter() - began, 1)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _describe(setting: Setting) -> str:
    changed = [f"{one.name}={getattr(setting, one.name)}" for one in fields(Setting)]
    plain = {f"{one.name}={getattr(_DEFAULTS, one.name)}" for one in fields(Setting)}
    return " ".join(text for text in changed if text not in plain)


def _show(name: str, told: dict[str, Any]) -> None:
    click.echo(f"{name}: {told['done_per_s']:,.0f} messages/s, slots {told['utilisation']:.1%} busy, "
               f"${told['dollars_per_million']:.2f} per million, ${told['dollars_per_day']:.2f} a day")  # fmt: skip
    click.echo(f"  requests per message: {told['write_class_per_message']:.3f} write class, "
               f"{told['read_class_per_message']:.3f} read class; refused: {told['refused'] or 'none'}")  # fmt: skip
    click.echo(f"  cycle {told['cycle_s']['p50']:.2f} s (99 %: {told['cycle_s']['p99']:.2f}), coordinator's CPU "
               f"{told['coordinator_cpu']:.0%}, board {told['board_bytes']['p50'] / 1000:,.0f} kB, conflicts "
               f"{told['conflicts']}, elections {told['elections']}")  # fmt: skip
    if told["latency_s"]["max"]:
        click.echo(
            "  from enqueue to start: {p50:.2f} s, 99 %: {p99:.2f}, longest {max:.2f}".format(**told["latency_s"])
        )
    if "fail_over_s" in told:
        click.echo(
            f"  fail-over: elected after {told['elected_s']:.1f} s, next ticket after {told['fail_over_s']:.1f} s"
        )
    click.echo(
        f"  simulated {told['setting']['warm_s'] + told['setting']['measure_s']:,.0f} s in {told['took_s']:.0f} s"
    )
