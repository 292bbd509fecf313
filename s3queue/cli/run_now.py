"""``s3queue run-now``."""

from __future__ import annotations

import click

from s3queue.cli.common import store_options, use


@click.command("run-now")
@click.argument("message", metavar="ID")
@click.option("--no-wait", is_flag=True, help="Do not wait for the answer.")
@click.option("--timeout", type=float, default=60.0, show_default=True, metavar="SECONDS", help="For how long to wait.")
@store_options
def command(
    message: str, no_wait: bool, timeout: float, store_url: str | None, namespace: str | None, config_file: str | None
) -> int:
    """Start a message as soon as a host has room, though it is scheduled, or waits after a failure.

    Exit status 1: it is neither ready nor running now, or no answer came within the time-out.
    """
    from s3queue.messages import MessageHandle

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        answer = MessageHandle(message, store, config=config).run_now(wait=not no_wait, timeout=timeout)
    except TimeoutError as late:
        click.echo(f"s3queue: {late}", err=True)
        return 1
    finally:
        store.close()
    click.echo(f"{message} {answer or 'asked'}")
    return 0 if answer in ("ready", "running", "") else 1
