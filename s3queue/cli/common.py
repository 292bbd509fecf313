"""What the commands share: options, finding the store and the tasks, output."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from s3queue.config import Config, configure, load
from s3queue.errors import ConfigError, QueueError
from s3queue.store import ObjectStore, Shareable, open_store

if TYPE_CHECKING:
    from rich.console import Console

#: For how long an answer is waited for, in seconds.
_REACH_S = 3.0

F = TypeVar("F", bound=Callable[..., Any])


def store_options(function: F) -> F:
    """``--store``, ``--namespace`` and ``--config``, for commands that look at a queue."""
    for option in (
        click.option("--config", "config_file", metavar="FILE", help="Settings. [default: s3queue.toml]"),
        click.option("--namespace", metavar="NAME", help="Prefix of all keys."),
        click.option(
            "--store", "store_url", metavar="URL", help="For example sqlite:///jobs.db or s3://bucket/prefix."
        ),
    ):
        function = option(function)
    return function


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")


def use(store_url: str | None, config_file: str | None, **settings: Any) -> tuple[ObjectStore, Config]:
    """Find the settings and the store, and make them those of this process. Nothing is connected.

    Raises:
        ConfigError: wrong settings, or no store.
    """
    loaded = load(store_url, path=config_file, **settings)
    if loaded.store_url is None:
        raise ConfigError(
            "no store was named", "give --store URL, or set S3QUEUE_STORE_URL; for example sqlite:///jobs.db"
        )
    store = open_store(loaded.store_url)
    configure(store=store, config=loaded.config)
    return store, loaded.config


def reach(store: ObjectStore) -> None:
    """Ask the store once whether it answers, so that a wrong address is known before long and not retried for long.

    Raises:
        StoreUnavailable, StoreDenied: it does not.
    """
    from s3queue.core.keys import Layout
    from s3queue.core.ops import get
    from s3queue.runtime.drive import Driver

    Driver(store, patience_s=_REACH_S).run(get(Layout().board))


def reach_before_fork(store: ObjectStore) -> None:
    """As `reach`, in a process of its own: this one is going to fork, and should not hold connections."""
    if isinstance(store, Shareable):
        return
    import multiprocess

    context = multiprocess.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_reach, args=(store, theirs))
    child.start()
    theirs.close()
    try:
        fault = ours.recv()
    except EOFError:
        child.join()
        fault = QueueError(f"{store.url} could not be asked anything: exit status {child.exitcode}")
    child.join()
    if fault is not None:
        raise fault


def _reach(store: ObjectStore, conn: Any) -> None:
    try:
        reach(store)
        store.close()
        conn.send(None)
    except QueueError as fault:
        conn.send(fault)


def import_tasks(module: str) -> None:
    """Import a module that defines tasks. The working directory comes first, as for ``python -m``.

    Raises:
        ConfigError: there is no such module, or importing it fails; its traceback is printed then.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if module.endswith(".py") or module.startswith(".") or not module or set(module) & set("/:"):
        guess = module.partition(":")[0].removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(
            f"{module!r} is not the import path of a module", f"did you mean {guess or 'jobs.mail, for example'}?"
        )
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module == missing.name or module.startswith(f"{missing.name}.")):
            raise ConfigError(
                f"there is no module {missing.name!r}", f"looked in {os.getcwd()} and in the Python path"
            ) from None
        raise ConfigError(
            f"module {module!r} cannot be imported: it needs {missing.name!r}", "is that installed for this Python?"
        ) from None
    except ConfigError:
        raise
    except (Exception, SystemExit) as fault:  # a script that ends by itself has told us of no task
        traceback.print_exc()
        raise ConfigError(f"module {module!r} cannot be imported: {type(fault).__name__}: {fault}") from fault


def show_json(value: Any) -> None:
    click.echo(msgspec.json.encode(value).decode())


def console() -> Console:
    """Where people read."""
    from rich.console import Console

    return Console(highlight=False)
