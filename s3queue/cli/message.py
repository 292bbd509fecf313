"""``s3queue message``."""

from __future__ import annotations

import click

from s3queue.cli.common import json_option, show_json, store_options, use


@click.command("message")
@click.argument("message", metavar="ID")
@store_options
@json_option
def command(message: str, store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> int:
    """Show where a message is: scheduled, ready, running, waiting, done, dead, cancelled, or unknown.

    Exit status 1: unknown. There is no such message, or it has ended and is forgotten.
    """
    from s3queue.messages import MessageHandle

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        handle = MessageHandle(message, store, config=config)
        status = handle.status()
    finally:
        store.close()
    if as_json:
        show_json({"id": handle.id, "queue": handle.queue, "status": status})
    else:
        click.echo(status)
    return int(status == "unknown")
