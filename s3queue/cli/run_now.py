"""``s3queue run-now``."""

from __future__ import annotations

import click

from s3queue.cli.common import confirm, open_until_late, show_json
from s3queue.cli.options import json_option, no_wait_option, store_options, timeout_option, yes_option
from s3queue.errors import ConfigError
from s3queue.words import plural


@click.command("run-now")
@click.argument("message", metavar="[ID]", required=False)
@click.option("--queue", metavar="QUEUE", help="All messages of this queue that are scheduled or wait for a retry.")
@click.option("--task", metavar="NAME", help="With --queue: only messages of this task.")
@click.option("--dry-run", is_flag=True, help="With --queue: only count them.")
@yes_option
@no_wait_option("Do not wait for the answer.")
@timeout_option(60.0)
@store_options
@json_option
def command(
    message: str | None,
    queue: str | None,
    task: str | None,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Start messages now that are scheduled, or that wait for a retry: one by its id, or all of a queue.

    A message starts as soon as a host has a free slot.

    Exit status 1: the message is neither ready nor running now, or no answer came within the time-out.
    """
    from s3queue.messages import MessageHandle
    from s3queue.queue import Queue

    if (message is None) == (queue is None) or (message and (task or dry_run)):
        raise ConfigError("name a message by its id, or a queue with --queue", "--task and --dry-run need --queue")
    with open_until_late(store_url, config_file, namespace) as (store, config):
        if message is not None:
            answer = MessageHandle(message, store, config=config).run_now(wait=not no_wait, timeout=timeout)
            show_json({message: answer}) if as_json else click.echo(f"{message} {answer or 'asked'}")
            return 0 if answer in ("ready", "running", "") else 1
        assert queue is not None
        of = Queue(queue, store, config=config)
        if dry_run or not yes:
            changed = of.run_now(task=task, dry_run=True)
            if dry_run:
                show_json(changed) if as_json else click.echo(
                    f"would start {plural(changed.found, 'message')} of {queue}"
                )
                return 0
            confirm(f"Start {plural(changed.found, 'message')} of {queue} now?", yes)
        changed = of.run_now(task=task, timeout=timeout)
        show_json(changed) if as_json else click.echo(
            f"{changed.answers.get('ready', 0):,} of {changed.found:,} are ready"
        )
        return 0
