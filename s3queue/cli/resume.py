"""``s3queue resume``."""

from __future__ import annotations

import click

from s3queue.cli.common import store_options, timeout_option, use


@click.command("resume")
@click.argument("queue")
@click.option("--no-wait", is_flag=True, help="Do not wait for the coordinator to confirm.")
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

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        Queue(queue, store, config=config).resume(wait=not no_wait, timeout=timeout)
    except TimeoutError as late:
        click.echo(f"s3queue: {queue}: {late}", err=True)
        return 1
    finally:
        store.close()
    click.echo(f"{queue} is resumed")
    return 0
