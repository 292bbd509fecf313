"""``s3queue purge``."""

from __future__ import annotations

import click

from s3queue.cli.common import confirm, json_option, seconds, show_json, store_options, timeout_option, use, yes_option
from s3queue.words import plural


@click.command("purge")
@click.argument("queue")
@yes_option
@click.option("--reason", default="", metavar="TEXT", help="A note for people; kept with messages that had begun.")
@click.option(
    "--force-after",
    type=seconds,
    metavar="TIME",
    help="Kill the worker process of a task that still runs after this time.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait until the purge is complete.")
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

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        of = Queue(queue, store, config=config)
        if not yes:
            seen = of.stats()
            many = seen.ready + seen.scheduled + seen.running + seen.waiting
            confirm(f"End all messages of {queue}, {many:,} as of some seconds ago?", yes)
        many = of.purge(reason=reason, force_after=force_after, wait=not no_wait, timeout=timeout)
    except TimeoutError as late:
        click.echo(f"s3queue: {queue}: {late}", err=True)
        return 1
    finally:
        store.close()
    if as_json:
        show_json({"queue": queue, "purged": None if no_wait else many})
    else:
        click.echo(f"{queue}: a purge was asked for" if no_wait else f"{queue}: {plural(many, 'message')} ended")
    return 0
