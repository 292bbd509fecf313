"""``s3queue message``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click
import msgspec

from s3queue.cli.common import show_json, use
from s3queue.cli.options import json_option, store_options
from s3queue.cli.reading import attempt_line, cut, local_time
from s3queue.observe.logs import plain
from s3queue.operate.views import attempt_of, last_line

if TYPE_CHECKING:
    from s3queue.operate.details import MessageDetails


@click.command("message")
@click.argument("message", metavar="ID")
@store_options
@json_option
def command(message: str, store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> int:
    """Show the state of a message, its progress if its task reports it, and its failed attempts: cause, host and fencing
    token.

    States: scheduled, ready, running, waiting (for a retry), done, dead, cancelled, expired, unknown. A message that is
    done is soon unknown, unless its task keeps results (result_ttl).

    Exit status 1: unknown. There is no such message, or it has ended and nothing is kept of it.
    """
    from s3queue.messages import MessageHandle

    store, config = use(store_url, config_file, namespace=namespace)
    try:
        one = MessageHandle(message, store, config=config).details()
    finally:
        store.close()
    if as_json:
        show_json(msgspec.to_builtins(one))
    elif one.status == "unknown":
        click.echo(one.status)
        click.echo(
            "s3queue: it has ended and nothing is kept of it, or it was never sent",
            err=True,
        )
    else:
        _show(one)
    return int(one.status == "unknown")


def _show(one: MessageDetails) -> None:
    told = "" if one.progress is None else plain(str(one.progress))
    click.echo(f"{one.status}: {told}" if told else one.status)
    since = "" if one.started_at is None else f" since {local_time(one.started_at)}"
    running = f"on {plain(one.host or one.session)}{since}, fencing token {one.fencing_token}" if one.session else ""
    facts = {
        "queue": one.queue,
        "task": plain(one.task),
        "attempt": ", ".join(filter(None, (attempt_of(one.attempt, one.failures) if one.attempt else "", running))),
        "sent": _time(one.sent_at),
        "due": _time(one.due_at),
        "died": _time(one.died_at),
        "payload": cut(one.preview),
    }
    for name, value in facts.items():
        if value:
            click.echo(f"    {name:8} {value}")
    for failed in one.failures:
        click.echo(attempt_line(failed))
        why = cut(last_line(failed.text))
        click.echo(f"    {failed.cause}: {why}" if why else f"    {failed.cause}")


def _time(at: datetime | None) -> str:
    return "" if at is None else local_time(at)
