"""``python -m stress simulate``: schedules by chance and all of some small worlds, and whether mutants are caught."""

from __future__ import annotations

import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from itertools import islice
from typing import Any

import click
import msgspec

import s3queue
from s3queue.testing.simulate import SMALL, SOMETIMES, Outcome, Seeded, Tally, by_chance, exhaust, report, run

#: Schedules whose histories make the digest.
_DIGESTED = 40
#: With fewer schedules than this, that something never happened says nothing.
_ENOUGH = 1000
#: Fresh seeds are below this.
_SEEDS = 10**9
#: Schedules of one call in another process.
_BLOCK = 40


@click.command("simulate")
@click.option("--seconds", type=click.FloatRange(0.0), default=30.0, show_default=True, help="Of schedules by chance.")
@click.option("--seed", type=int, help="The first; each schedule has the next. [default: a fresh one, printed]")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes for schedules by chance.")
@click.option("--small/--no-small", default=True, help="Every schedule of the small worlds.")
@click.option("--mutants/--no-mutants", default=True, help="Break each rule, and see whether it is noticed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(seconds: float, seed: int | None, jobs: int, small: bool, mutants: bool, as_json: bool) -> None:
    """Simulate the protocol. Exit status 1: something was broken, or a mutant was not noticed."""
    if seed is None:
        seed = secrets.randbelow(_SEEDS)
    click.echo(f"seed {seed}", err=True)
    began = time.monotonic()
    tally = _by_chance(seed, seconds, jobs)
    took = time.monotonic() - began
    result: dict[str, Any] = {
        "seed": seed,
        "schedules": tally.schedules,
        "operations": tally.requests,
        "seconds": round(took, 1),
        "schedules_per_s": round(tally.schedules / took, 1) if took else 0.0,
        "violations": len(tally.failures),
        "failures": [_failure(number, outcome) for number, outcome in tally.failures],
        "digest": _digest(seed),
    }
    happened = Counter(tally.sometimes)
    if small:
        result["exhaustive"] = {}
        for name, world in SMALL.items():
            everything = exhaust(world.scene, depth=world.depth, deviations=world.deviations)
            happened += everything.sometimes
            result["exhaustive"][name] = {
                "schedules": everything.schedules,
                "bound": f"{world.deviations} of the first {world.depth} decisions",
            }
            result["violations"] += len(everything.failures)
            result["failures"] += [_failure(number, outcome, name) for number, outcome in everything.failures]
    result["sometimes"] = {what: happened[what] for what in SOMETIMES}
    if mutants:
        result["mutants"] = dict(_mutants())
    for number, outcome in tally.failures:
        click.echo(report(number, outcome, s3queue.__version__), err=True)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(result)).decode())
    else:
        _show(result)
    missed = [name for name, caught in result.get("mutants", {}).items() if caught is None]
    missing = [what for what, often in result["sometimes"].items() if not often and tally.schedules >= _ENOUGH]
    for what in missing:
        click.echo(f"never happened: {what}", err=True)
    sys.exit(bool(result["violations"] or missed or missing))


def _by_chance(seed: int, seconds: float, jobs: int) -> Tally:
    until = time.monotonic() + seconds
    if jobs == 1:
        return by_chance(_from(seed), until=until, failures=5)
    tally = Tally()
    with ProcessPoolExecutor(jobs) as pool:
        blocks = iter(range(seed, sys.maxsize, _BLOCK))
        under_way = [pool.submit(by_chance, range(first, first + _BLOCK)) for first in islice(blocks, jobs * 2)]
        while under_way:
            done = under_way.pop(0).result()
            tally.schedules += done.schedules
            tally.requests += done.requests
            tally.failures += done.failures
            tally.sometimes += done.sometimes
            if time.monotonic() < until and len(tally.failures) < 5:
                first = next(blocks)
                under_way.append(pool.submit(by_chance, range(first, first + _BLOCK)))
    return tally


def _from(seed: int) -> Iterator[int]:
    while True:
        yield seed
        seed += 1


def _digest(seed: int) -> str:
    """Of what happened in the first schedules; the same wherever and whenever they run."""
    sha = sha256()
    for number in range(seed, seed + _DIGESTED):
        sha.update(run(Seeded(number)).digest.encode())
    return sha.hexdigest()


def _failure(number: int, outcome: Outcome, world: str = "") -> dict[str, Any]:
    return {"world": world, "seed": number, "broken": outcome.violations, "schedule": outcome.schedule}


def _mutants() -> Iterator[tuple[str, dict[str, Any] | None]]:
    """After how many schedules each was noticed, and by what; None: it was not."""
    from tests.simulation.catalogue import MUTANTS

    for mutant in MUTANTS:
        caught = mutant.catch()
        if caught is None:
            click.echo(f"not noticed in {mutant.within} schedules: {mutant.name} ({mutant.rule})", err=True)
            yield mutant.name, None
        else:
            schedules, outcome = caught
            yield mutant.name, {"schedules": schedules, "by": sorted(outcome.violations)}


def _show(result: dict[str, Any]) -> None:
    click.echo(
        f"{result['schedules']} schedules, {result['operations']} requests, {result['schedules_per_s']} schedules/s: "
        f"{result['violations']} violations"
    )
    for name, one in result.get("exhaustive", {}).items():
        click.echo(f"  all {one['schedules']:6} schedules of: {name} ({one['bound']} not calm)")
    for what, often in result["sometimes"].items():
        click.echo(f"  {often:6} times {what}")
    for name, caught in result.get("mutants", {}).items():
        noticed = f"after {caught['schedules']} schedules by {', '.join(caught['by'])}" if caught else "NOT NOTICED"
        click.echo(f"  mutant {name}: {noticed}")
