"""``s3queue pause``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import click

from s3queue.cli.common import store_options, use
from s3queue.errors import ConfigError


@click.command("pause")
@click.argument("queue")
@click.option("--until", "at", metavar="TIME", help="Resume by itself then, for example 2030-01-31T08:00:00Z.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Or after these."
)
@click.option("--idle", is_flag=True, help="Wait until no host holds any of its messages.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the coordinator.")
@click.option("--timeout", type=float, default=60.0, show_default=True, metavar="SECONDS", help="For how long to wait.")
@store_options
def command(
    queue: str,
    at: str | None,
    seconds: float | None,
    idle: bool,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Start nothing more of a queue. Enqueuing goes on; what hosts hold already runs to its end.

    Exit status 1: it is paused, but within the time-out the coordinator did not say so, or hosts stayed busy.
    """
    from s3queue.queue import Queue

    if sum((at is not None, seconds is not None)) > 1 or (idle and no_wait):
        raise ConfigError("--until and --for, or --idle and --no-wait, were both given", "one of them")
    until = _time(at) if at is not None else None
    if seconds is not None:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
    wait: bool | Literal["idle"] = "idle" if idle else not no_wait
    store, config = use(store_url, config_file, namespace=namespace)
    try:
        Queue(queue, store, config=config).pause(until=until, wait=wait, timeout=timeout)
    except TimeoutError as late:
        click.echo(f"s3queue: {queue}: {late}", err=True)
        return 1
    finally:
        store.close()
    click.echo(
        f"{queue} is paused" + (f" until {until.astimezone():%Y-%m-%d %H:%M:%S %Z}" if until is not None else "")
    )
    return 0


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"not a time: {text!r}", "for example 2030-01-31T08:00:00Z") from None
    return at if at.tzinfo is not None else at.astimezone()
