"""``s3queue purge``."""

from __future__ import annotations

import click

from s3queue.cli.common import confirm, open_until_late, show_json
from s3queue.cli.options import ending_options, json_option, no_wait_option, store_options, timeout_option, yes_option
from s3queue.words import plural


@click.command("purge")
@click.argument("queue")
@yes_option
@ending_options
@no_wait_option("Do not wait until the purge is complete.")
@timeout_option(600.0)
@store_options
@json_option
def command(
    queue: str,
    yes: bool,
    reason: str,
    force_after: float | None,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Remove all messages of a queue. Dead letters stay: see `s3queue dead purge`.

    When the command returns, no message that was accepted before it starts any more. Messages that are sent afterwards
    are not affected.

    Exit status 1: the purge was not complete within the time-out, and goes on.
    """
    from s3queue.queue import Queue

    with open_until_late(store_url, config_file, namespace, queue) as (store, config):
        of = Queue(queue, store, config=config)
        if not yes:
            seen = of.stats()
            many = seen.ready + seen.scheduled + seen.running + seen.waiting
            confirm(f"End all messages of {queue}, {many:,} as of some seconds ago?", yes)
        many = of.purge(reason=reason, force_after=force_after, wait=not no_wait, timeout=timeout)
    if as_json:
        show_json({"queue": queue, "purged": None if no_wait else many})
    else:
        click.echo(f"{queue}: a purge was asked for" if no_wait else f"{queue}: {plural(many, 'message')} ended")
    return 0
