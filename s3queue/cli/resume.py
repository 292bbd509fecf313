"""``s3queue resume``."""

from __future__ import annotations

import click

from s3queue.cli.common import open_until_late
from s3queue.cli.options import no_wait_option, store_options, timeout_option


@click.command("resume")
@click.argument("queue")
@no_wait_option()
@timeout_option(60.0)
@store_options
def command(
    queue: str,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Resume a paused queue.

    Exit status 1: the change is stored, but the coordinator did not confirm it within the time-out.
    """
    from s3queue.queue import Queue

    with open_until_late(store_url, config_file, namespace, queue) as (store, config):
        Queue(queue, store, config=config).resume(wait=not no_wait, timeout=timeout)
    click.echo(f"{queue} is resumed")
    return 0
