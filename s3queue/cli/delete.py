"""``s3queue delete``."""

from __future__ import annotations

import click

from s3queue.cli.common import confirm, open_until_late, show_json
from s3queue.cli.options import json_option, store_options, timeout_option, yes_option
from s3queue.words import plural


@click.command("delete")
@click.argument("queue")
@click.option("--force", is_flag=True, help="Even if hosts serve the queue.")
@yes_option
@timeout_option(600.0)
@store_options
@json_option
def command(
    queue: str,
    force: bool,
    yes: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Remove a queue: its schedules, messages, dead letters, limits, pause and settings.

    Exit status 1: not complete within the time-out; run it again. 2: hosts serve the queue.
    """
    from s3queue.queue import Queue

    with open_until_late(store_url, config_file, namespace, queue) as (store, config):
        of = Queue(queue, store, config=config)
        confirm(f"End all messages of {queue}, remove its dead letters, and forget it?", yes)
        many = of.delete(force=force, timeout=timeout)
    show_json({"queue": queue, "purged": many}) if as_json else click.echo(
        f"{queue} is gone, with {plural(many, 'message')}"
    )
    return 0
