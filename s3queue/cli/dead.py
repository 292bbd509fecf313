"""``s3queue dead``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from s3queue.cli.common import json_lines_option, json_option, show_json, store_options
from s3queue.cli.reading import cut, limit_option, local_time, none_of, parse_since, plain, queue_named, show_page

if TYPE_CHECKING:
    from s3queue.letters import DeadLetter


def _filters(function: Any) -> Any:
    for option in (
        click.option(
            "--since", metavar="TIME", help="Only those that died since then: 30m, 2h, 1d, or an ISO 8601 time."
        ),
        click.option("--cause", metavar="CAUSE", help="Only of this: error, rejected, killed, time_limit, lost, …"),
        click.option("--task", metavar="NAME", help="Only of this task."),
    ):
        function = option(function)
    return function


@click.group("dead")
def command() -> None:
    """Show what died of what, and each dead letter."""


@command.command("ls")
@click.argument("queue")
@_filters
@click.option("--after", metavar="ID", help="Only those behind this message.")
@limit_option
@store_options
@json_lines_option
def list_letters(
    queue: str,
    task: str | None,
    cause: str | None,
    since: str | None,
    after: str | None,
    limit: int | None,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """List the dead letters of a queue, as their messages were sent.

    Reads each letter: one request for each, and one per 1,000.
    """
    of = queue_named(queue, store_url, namespace, config_file)
    try:
        died_since = _since(since)
        any_shown = show_page(
            lambda most: of.dead_letters(task=task, cause=cause, since=died_since, after=after, limit=most),
            limit,
            as_json=as_json,
            place=lambda letter: letter.id,
            as_dict=lambda letter: letter.as_dict(),
            show=_show_line,
        )
        if not any_shown and not as_json:
            click.echo(none_of(of, "dead letters", is_filtered=bool(task or cause or since or after)), err=True)
    finally:
        of.store.close()


@command.command("groups")
@click.argument("queue")
@_filters
@store_options
@json_option
def groups(
    queue: str,
    task: str | None,
    cause: str | None,
    since: str | None,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Show what died of what: by task, cause and last line of the error, the most frequent first.

    Reads each letter: one request for each, and one per 1,000.
    """
    of = queue_named(queue, store_url, namespace, config_file)
    try:
        found = of.dead_groups(task=task, cause=cause, since=_since(since))
        if as_json:
            show_json(found)
            return
        if not found:
            click.echo(none_of(of, "dead letters", is_filtered=bool(task or cause or since)), err=True)
        for one in found:
            click.echo(f"{one.count:>9,}  {plain(one.task) or '(no task)'}  {one.cause}: {cut(one.error)}")
            click.echo(
                f"           {local_time(one.first_died_at)} to {local_time(one.last_died_at)}, last {one.example}"
            )
    finally:
        of.store.close()


@command.command("show")
@click.argument("message", metavar="ID")
@store_options
@json_option
def show(message: str, store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> int:
    """Show one dead letter: its whole history, and its payload. One request.

    Exit status 1: the message is not dead.
    """
    from s3queue.letters import queue_of

    of = queue_named(queue_of(message), store_url, namespace, config_file)
    try:
        letter = of.dead_letter(message)
    finally:
        of.store.close()
    if letter is None:
        click.echo(f"there is no dead letter of {message}", err=True)
        return 1
    told = letter.as_dict()
    if as_json:
        show_json(told)
        return 0
    _show_whole(letter, told)
    return 0


def _since(text: str | None) -> datetime | None:
    return None if text is None else parse_since(text)


def _show_line(letter: DeadLetter) -> None:
    click.echo(letter.id)
    what = "cannot be read" if letter.raw else plain(letter.task) or "(no task)"
    click.echo(f"    {what}, attempt {letter.attempt}, {local_time(letter.died_at)}")
    click.echo(f"    {letter.cause}: {cut(letter.error)}")
    if letter.preview:
        click.echo(f"    {cut(letter.preview)}")


def _show_whole(letter: DeadLetter, told: dict[str, Any]) -> None:
    click.echo(f"message  {letter.id}")
    click.echo(f"queue    {letter.queue}")
    click.echo(f"task     {plain(letter.task) or '-'}")
    click.echo(f"sent     {local_time(letter.sent_at) if letter.sent_at else 'unknown'}")
    click.echo(f"died     {local_time(letter.died_at)}, at attempt {letter.attempt}")
    for name, value in letter.headers.items():
        click.echo(f"header   {plain(name)}: {plain(value)}")
    for one in letter.failures:
        click.echo(f"\nattempt {one.attempt}, {local_time(one.at)}: {one.cause}")
        for line in one.text.splitlines():
            click.echo(f"    {plain(line)}")
    if letter.raw:
        click.echo(f"\nIt cannot be decoded. What is stored, {len(letter.body):,} bytes, as base64:")
        click.echo(told["payload_base64"])
    elif "payload" in told:
        click.echo("\npayload")
        click.echo(msgspec.json.format(msgspec.json.encode(told["payload"]), indent=2).decode())
    else:
        click.echo("\npayload, which JSON cannot carry, as base64 of MessagePack")
        click.echo(told["payload_base64"])
