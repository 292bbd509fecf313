"""``python -m stress run``: real hosts, workers and producers, with faults, and a verdict."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

import s3queue
from s3queue.errors import ConfigError
from s3queue.testing.programs import Unavailable
from stress import stores
from stress.chaos import drive
from stress.chaos.plan import FEATURES, KINDS
from stress.chaos.wanted import Outcome, Wanted


def _kinds(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return _some_of(KINDS, value)


def _features(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(FEATURES) if value == "all" else _some_of(FEATURES, value)


def _some_of(known: Collection[str], value: str) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(name for name in value.split(",") if name))
    for name in named:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return named


def _seeds(_: click.Context, __: click.Parameter, value: str) -> range:
    first, _dots, last = value.partition("..")
    try:
        return range(int(first), int(last or first) + 1)
    except ValueError:
        raise click.BadParameter("a number, or two with .. between them") from None


@click.command("run")
@click.option("--store", default="", metavar="STORE", help=f"{stores.HELP} [default: a fresh SQLite file]")
@click.option("--supervisors", "hosts", type=click.IntRange(1, 20), default=2, show_default=True, help="Hosts.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Worker processes of each host.")
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Messages that one worker runs at a time.",
)
@click.option("--producers", type=click.IntRange(1), default=2, show_default=True, help="Producer processes.")
@click.option("--messages", type=click.IntRange(1), default=5000, show_default=True)
@click.option(
    "--chaos",
    "kinds",
    callback=_kinds,
    default="kill,stop,agent,supervisor",
    show_default=True,
    metavar="KINDS",
    help="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()),
)
@click.option(
    "--schedules",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Schedules that tick every second meanwhile.",
)
@click.option(
    "--features",
    callback=_features,
    default="",
    metavar="FEATURES",
    help="; ".join(f"{name}: {what}" for name, what in FEATURES.items()) + "; all: all of these.",
)
@click.option("--mishaps", type=click.IntRange(0), help="Number of faults. [default: one per 200 messages]")
@click.option("--seed", "seeds", callback=_seeds, default="1", show_default=True, metavar="N or N..M")
@click.option("--for", "for_s", type=float, metavar="SECONDS", help="Continue with the next seeds for this time.")
@click.option("--visibility-timeout", "visibility_s", type=float, default=3.0, show_default=True, metavar="SECONDS")
@click.option("--timeout", "timeout_s", type=float, default=300.0, show_default=True, help="Seconds for each run.")
@click.option("--evidence", type=click.Path(path_type=Path), help="Keep the records of all parties in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each run.")
@click.option("--verbose", is_flag=True, help="Print events on stderr.")
def command(
    store: str,
    seeds: range,
    for_s: float | None,
    evidence: Path | None,
    as_json: bool,
    verbose: bool,
    **given: object,
) -> None:
    """Drain a queue with real processes while everything goes wrong that --chaos names, and audit the result.

    Exit status 0 only if no message was lost, none was committed twice, and none ran twice without the recorded death of
    its process, the recorded end of its session, or the wish of its own task; and nothing else was wrong. Otherwise the
    evidence stays, and where it is is printed.
    """
    with tempfile.TemporaryDirectory(prefix="s3queue-chaos-") as folder, ExitStack() as stack:
        try:
            url = "" if store == "sqlite" else stack.enter_context(stores.store_url(store, Path(folder)))
        except Unavailable as why:
            raise click.UsageError(str(why)) from None
        began, failed, seed = time.monotonic(), 0, seeds.start
        while seed < seeds.stop or (for_s is not None and time.monotonic() - began < for_s):
            wanted = Wanted(seed=seed, store=url, evidence=evidence / str(seed) if evidence else None, **given)  # type: ignore[arg-type]
            try:
                outcome = drive.run(wanted, _say if verbose else lambda _: None)
            except ConfigError as wrong:
                raise click.UsageError(str(wrong)) from None
            _tell(outcome, as_json)
            failed += not outcome.passed
            if outcome.passed and evidence is None:
                drive.remove(outcome.folder)
            seed += 1
    sys.exit(1 if failed else 0)


def _say(what: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {what}", err=True)


def _tell(outcome: Outcome, as_json: bool) -> None:
    report = outcome.report()
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        for name, value in report.items():
            click.echo(f"{name:22} {value}")
    for kind, why in outcome.skipped.items():
        click.echo(f"skipped {kind}: {why}", err=True)
    if outcome.passed:
        return
    verdict = outcome.verdict
    click.echo(f"FAILED: seed {outcome.wanted.seed}, s3queue {_version()}, evidence in {outcome.folder}", err=True)
    for what in (*(f"lost: {one}" for one in verdict.lost), *verdict.unexplained, *verdict.violations)[:20]:
        click.echo(f"  {what}", err=True)


def _version() -> str:
    """Of the release, and of the source where there is one."""
    try:
        asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return s3queue.__version__
    return f"{s3queue.__version__} ({commit})"
