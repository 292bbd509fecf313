"""``s3queue limit``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from s3queue.cli.common import open_until_late, show_json, use
from s3queue.cli.options import json_lines_option, no_wait_option, seconds, store_options, timeout_option, whole
from s3queue.cli.reading import warn_if_unknown
from s3queue.errors import ConfigError


@click.group("limit")
def command() -> None:
    """Limit how many messages of a queue run: at once, per second, and per key."""


_NUMBER = whole(0)


@command.command("set")
@click.argument("queue")
@click.option(
    "--running", type=_NUMBER, metavar="N", help="At most N messages run at once, on all hosts together. 0: no limit."
)
@click.option(
    "--rate", metavar="RATE", help="At most this many start per unit of time: 20/s, 100/min, 5/h. 0: no limit."
)
@click.option("--key", metavar="KEY", help="Apply --running and --rate to messages of this key only.")
@click.option("--key-running", type=_NUMBER, metavar="N", help="At most N messages of each key run at once.")
@click.option("--key-rate", metavar="RATE", help="At most this many messages of each key start per unit of time.")
@click.option("--fair/--no-fair", default=None, help="Whether keys take turns.")
@click.option(
    "--weight", "weights", multiple=True, metavar="KEY=N", help="This key gets N messages in its turn. May be repeated."
)
@click.option(
    "--ageing",
    type=seconds,
    metavar="TIME",
    help="Raise the priority of a message by one for each TIME that it waits. 0: never.",
)
@click.option("--breaker", type=whole(1), metavar="N", help="Hold the queue after N failed attempts within --window.")
@click.option(
    "--window",
    type=seconds,
    default=60.0,
    metavar="TIME",
    help="Time within which failures count for --breaker. [default: 60 s]",
)
@click.option(
    "--pause",
    type=seconds,
    default=30.0,
    metavar="TIME",
    help="Time until a held queue tries one message. [default: 30 s]",
)
@no_wait_option()
@timeout_option(60.0)
@store_options
def set_limits(
    queue: str,
    running: int | None,
    rate: str | None,
    key: str | None,
    key_running: int | None,
    key_rate: str | None,
    fair: bool | None,
    weights: tuple[str, ...],
    ageing: float | None,
    breaker: int | None,
    window: float,
    pause: float,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Set limits of a queue, in addition to those that were set before. They apply to all hosts from now on.

    \b
    s3queue limit set mail --running 50 --rate 20/s
    s3queue limit set mail --key acme --running 5
    s3queue limit set mail --fair --key-running 2

    Exit status 1: the limit is stored, but the coordinator did not confirm it within the time-out.
    """
    from s3queue.options.limits import Breaker, Limit
    from s3queue.queue import Queue

    said: dict[str, Any] = {
        "max_running": running,
        "rate": _rate(rate),
        "per_key": Limit(key_running, _rate(key_rate)) if key_running is not None or key_rate is not None else None,
        "fair": fair,
        "weights": dict(map(_weight, weights)) or None,
        "ageing": ageing,
        "breaker": Breaker(breaker, window, pause) if breaker is not None else None,
    }
    if all(one is None for one in said.values()):
        raise ConfigError("no limit was given", "for example --running 50, or --rate 20/s")
    with open_until_late(store_url, config_file, namespace, queue) as (store, config):
        of = Queue(queue, store, config=config)
        of.limit(**said, key=key, wait=not no_wait, timeout=timeout)
        warn_if_unknown(of)
    click.echo(f"{queue} is limited")
    return 0


@command.command("rm")
@click.argument("queue")
@click.option("--key", metavar="KEY", help="Remove only the limits of this key.")
@no_wait_option()
@timeout_option(60.0)
@store_options
def remove(
    queue: str,
    key: str | None,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Remove limits that were set. The limits that tasks declare apply again.

    Exit status 1: the change is stored, but the coordinator did not confirm it within the time-out.
    """
    from s3queue.queue import Queue

    with open_until_late(store_url, config_file, namespace, queue) as (store, config):
        of = Queue(queue, store, config=config)
        of.unlimit(key, wait=not no_wait, timeout=timeout)
        warn_if_unknown(of)
    click.echo(f"{queue} is limited as its tasks declare")
    return 0


@command.command("ls")
@store_options
@json_lines_option
def list_limits(store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> None:
    """List limits: set by operators, declared by tasks, and reached."""
    from s3queue.operate.limiting import read_limits

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        found = read_limits(store, config.namespace)
    finally:
        store.close()
    for queue, one in found.items():
        if as_json:
            show_json({"queue": queue, **msgspec.to_builtins(one)})
            continue
        click.echo(queue)
        for what, limits in (("set", one.set), ("declared", one.declared)):
            for line in limits:
                click.echo(f"    {what}: {line}")
        for line in one.reached:
            click.echo(f"    reached: {line}")
    if not found and not as_json:
        click.echo("no limits", err=True)


def _rate(text: str | None) -> float | str | None:
    return 0.0 if text == "0" else text


def _weight(text: str) -> tuple[str, int]:
    key, _, number = text.rpartition("=")
    if not key or not number.isdecimal():
        raise ConfigError(f"not a weight: {text!r}", "for example --weight acme=3")
    return key, int(number)
