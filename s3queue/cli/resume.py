"""``s3queue resume``."""

from __future__ import annotations

import click

from s3queue.cli.common import open_until_late
from s3queue.cli.options import no_wait_option, store_options, task_option, timeout_option


@click.command("resume")
@click.argument("queue")
@task_option("Resume only this task, which was paused by itself.")
@no_wait_option()
@timeout_option(60.0)
@store_options
def command(
    queue: str,
    task: str | None,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Resume a paused queue, or with --task a paused task of it: each ends only its own pause.

    Exit status 1: the change is stored, but the coordinator did not confirm it within the time-out.
    """
    from s3queue.queue import Queue

    with open_until_late(store_url, config_file, namespace, queue) as (store, config):
        Queue(queue, store, config=config).resume(task=task, wait=not no_wait, timeout=timeout)
    click.echo(f"{queue if task is None else f'{task} of {queue}'} is resumed")
    return 0
