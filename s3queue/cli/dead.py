"""``s3queue dead``."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from s3queue.cli.common import confirm, show_json
from s3queue.cli.options import json_lines_option, json_option, rate, store_options, timeout_option, yes_option
from s3queue.cli.reading import attempt_line, cut, limit_option, local_time, none_of, queue_named, show_page
from s3queue.errors import ConfigError
from s3queue.observe.logs import plain
from s3queue.operate.asking import parse_since
from s3queue.operate.redriving import Decided
from s3queue.operate.views import attempt_of
from s3queue.words import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3queue.operate.letters import DeadLetter
    from s3queue.queue import Queue

_TIMEOUT = "Time to wait for one answer."


def _filters(function: Any) -> Any:
    for option in (
        click.option(
            "--since", metavar="TIME", help="Only messages that died since then: 30m, 2h, 1d, or an ISO 8601 time."
        ),
        click.option(
            "--cause",
            metavar="CAUSE",
            help="Only letters with this cause: error, rejected, killed, time_limit, lost, …",
        ),
        click.option("--task", metavar="NAME", help="Only letters of this task."),
    ):
        function = option(function)
    return function


@click.group("dead")
def command() -> None:
    """Show dead letters, redrive them, or remove them."""


@command.command("ls")
@click.argument("queue")
@_filters
@click.option("--after", metavar="ID", help="Continue after this message.")
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
    """List the dead letters of a queue, oldest message first.

    Costs one request per letter, and one more per 1,000 letters.
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
    """Group dead letters by task, cause and last line of the error. The largest group comes first.

    Costs one request per letter, and one more per 1,000 letters.
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
    """Show one dead letter with its whole history and its payload.

    Exit status 1: the message is not dead.
    """
    from s3queue.operate.letters import queue_of

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


def _deciding(function: Any) -> Any:
    for option in (
        json_option,
        store_options,
        timeout_option(600.0, _TIMEOUT),
        click.option("--rate", type=rate, metavar="N", help="At most N letters per second."),
        click.option("--dry-run", is_flag=True, help="Only count them."),
        yes_option,
        click.option("--all", "is_all", is_flag=True, help="All letters of the queue."),
        _filters,
        click.argument("targets", metavar="QUEUE|ID...", nargs=-1, required=True),
    ):
        function = option(function)
    return function


@command.command("redrive")
@click.option("--edit", is_flag=True, help="Edit the payload of one message in $EDITOR first.")
@click.option("--payload", metavar="JSON", help="Give one message this payload.")
@click.option(
    "--tasks",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="With --edit or --payload: check the payload against the task in this module. May be repeated.",
)
@_deciding
def redrive(edit: bool, payload: str | None, modules: tuple[str, ...], **given: Any) -> int:
    """Run dead messages again, named by their ids or by their queue.

    Each begins again with the same id, at attempt 1. A message runs again once for each death, even if two people redrive
    it. Ctrl-C stops the command; requests that it has sent still happen. Run it again to continue.

    \b
    s3queue dead redrive ID --payload '{"user_id": 4712}' --tasks jobs

    Exit status 1: not all of them were redriven. Some had been redriven or purged before, or no answer came
    within the time-out.
    """
    targets = given["targets"]
    if (edit or payload is not None) and (len(targets) != 1 or "~" not in targets[0]):
        raise ConfigError("--edit and --payload are for one message", "name it by its id")
    if modules and not edit and payload is None:
        raise ConfigError("--tasks is for checking a new payload", "give --edit or --payload, too")
    return _decide("redrive", "redriven", _edit(edit, payload), modules=modules, **given)


@command.command("purge")
@_deciding
def purge(**given: Any) -> int:
    """Remove dead letters, named by their ids or by their queue. Payloads and histories are lost.

    Exit status 1: not all of them were removed. Some had been redriven or purged before, or no answer came
    within the time-out.
    """
    return _decide("purge", "purged", None, **given)


def _edit(in_editor: bool, text: str | None) -> Callable[[DeadLetter], Any] | None:
    new = None if text is None else _json(text)
    if text is None and not in_editor:
        return None

    def edit(letter: DeadLetter) -> Any:
        _say_if_unchecked(letter)
        if text is not None:
            return new
        told = letter.as_dict()
        if "payload" not in told:
            raise ConfigError(
                f"JSON cannot carry the payload of {letter.id}", "edit it from Python: Queue.redrive(edit=)"
            )
        before = msgspec.json.format(msgspec.json.encode(told["payload"]), indent=2).decode()
        after = click.edit(before, extension=".json")
        if after is None:
            raise click.Abort
        return _json(after)

    return edit


def _say_if_unchecked(letter: DeadLetter) -> None:
    from s3queue.registry import registry

    if registry.find(letter.queue, letter.task) is None:
        what = f"task {plain(letter.task)!r}" if letter.task else f"handler of {letter.queue!r}"
        click.echo(
            f"s3queue: whether the payload fits is not checked: {what} is not known here (--tasks MODULE)", err=True
        )


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as wrong:
        raise ConfigError(f"the payload is not JSON: {wrong}", "strings have quotes: '\"text\"'") from wrong


def _decide(
    verb: str,
    said: str,
    edit: Callable[[DeadLetter], Any] | None,
    *,
    targets: tuple[str, ...],
    task: str | None,
    cause: str | None,
    since: str | None,
    is_all: bool,
    yes: bool,
    dry_run: bool,
    rate: float | None,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
    modules: tuple[str, ...] = (),
) -> int:
    queue, ids = _targets(targets, is_filtered=bool(task or cause or since), is_all=is_all)
    of = queue_named(queue, store_url, namespace, config_file, modules)
    wanted: dict[str, Any] = {"task": task, "cause": cause, "since": _since(since)}
    decide = of.redrive if verb == "redrive" else of.purge_letters
    told = _Progress(said, as_json)
    more: dict[str, Any] = {} if edit is None else {"edit": edit}
    try:
        if not (yes or dry_run or ids):
            many = decide(dry_run=True, **wanted).found
            confirm(f"{verb.capitalize()} {plural(many, 'dead letter')} of {queue}?", yes)
        elif verb == "purge" and not (yes or dry_run):
            confirm(f"Purge {plural(len(ids), 'dead letter')} of {queue}?", yes)
        if not dry_run:
            _say_if_nobody_answers(of, timeout)
        done = decide(ids or None, rate=rate, dry_run=dry_run, timeout=timeout, progress=told.show, **wanted, **more)
    except TimeoutError as late:
        click.echo(f"s3queue: {queue}: {late}; {told.last.done:,} {said} so far", err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        if told.last.done:
            click.echo(f"{told.last.done:,} {said} so far; run it again to go on", err=True)
        raise
    finally:
        told.close()
        of.store.close()
    if as_json:
        show_json({"queue": queue, **msgspec.to_builtins(done)})
    elif dry_run:
        click.echo(f"{queue}: {plural(done.found - done.refused, 'dead letter')} would be {said}")
    else:
        click.echo(f"{queue}: {done.done:,} of {done.found:,} dead letters {said}{_left(done)}")
    return 0 if dry_run or done.done == done.found else 1


def _say_if_nobody_answers(queue: Queue, timeout: float) -> None:
    """Print a line if no host serves the queue: then the command waits for one. One GET."""
    if not queue.stats().hosts:
        text = (
            f"s3queue: no host serves {queue.name}, so this waits for one, for up to {timeout:g} s (s3queue run MODULE)"
        )
        click.echo(text, err=True)


def _left(done: Decided) -> str:
    left = []
    if done.refused:
        left.append(f"{done.refused:,} were decided already")
    if done.unreadable:
        left.append(f"{done.unreadable:,} cannot be read")
    return f"; {', '.join(left)}" if left else ""


class _Progress:
    """One line on a terminal that is overwritten with each update; nothing elsewhere."""

    def __init__(self, said: str, as_json: bool) -> None:
        self._said, self._is_shown = said, sys.stderr.isatty() and not as_json
        self._is_open = False
        self.last = Decided()

    def show(self, decided: Decided) -> None:
        self.last = decided
        if self._is_shown:
            click.echo(f"\r{decided.done:,} {self._said}, {decided.found:,} read", nl=False, err=True)
            self._is_open = True

    def close(self) -> None:
        if self._is_open:
            click.echo(err=True)


def _targets(targets: tuple[str, ...], *, is_filtered: bool, is_all: bool) -> tuple[str, list[str]]:
    """The queue, and the ids if some are named."""
    from s3queue.operate.letters import queue_of

    ids = [one for one in targets if "~" in one]
    if not ids:
        if len(targets) > 1:
            raise ConfigError("more than one queue was named", "name one queue at a time")
        if is_filtered == is_all:
            raise ConfigError(
                f"which dead letters of {targets[0]!r}?", "give --all, or select some by --task, --cause or --since"
            )
        return targets[0], []
    queues = {queue_of(one) for one in ids}
    if len(ids) < len(targets) or len(queues) > 1 or is_all:
        raise ConfigError("name one queue, or messages of one queue by their ids", "ids are what enqueue returns")
    return queues.pop(), ids


def _since(text: str | None) -> datetime | None:
    return None if text is None else parse_since(text)


def _show_line(letter: DeadLetter) -> None:
    click.echo(letter.id)
    what = "cannot be read" if letter.raw else plain(letter.task) or "(no task)"
    click.echo(f"    {what}, attempt {attempt_of(letter.attempt, letter.failures)}, {local_time(letter.died_at)}")
    click.echo(f"    {letter.cause}: {cut(letter.error)}")
    if letter.preview:
        click.echo(f"    {cut(letter.preview)}")


def _show_whole(letter: DeadLetter, told: dict[str, Any]) -> None:
    click.echo(f"message  {letter.id}")
    click.echo(f"queue    {letter.queue}")
    click.echo(f"task     {plain(letter.task) or '-'}")
    click.echo(f"sent     {local_time(letter.sent_at) if letter.sent_at else 'unknown'}")
    click.echo(f"died     {local_time(letter.died_at)}, at attempt {attempt_of(letter.attempt, letter.failures)}")
    for life in letter.lives:
        click.echo(f"before   {local_time(life.died_at)}, at attempt {life.attempt}: {life.cause}: {cut(life.error)}")
    for name, value in letter.headers.items():
        click.echo(f"header   {plain(name)}: {plain(value)}")
    for one in letter.failures:
        click.echo(f"\n{attempt_line(one)}: {one.cause}")
        for line in one.text.splitlines():
            click.echo(f"    {plain(line)}")
    if letter.raw:
        click.echo(f"\nIt cannot be decoded. What is stored, {len(letter.body):,} bytes, as base64:")
        click.echo(told["payload_base64"])
    elif "payload" not in told and "payload_base64" not in told:
        click.echo(f"\nIts payload, {letter.payload_bytes:,} bytes, is gone.")
    elif "payload" in told:
        click.echo("\npayload")
        click.echo(msgspec.json.format(msgspec.json.encode(told["payload"]), indent=2).decode())
    else:
        click.echo("\npayload, which JSON cannot carry, as base64 of MessagePack")
        click.echo(told["payload_base64"])
