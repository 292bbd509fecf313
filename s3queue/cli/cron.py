"""``s3queue cron``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from s3queue.cli.common import show_json, use
from s3queue.cli.options import (
    after,
    json_lines_option,
    moment,
    no_wait_option,
    pause_options,
    seconds,
    store_options,
    timeout_option,
)
from s3queue.cli.reading import local_time
from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from s3queue.operate.schedules import ScheduleInfo, Schedules


@click.group("cron")
def command() -> None:
    """Show and change schedules."""


@command.command("ls")
@store_options
@json_lines_option
def list_schedules(store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> None:
    """List the schedules, with their last and next ticks."""
    of = _schedules(store_url, namespace, config_file)
    try:
        found = of.all()
    finally:
        of.store.close()
    for one in found:
        if as_json:
            show_json(msgspec.to_builtins(one))
        else:
            _show(one)
    if not found and not as_json:
        click.echo("no schedules", err=True)


@command.command("set")
@click.argument("name")
@click.argument("target", metavar="[MODULE:TASK]", required=False)
@click.argument("values", metavar="[JSON]...", nargs=-1)
@click.option(
    "--queue", "queue_name", metavar="NAME", help="Enqueue the JSON to this queue's handler, instead of a task."
)
@click.option("--cron", "expression", metavar="EXPRESSION", help="For example '30 2 * * MON-FRI'.")
@click.option("--every", type=seconds, metavar="TIME", help="An interval instead: seconds, or 5m, 1h, 1d.")
@click.option("--tz", metavar="ZONE", help="Time zone of the expression. [default: UTC]")
@click.option(
    "--catch-up", type=click.Choice(["last", "all", "none"]), help="Which missed ticks to run later. [default: last]"
)
@click.option("--priority", type=int, default=5, show_default=True, help="0 goes first, 9 last.")
@click.option("--since", metavar="TIME", help="Continue from this time, even if later ticks ran already. ISO 8601.")
@store_options
def set_one(
    name: str,
    target: str | None,
    values: tuple[str, ...],
    queue_name: str | None,
    expression: str | None,
    every: float | None,
    tz: str | None,
    catch_up: Any,
    priority: int,
    since: str | None,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> None:
    """Create a schedule, or replace the one of this name.

    \b
    s3queue cron set nightly jobs.mail:digest --cron '30 2 * * MON-FRI' --tz Europe/Berlin
    s3queue cron set poll jobs.feed:poll '"https://example.com"' --every 5m
    s3queue cron set beat --queue raw '{"n": 1}' --every 30
    """
    from s3queue.cli.enqueue import call_of, find_task, json_of, module_of
    from s3queue.operate.schedules import Schedules

    if queue_name is not None and target is not None:
        values, target = (target, *values), None
    if target is None and queue_name is None:
        raise ConfigError("nothing to enqueue", "name MODULE:TASK, or --queue NAME")
    modules = () if target is None else (module_of(target),)
    store, config = use(store_url, config_file, modules=modules, namespace=namespace)
    what: dict[str, Any] = {}
    if target is not None:
        what["args"], what["kwargs"] = call_of(values)
    elif len(values) > 1:
        raise ConfigError("a queue's handler takes one payload", "give one JSON")
    else:
        what["payload"] = json_of(values[0]) if values else None
    try:
        of = Schedules(store, config=config)
        of.set(
            name,
            find_task(target) if target is not None else queue_name or "",
            **what,
            cron=expression,
            every=every,
            tz=tz,
            catch_up=catch_up,
            priority=priority,
            since=None if since is None else moment(since),
            exact=False,
        )
        one = of.get(name)
    finally:
        store.close()
    if one is not None:
        _show(one)


@command.command("pause")
@click.argument("name")
@pause_options
@store_options
def pause(
    name: str,
    at: str | None,
    length: float | None,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> None:
    """Pause a schedule. Ticks during the pause are skipped."""
    if at is not None and length is not None:
        raise ConfigError("--until and --for were both given", "give only one of them")
    until = None if at is None else moment(at)
    if length is not None:
        until = after(length)
    of = _schedules(store_url, namespace, config_file)
    try:
        of.pause(name, until=until)
    finally:
        of.store.close()
    click.echo(f"{name} is paused" + (f" until {local_time(until)}" if until is not None else ""))


@command.command("resume")
@click.argument("name")
@store_options
def resume(name: str, store_url: str | None, namespace: str | None, config_file: str | None) -> None:
    """Resume a paused schedule."""
    of = _schedules(store_url, namespace, config_file)
    try:
        of.resume(name)
    finally:
        of.store.close()
    click.echo(f"{name} is resumed")


@command.command("rm")
@click.argument("name")
@store_options
def remove(name: str, store_url: str | None, namespace: str | None, config_file: str | None) -> None:
    """Remove a schedule. A schedule that code declares returns when a host starts: pause it instead."""
    of = _schedules(store_url, namespace, config_file)
    try:
        of.remove(name)
    finally:
        of.store.close()
    click.echo(f"{name} is removed")


@command.command("run")
@click.argument("name")
@no_wait_option()
@timeout_option(60.0)
@store_options
def run(
    name: str,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Enqueue the message of a schedule once, now.

    Exit status 1: there is no such schedule, or no coordinator answered.
    """
    of = _schedules(store_url, namespace, config_file)
    try:
        answer = of.run(name, wait=not no_wait, timeout=timeout)
    except TimeoutError as late:
        click.echo(f"s3queue: {name}: {late}", err=True)
        return 1
    finally:
        of.store.close()
    if answer == "absent":
        click.echo(f"s3queue: no schedule {name!r} (s3queue cron ls shows them)", err=True)
        return 1
    click.echo(f"{name} is enqueued" if answer else f"{name}: asked the coordinator to enqueue it")
    return 0


def _schedules(store_url: str | None, namespace: str | None, config_file: str | None) -> Schedules:
    from s3queue.operate.schedules import Schedules

    store, config = use(store_url, config_file, namespace=namespace)
    return Schedules(store, config=config)


def _show(one: ScheduleInfo) -> None:
    when = f"{one.cron}  {one.tz}" if one.cron else f"every {one.every} s"
    click.echo(f"{one.name}  {when}")
    last = local_time(one.last) if one.last is not None else "never"
    if one.paused:
        state = "paused" + (f" until {local_time(one.until)}" if one.until is not None else "")
    else:
        state = f"next {local_time(one.next)}" if one.next is not None else "never again"
    task = f"{one.queue}:{one.task}" if one.task else one.queue
    by = "declared" if one.declared else "set"
    click.echo(f"    {task}, {by}, catch up {one.catch_up}, last {last}, {state}")
