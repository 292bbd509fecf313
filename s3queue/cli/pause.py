"""``s3queue pause``."""

from __future__ import annotations

from typing import Literal

import click

from s3queue.cli.common import open_until_late
from s3queue.cli.options import after, moment, no_wait_option, pause_options, store_options, task_option, timeout_option
from s3queue.cli.reading import warn_if_unknown, warn_if_unknown_task
from s3queue.errors import ConfigError


@click.command("pause")
@click.argument("queue")
@task_option("Pause only this task: hosts that have read this give its messages back, and start others.")
@pause_options
@click.option("--idle", is_flag=True, help="Also wait until no host holds messages of the queue.")
@no_wait_option()
@timeout_option(60.0)
@store_options
def command(
    queue: str,
    task: str | None,
    at: str | None,
    length: float | None,
    idle: bool,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Pause a queue: no more messages are assigned to hosts. Messages that a host already holds still run. Producers can
    still enqueue.

    With --task, other tasks of the queue go on. --idle then waits until the messages of the queue have ended that hosts
    had when the pause came into force.

    Exit status 1: the pause is stored, but within the time-out the coordinator did not confirm it, or hosts stayed busy.
    """
    from s3queue.queue import Queue

    if sum((at is not None, length is not None)) > 1 or (idle and no_wait):
        raise ConfigError("--until and --for, or --idle and --no-wait, were both given", "give only one of them")
    until = moment(at) if at is not None else None
    if length is not None:
        until = after(length)
    wait: bool | Literal["idle"] = "idle" if idle else not no_wait
    with open_until_late(store_url, config_file, namespace, queue) as (store, config):
        of = Queue(queue, store, config=config)
        of.pause(task=task, until=until, wait=wait, timeout=timeout)
        warn_if_unknown(of)
        if task is not None:
            warn_if_unknown_task(of, task)
    what = queue if task is None else f"{task} of {queue}"
    click.echo(f"{what} is paused" + (f" until {until.astimezone():%Y-%m-%d %H:%M:%S %Z}" if until is not None else ""))
    return 0
