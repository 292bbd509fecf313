"""``s3queue ls``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from s3queue.cli.options import json_lines_option, store_options
from s3queue.cli.reading import cut, limit_option, local_time, none_of, queue_named, show_page
from s3queue.observe.logs import plain
from s3queue.operate.views import attempt_of, last_line

if TYPE_CHECKING:
    from s3queue.operate.looking import QueuedMessage, State


@click.command("ls")
@click.argument("queue")
@click.option(
    "--state", type=click.Choice(["ready", "scheduled", "running", "waiting"]), help="Only messages in this state."
)
@click.option("--task", metavar="NAME", help="Only messages of this task.")
@click.option("--after", metavar="PLACE", help="Continue after this message.")
@limit_option
@store_options
@json_lines_option
def command(
    queue: str,
    state: State | None,
    task: str | None,
    after: str | None,
    limit: int | None,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """List the messages of a queue that are neither done nor dead.

    \b
    scheduled  not due yet
    ready      could run now
    running    assigned to a host
    waiting    waiting for the next attempt, after a failure or a snooze

    Messages are listed in the order in which they were to start, then by due time.
    """
    of = queue_named(queue, store_url, namespace, config_file)
    try:
        any_shown = show_page(
            lambda most: of.messages(state=state, task=task, limit=most, after=after),
            limit,
            as_json=as_json,
            place=lambda message: message.place,
            as_dict=lambda message: message.as_dict(),
            show=_show,
        )
        if not any_shown and not as_json:
            click.echo(none_of(of, "messages", is_filtered=bool(state or task or after)), err=True)
    finally:
        of.store.close()


def _show(message: QueuedMessage) -> None:
    click.echo(message.id or message.place)
    where: str = message.state
    if message.host is not None:
        where += f" on {plain(message.host)}"
        if message.started_at is not None:
            where += f" since {local_time(message.started_at)}"
    elif message.due_at is not None:
        where += f" until {local_time(message.due_at)}"
    task = "cannot be read" if message.raw else plain(message.task) or "(no task)"
    group = "" if message.group is None else f", group {plain(message.group)}"
    attempt = attempt_of(message.attempt, message.failures)
    click.echo(f"    {where}, {task}, attempt {attempt}, sent {local_time(message.sent_at)}{group}")
    if message.unfit:
        click.echo(f"    waits for a host that fits: others do not know {plain(message.unfit)}, or not so")
    if message.held:
        click.echo("    its task is paused")
    for one in message.failures:
        click.echo(f"    attempt {one.attempt} {one.cause}: {cut(last_line(one.text))}")
    if message.preview:
        click.echo(f"    {cut(message.preview)}")
