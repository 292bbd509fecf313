"""Helpers of the commands that list messages and dead letters."""

from __future__ import annotations

import contextlib
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


#: Characters of the names of queues and namespaces.
_UNKNOWN = "nothing was ever sent to a queue {!r} in namespace {}"
#: Tasks that are named in the error for an unknown one, at most.
_NAMES = 10
#: Rows that are shown to people by default.
_SHOWN = 20

_Row = TypeVar("_Row")


def cut(text: str) -> str:
    """The text on one line, shortened."""
    line = plain(" ".join(text.split()))
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def local_time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def attempt_line(failed: FailedAttempt) -> str:
    """The number, time and place of a failed attempt."""
    place = f", {plain(failed.place)}" if failed.place else ""
    return f"attempt {failed.attempt}, {local_time(failed.at)}{place}"


def queue_named(
    name: str, store_url: str | None, namespace: str | None, config_file: str | None, modules: Sequence[str] = ()
) -> Queue:
    """The queue of this name. ``modules`` are imported for their tasks."""
    from s3queue.queue import Queue

    store, config = use(store_url, config_file, modules=modules, namespace=namespace)
    return Queue(name, store, config=config)


def none_of(of: Queue, what: str, *, is_filtered: bool) -> str:
    """The reason why nothing is listed: an empty queue, or a mistyped name. One GET."""
    if not _is_known(of):
        return _UNKNOWN.format(of.name, of.namespace)
    return f"no {what} in {of.name}" + (" match the options" if is_filtered else "")


def warn_if_unknown(of: Queue) -> None:
    """Warn if the queue has never had a message: the setting applies from its first message on, or the name was
    mistyped. One GET."""
    if not _is_known(of):
        click.echo(f"s3queue: {_UNKNOWN.format(of.name, of.namespace)} (is that its name?)", err=True)


def warn_if_unknown_task(of: Queue, task: str) -> None:
    """The same of a task: the hosts that live say which tasks they know. One LIST, and one GET for each host."""
    from s3queue.core.ops import get_all, list_all
    from s3queue.core.records import Ledger, decode
    from s3queue.errors import CorruptRecord
    from s3queue.io.drive import Driver
    from s3queue.store import Found

    driver, known = Driver(of.store), set[str]()
    keys = [item.key for item in driver.run(list_all(of.layout.hosts))]
    for key, found in zip(keys, driver.run(get_all(keys)), strict=True):
        with contextlib.suppress(CorruptRecord):
            ledger = decode(Ledger, key, found.body) if isinstance(found, Found) else None
            if ledger is not None and not ledger.over and of.name in ledger.offers:
                known.update(ledger.offers[of.name].tasks)
    if known and task not in known:
        names = ", ".join(map(plain, sorted(known)[:_NAMES]))
        told = f"no host knows a task {task!r} of queue {of.name!r}; they know {names}"
        click.echo(f"s3queue: {told} (is that its name?)", err=True)


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
    """Show rows up to the limit, and how to continue. False: there are none.

    Args:
        read: called with the number of rows that are wanted; None: all.
        limit: rows at most; None: all for programs, a screen for people.
        place: the value of a row for ``--after``.
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
