"""``s3queue message``."""

from __future__ import annotations

import click
import msgspec

from s3queue.cli.common import json_option, show_json, store_options, use


@click.command("message")
@click.argument("message", metavar="ID")
@store_options
@json_option
def command(message: str, store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> int:
    """Show the state of a message, and its progress if its task reports it.

    States: scheduled, ready, running, waiting (for a retry), done, dead, cancelled, unknown.

    Exit status 1: unknown. There is no such message, or it has ended and nothing is kept of it.
    """
    from s3queue.messages import MessageHandle

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        handle = MessageHandle(message, store, config=config)
        status = handle.status()
        progress = handle.progress() if status in ("running", "waiting", "ready") else None
    finally:
        store.close()
    if as_json:
        told = None if progress is None else msgspec.to_builtins(progress)
        show_json({"id": handle.id, "queue": handle.queue, "status": status, "progress": told})
    else:
        click.echo(f"{status}: {progress}" if progress is not None and str(progress) else status)
        if status == "unknown":
            click.echo(
                "s3queue: it has ended and nothing is kept of it, or it was never sent"
                f" (a result, if its task keeps one: s3queue result {handle.id})",
                err=True,
            )
    return int(status == "unknown")
