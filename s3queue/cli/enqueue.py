"""``s3queue enqueue``."""

from __future__ import annotations

import codecs
import functools
import re
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import click
import msgspec
from msgspec import Raw

from s3queue.cli.common import import_tasks, reach, show_json, use
from s3queue.cli.options import json_option, moment, seconds, store_options
from s3queue.enqueue.loading import load
from s3queue.errors import ConfigError
from s3queue.payloads.codec import encode_value
from s3queue.registry import registry
from s3queue.tasks import Task

_KEYWORD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@click.command("enqueue")
@click.argument("target", metavar="[MODULE:TASK]", required=False)
@click.argument("values", metavar="[JSON]...", nargs=-1)
@click.option(
    "--queue",
    "queue_name",
    metavar="NAME",
    help="Send to the handler of this queue instead of a task: each JSON is one message.",
)
@click.option(
    "--stdin",
    is_flag=True,
    help="Read one message per line from stdin: for a task, a JSON array or object of its arguments. Short: -",
)
@click.option("--delay", type=seconds, metavar="TIME", help="Run after this time: seconds, or 5m, 1h30m, 2d.")
@click.option("--at", metavar="TIME", help="Run at this time; ISO 8601 with a time zone.")
@click.option("--priority", type=int, default=5, show_default=True, help="0 goes first, 9 last.")
@click.option("--group", metavar="NAME", help="Run messages of this group one at a time, in order.")
@click.option("--key", metavar="NAME", help="Key for limits and fairness. Not together with --group.")
@click.option("--expires-in", type=seconds, metavar="TIME", help="Expire if it has not begun after this time.")
@click.option(
    "--dedup-id", metavar="TEXT", help="Enqueue only once: for a known id, print the id of the first message."
)
@click.option(
    "--dedup-window",
    type=seconds,
    metavar="TIME",
    help="How long --dedup-id counts. [default: the setting dedup_window]",
)
@click.option(
    "--header",
    "headers",
    metavar="NAME=TEXT",
    multiple=True,
    help="Header that travels with the message. May be repeated.",
)
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
    key: str | None,
    expires_in: float | None,
    dedup_id: str | None,
    dedup_window: float | None,
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
    s3queue enqueue jobs.mail:send - < calls.jsonl
    s3queue enqueue jobs.mail:add -- -5
    """
    from s3queue.enqueue.sending import Sending
    from s3queue.queue import Queue

    if queue_name is not None and target is not None:
        values, target = (target, *values), None
    if target is None and queue_name is None:
        raise ConfigError("nothing to enqueue to", "name MODULE:TASK, or --queue NAME")
    if values == ("-",):
        stdin, values = True, ()
    if stdin and values:
        raise ConfigError("messages were given as arguments and on stdin", "give them one way only")
    modules = () if target is None else (module_of(target),)
    store, _ = use(store_url, config_file, modules=modules, namespace=namespace)
    options: dict[str, Any] = {
        "delay": delay,
        "dedup_id": dedup_id,
        "dedup_window": dedup_window,
        "at": None if at is None else _zoned(at),
        "priority": priority,
        "group": group,
        "key": key,
        "expires_in": expires_in,
        "headers": _headers(headers),
    }
    encode: Callable[[Any], Raw]
    if queue_name is not None:
        queue, name = Queue(queue_name, store), ""
        encode = functools.partial(encode_value, what="message")
    else:
        task = find_task(target or "")
        queue, name = task.queue_on(store), task.name
        if dedup_id is None and task.policy.unique:
            options["unique"] = task.policy.unique
        encode = lambda line: task.encode(*_call(line), exact=False)  # noqa: E731
    if stdin:
        encoded = _from_lines(sys.stdin, encode)
    elif queue_name is not None:
        encoded = [encode(json_of(value)) for value in values]
    else:
        encoded = [task.encode(*call_of(values), exact=False)]
    if not encoded:
        raise ConfigError("no message was given", "for example '{\"n\": 1}', or --stdin")
    reach(store)
    sending = Sending(lambda: load(queue, name, encoded, **options))
    ids = sending.run()
    requests = queue.meter.as_dict()
    store.close()
    if as_json:
        show_json({"queue": queue.name, "ids": ids, "new": sending.is_new, "requests": requests})
    else:
        click.echo("\n".join(ids))


def find_task(target: str) -> Task[..., Any]:
    """The task that ``MODULE:NAME`` names: an attribute of the module, or the name of one of its tasks."""
    module, name = _split(target)
    import_tasks(module)
    found = getattr(sys.modules[module], name, None)
    if isinstance(found, Task):
        return found
    tasks = {key: value for key, value in vars(sys.modules[module]).items() if isinstance(value, Task)}
    named = {task for task in (*tasks.values(), *registry.tasks()) if task.name == name and _is_of(task, module)}
    if len(named) == 1:
        return named.pop()
    raise ConfigError(f"module {module!r} has no task {name!r}", "it has: " + (", ".join(sorted(tasks)) or "none"))


def module_of(target: str) -> str:
    """The module that ``MODULE:NAME`` names."""
    return _split(target)[0]


def _split(target: str) -> tuple[str, str]:
    module, separator, name = target.partition(":")
    if not separator or not module or not name:
        raise ConfigError(f"{target!r} does not name a task", "write MODULE:TASK, for example jobs.mail:send")
    return module, name


def _is_of(task: Task[..., Any], module: str) -> bool:
    return task.function.__module__ == module or task in vars(sys.modules[module]).values()


def json_of(text: str | bytes) -> Any:
    """The value of a JSON text. Raises `ConfigError`: it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        shown = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
        shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
        raise ConfigError(
            f"not JSON: {shown!r}: {wrong}", "a string needs quotes inside the quotes of the shell: '\"text\"'"
        ) from None


def call_of(values: Iterable[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments, from JSON on the command line."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for value in values:
        if match := _KEYWORD.fullmatch(value):
            kwargs[match[1]] = json_of(match[2])
        else:
            args.append(json_of(value))
    return tuple(args), kwargs


def _from_lines(stdin: Any, encode: Callable[[Any], Raw]) -> list[Raw]:
    """One payload for each line that is not blank. Only a newline ends a line: JSON may contain the other line ends of
    Unicode."""
    if stdin is None:
        raise ConfigError("stdin is closed", "give the messages as arguments, or have stdin come from a file or pipe")
    data = stdin.buffer.read() if hasattr(stdin, "buffer") else stdin.read().encode()
    encoded: list[Raw] = []
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if line.strip():
            try:
                encoded.append(encode(json_of(line)))
            except ConfigError as wrong:
                raise ConfigError(f"line {number}: {wrong.message}", wrong.hint) from None
    return encoded


def _call(line: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(line, list):
        return tuple(line), {}
    if isinstance(line, dict):
        return (), line
    raise ConfigError(f"not the arguments of a call: {line!r:.80}", "a line is a JSON array or object")


def _zoned(text: str) -> datetime:
    at = moment(text)
    if datetime.fromisoformat(text).tzinfo is None:
        raise ConfigError(f"a time without a time zone: {text!r}", "for example 2030-01-31T08:00:00+01:00")
    return at


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for one in given:
        name, separator, text = one.partition("=")
        if not separator or not name:
            raise ConfigError(f"not a header: {one!r}", "write NAME=TEXT")
        headers[name] = text
    return headers
