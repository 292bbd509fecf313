"""``s3queue enqueue``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click
import msgspec

from s3queue.cli.common import import_tasks, json_option, reach, show_json, store_options, use
from s3queue.errors import ConfigError
from s3queue.tasks import Task

_KEYWORD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@click.command("enqueue")
@click.argument("target", metavar="[MODULE:TASK]", required=False)
@click.argument("values", metavar="[JSON]...", nargs=-1)
@click.option(
    "--queue", "queue_name", metavar="NAME", help="Instead of a task: the queue; each JSON is then one message."
)
@click.option(
    "--stdin", is_flag=True, help="One message per line: for a task, a JSON array or object of its arguments."
)
@click.option("--delay", type=float, metavar="SECONDS", help="Not to run before.")
@click.option("--at", metavar="TIME", help="Not to run before; ISO 8601 with a time zone.")
@click.option("--priority", type=int, default=5, show_default=True, help="0 goes first, 9 last.")
@click.option("--group", metavar="NAME", help="One at a time, in order.")
@click.option("--header", "headers", metavar="NAME=TEXT", multiple=True, help="Travels with the message.")
@store_options
@json_option
def command(
    target: str | None,
    values: tuple[str, ...],
    queue_name: str | None,
    stdin: bool,
    delay: float | None,
    at: str | None,
    priority: int,
    group: str | None,
    headers: tuple[str, ...],
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Put messages into a queue, and print their ids.

    \b
    s3queue enqueue jobs.mail:send 7 'subject="welcome"'
    s3queue enqueue --queue raw '{"n": 1}' '{"n": 2}'
    s3queue enqueue jobs.mail:send --stdin < calls.jsonl
    """
    from s3queue.queue import Queue

    if queue_name is not None and target is not None:
        values, target = (target, *values), None
    if target is None and queue_name is None:
        raise ConfigError("nothing to enqueue to", "name MODULE:TASK, or --queue NAME")
    if stdin and values:
        raise ConfigError("messages were given as arguments and on stdin", "one of them, please")
    store, _ = use(store_url, config_file, namespace=namespace)
    options: dict[str, Any] = {
        "delay": delay,
        "at": _time(at),
        "priority": priority,
        "group": group,
        "headers": _headers(headers),
    }
    if queue_name is not None:
        queue = Queue(queue_name, store)
        payloads = _lines() if stdin else [_json(value) for value in values]
        if not payloads:
            raise ConfigError("no message was given", "for example '{\"n\": 1}', or --stdin")
        reach(store)
        ids = queue.enqueue_many(payloads, **options)
    else:
        task = find_task(target or "")
        calls = [_call(line) for line in _lines()] if stdin else [_arguments(values)]
        queue = task.queue_on(store)
        encoded = [task.encode(*call, exact=False) for call in calls]
        reach(store)
        ids = queue.send(task.name, encoded, **options)
    requests = queue.meter.as_dict()
    store.close()
    if as_json:
        show_json({"queue": queue.name, "ids": ids, "requests": requests})
    else:
        click.echo("\n".join(ids))


def find_task(target: str) -> Task[..., Any]:
    """The task that ``MODULE:NAME`` names: an attribute of the module, or the name of one of its tasks."""
    module, separator, name = target.partition(":")
    if not separator or not module or not name:
        raise ConfigError(f"{target!r} does not name a task", "write MODULE:TASK, for example jobs.mail:send")
    import_tasks(module)
    found = getattr(sys.modules[module], name, None)
    if isinstance(found, Task):
        return found
    tasks = {key: value for key, value in vars(sys.modules[module]).items() if isinstance(value, Task)}
    named = [task for task in tasks.values() if task.name == name]
    if len(named) == 1:
        return named[0]
    raise ConfigError(f"module {module!r} has no task {name!r}", "it has: " + (", ".join(sorted(tasks)) or "none"))


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as wrong:
        raise ConfigError(f"not JSON: {text!r}: {wrong}", "a text needs quotes of its own: '\"text\"'") from None


def _arguments(values: Iterable[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for value in values:
        if match := _KEYWORD.fullmatch(value):
            kwargs[match[1]] = _json(match[2])
        else:
            args.append(_json(value))
    return tuple(args), kwargs


def _lines() -> list[Any]:
    return [_json(line) for line in sys.stdin.read().splitlines() if line.strip()]


def _call(line: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(line, list):
        return tuple(line), {}
    if isinstance(line, dict):
        return (), line
    raise ConfigError(f"not the arguments of a call: {line!r}", "a line is a JSON array or object")


def _time(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"not a time: {text!r}", "for example 2030-01-31T08:00:00+01:00") from None


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for one in given:
        name, separator, text = one.partition("=")
        if not separator or not name:
            raise ConfigError(f"not a header: {one!r}", "write NAME=TEXT")
        headers[name] = text
    return headers
