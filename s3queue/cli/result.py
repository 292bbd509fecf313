"""``s3queue result``."""

from __future__ import annotations

import click
import msgspec

from s3queue.cli.common import show_json, use
from s3queue.cli.options import json_option, store_options, timeout_option
from s3queue.errors import ResultGone, TaskCancelled, TaskFailed


@click.command("result")
@click.argument("message", metavar="ID")
@timeout_option(60.0)
@store_options
@json_option
def command(
    message: str, timeout: float, store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool
) -> int:
    """Wait for a message to end, and print the return value of its task as JSON.

    Only tasks with result_ttl keep results.

    Exit status 1: the message is dead or was cancelled, it has not ended in time, or it has no result.
    """
    from s3queue.messages import MessageHandle

    store, config = use(store_url, config_file, namespace=namespace)
    told: dict[str, object] = {"id": message}
    try:
        value = MessageHandle(message, store, config=config).result(timeout)
    except (TaskFailed, TaskCancelled, ResultGone, TimeoutError) as why:
        told |= {"state": _STATES[type(why)], "error": str(why)}
        if isinstance(why, TaskFailed):
            told |= {"cause": why.cause, "error": why.error}
        click.echo(f"s3queue: {why}", err=True)
        if as_json:
            show_json(told)
        return 1
    finally:
        store.close()
    told |= {"state": "done", "result": value}
    if as_json:
        show_json(told)
    else:
        click.echo(msgspec.json.encode(value))
    return 0


_STATES: dict[type[BaseException], str] = {
    TaskFailed: "dead",
    TaskCancelled: "cancelled",
    ResultGone: "gone",
    TimeoutError: "waiting",
}
