"""Shared by the commands that list messages and dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from s3queue.cli.common import show_json, use
from s3queue.cli.options import whole
from s3queue.observe.logs import plain

if TYPE_CHECKING:
    from s3queue.operate.views import FailedAttempt
    from s3queue.queue import Queue

#: Characters of an error, or a preview, in a list.
_LINE = 200


#: Of a queue and a namespace.
_UNKNOWN = "nothing was ever sent to a queue {!r} in namespace {}"
#: Rows that are shown to people unless they say how many.
_SHOWN = 20

_Row = TypeVar("_Row")


def cut(text: str) -> str:
    """On one line, and of bearable length."""
    line = plain(" ".join(text.split()))
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def local_time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def attempt_line(failed: FailedAttempt) -> str:
    """Which attempt failed, when and where."""
    place = f", {plain(failed.place)}" if failed.place else ""
    return f"attempt {failed.attempt}, {local_time(failed.at)}{place}"


def queue_named(
    name: str, store_url: str | None, namespace: str | None, config_file: str | None, modules: Sequence[str] = ()
) -> Queue:
    """``modules``: to import, for their tasks."""
    from s3queue.queue import Queue

    store, config = use(store_url, config_file, modules=modules, namespace=namespace)
    return Queue(name, store, config=config)


def none_of(of: Queue, what: str, *, is_filtered: bool) -> str:
    """Why nothing is listed. One GET: a name that was mistyped is not told from an empty queue otherwise."""
    if not _is_known(of):
        return _UNKNOWN.format(of.name, of.namespace)
    return f"no {what} in {of.name}" + (" match the options" if is_filtered else "")


def warn_if_unknown(of: Queue) -> None:
    """A setting of a queue that has had no message holds from its first one on; or its name was mistyped. One GET."""
    if not _is_known(of):
        click.echo(f"s3queue: {_UNKNOWN.format(of.name, of.namespace)} (is that its name?)", err=True)


def _is_known(of: Queue) -> bool:
    from s3queue.core.ops import get
    from s3queue.io.drive import Driver
    from s3queue.store import Found

    return isinstance(Driver(of.store).run(get(of.layout.meta(of.name))), Found)


def limit_option(function: Any) -> Any:
    text = f"Show at most N. [default: {_SHOWN}; with --json all]"
    return click.option("--limit", type=whole(1), metavar="N", help=text)(function)


def show_page(
    read: Callable[[int | None], Iterable[_Row]],
    limit: int | None,
    *,
    as_json: bool,
    place: Callable[[_Row], str],
    as_dict: Callable[[_Row], dict[str, Any]],
    show: Callable[[_Row], None],
) -> bool:
    """Show what it reads, up to the limit, and where to go on. False: there is nothing.

    Args:
        read: so many at most; None: all.
        limit: None: all for programs, a screen for people.
        place: what ``--after`` takes.
    """
    limit = limit or (None if as_json else _SHOWN)
    last = None
    for number, row in enumerate(read(None if limit is None else limit + 1)):  # one more tells whether there are more
        if number == limit:
            if not as_json:
                click.echo(f"more: --after {last}", err=True)
            break
        last = place(row)
        if as_json:
            show_json(as_dict(row))
        else:
            show(row)
    return last is not None
