"""``s3queue limit``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from s3queue.cli.common import json_lines_option, seconds, show_json, store_options, timeout_option, use, whole
from s3queue.cli.reading import warn_if_unknown
from s3queue.errors import ConfigError


@click.group("limit")
def command() -> None:
    """Limit how much of a queue runs: at once, a second, and by key."""


_NUMBER = whole(0)


@command.command("set")
@click.argument("queue")
@click.option("--running", type=_NUMBER, metavar="N", help="So many messages at once, on all hosts together; 0: any.")
@click.option("--rate", metavar="RATE", help="So many a second: 20/s, 100/min, 5/h; 0: any.")
@click.option("--key", metavar="KEY", help="Of the messages of this key only.")
@click.option("--key-running", type=_NUMBER, metavar="N", help="So many messages of each key at once.")
@click.option("--key-rate", metavar="RATE", help="So many of each key a second.")
@click.option("--fair/--no-fair", default=None, help="Whether keys take turns.")
@click.option("--weight", "weights", multiple=True, metavar="KEY=N", help="So many messages of this key in its turn.")
@click.option("--ageing", type=seconds, metavar="TIME", help="So much wait counts as one priority; 0: none does.")
@click.option("--breaker", type=whole(1), metavar="N", help="Hold the queue after so many failures.")
@click.option("--window", type=seconds, default=60.0, metavar="TIME", help="… within this time. [default: 60]")
@click.option("--pause", type=seconds, default=30.0, metavar="TIME", help="Then try one after this time. [default: 30]")
@click.option("--no-wait", is_flag=True, help="Do not wait for the coordinator.")
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
    """Set limits of a queue, besides those that were set before. They hold on all hosts, at once, and for what comes.

    \b
    s3queue limit set mail --running 50 --rate 20/s
    s3queue limit set mail --key acme --running 5
    s3queue limit set mail --fair --key-running 2

    Exit status 1: it is set, but the coordinator did not say so within the time-out.
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
    store, config = use(store_url, config_file, namespace=namespace)
    try:
        of = Queue(queue, store, config=config)
        of.limit(**said, key=key, wait=not no_wait, timeout=timeout)
        warn_if_unknown(of)
    except TimeoutError as late:
        click.echo(f"s3queue: {queue}: {late}", err=True)
        return 1
    finally:
        store.close()
    click.echo(f"{queue} is limited")
    return 0


@command.command("rm")
@click.argument("queue")
@click.option("--key", metavar="KEY", help="Only what was set for this key.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the coordinator.")
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
    """Remove what was set: what the tasks of the queue declare holds again.

    Exit status 1: it is removed, but the coordinator did not say so within the time-out.
    """
    from s3queue.queue import Queue

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        Queue(queue, store, config=config).unlimit(key, wait=not no_wait, timeout=timeout)
    except TimeoutError as late:
        click.echo(f"s3queue: {queue}: {late}", err=True)
        return 1
    finally:
        store.close()
    click.echo(f"{queue} is limited as its tasks declare")
    return 0


@command.command("ls")
@store_options
@json_lines_option
def list_limits(store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> None:
    """List the limits of all queues: what operators have set, what hosts declare, and what is used up."""
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
