"""Shared by the commands: finding the store and the tasks, logging, output."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

import click
import msgspec

from s3queue.config import Config, configure, current_store, load, times_configured
from s3queue.errors import ConfigError, QueueError
from s3queue.store import ObjectStore, Shareable, open_store

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds to wait for an answer of the store.
_REACH_S = 3.0

#: Loggers of SDKs that log where they find credentials.
_TALKATIVE = ("boto3", "botocore", "urllib3")


def use(
    store_url: str | None, config_file: str | None, *, modules: Sequence[str] = (), **settings: Any
) -> tuple[ObjectStore, Config]:
    """Find the settings and the store, and make them those of this process. Makes no request.

    Args:
        modules: imported for their tasks and their calls of `s3queue.configure`. During the import the settings apply
            that are known without these modules.

    Raises:
        ConfigError: a setting is wrong, no store was named, or a module cannot be imported.
    """
    found = _find(store_url, config_file, settings)
    before = times_configured()
    for module in modules:
        import_tasks(module)
    if times_configured() != before:
        found = _find(store_url, config_file, settings)
    store, config = found
    if store is None:
        raise ConfigError(
            "no store was named", "give --store URL, or set S3QUEUE_STORE_URL; for example sqlite:///jobs.db"
        )
    return store, config


@contextmanager
def open_until_late(
    store_url: str | None, config_file: str | None, namespace: str | None, what: str = ""
) -> Iterator[tuple[ObjectStore, Config]]:
    """As `use`, for a command that waits: closes the store at the end, and prints a `TimeoutError`.

    Args:
        what: printed before the text of the error; empty: nothing is.

    Raises:
        click.exceptions.Exit: with status 1, after a `TimeoutError`.
    """
    store, config = use(store_url, config_file, namespace=namespace)
    try:
        yield store, config
    except TimeoutError as late:
        click.echo(f"s3queue: {what}: {late}" if what else f"s3queue: {late}", err=True)
        raise click.exceptions.Exit(1) from None
    finally:
        store.close()


def _find(
    store_url: str | None, config_file: str | None, settings: Mapping[str, Any]
) -> tuple[ObjectStore | None, Config]:
    loaded = load(store_url, path=config_file, **settings)
    if loaded.store_url is None:
        store = None
    elif loaded.origins["store.url"] == "configure()":
        store = current_store()  # the object: its URL may not tell all of its arguments
    else:
        store = open_store(loaded.store_url)
    configure(store=store, config=loaded.config)
    return store, loaded.config


def set_up_logging(level_name: str | None, form: str | None = None) -> None:
    """Log to stderr, unless the modules of tasks have set up logging. Call it after their import.

    Args:
        level_name: from the caller; None: INFO, or the level that the modules have set.
        form: ``text``, or ``json`` for one object a line; None: text, or the format that the modules have set.

    Raises:
        ConfigError: there is no such level.
    """
    level = logging.getLevelNamesMapping().get((level_name or "INFO").upper())
    if level is None:
        raise ConfigError(f"no log level {level_name!r}", "DEBUG, INFO, WARNING or ERROR")
    if logging.getLogger().handlers:
        if level_name is not None:
            logging.getLogger("s3queue").setLevel(level)
        if form is not None:
            for one in logging.getLogger().handlers:
                one.setFormatter(_formatter(form))
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(form or "text"))
    logging.basicConfig(level=level, handlers=[handler])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _formatter(form: str) -> logging.Formatter:
    if form == "json":
        from s3queue.observe.logs import JsonFormatter

        return JsonFormatter()
    from s3queue.observe.logs import TextFormatter

    return TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


def reach(store: ObjectStore) -> None:
    """Make one request, so that a wrong address is reported soon instead of being retried for long.

    Raises:
        StoreUnavailable, StoreDenied: the store does not answer, or refuses.
    """
    from s3queue.core.keys import Layout
    from s3queue.core.ops import get
    from s3queue.io.drive import Driver

    Driver(store, patience_s=_REACH_S).run(get(Layout().board))


def reach_before_fork(store: ObjectStore) -> None:
    """As `reach`, in a process of its own: this process is going to fork, and must not hold connections."""
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
        fault = QueueError(
            f"cannot check whether {store.url} answers: the child process ended with status {child.exitcode}"
        )
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
    """Import a module that defines tasks, from the working directory or the Python path.

    Raises:
        ConfigError: there is no such module, or importing it fails; its traceback is printed then.
    """
    if module.endswith(".py") or module.startswith(".") or not module or set(module) & set("/:"):
        guess = module.partition(":")[0].removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(
            f"{module!r} is not the import path of a module", f"did you mean {guess or 'jobs.mail, for example'}?"
        )
    _look_here(module.partition(".")[0])
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
    except (Exception, SystemExit) as fault:  # a script that ends the program has declared no task for us
        traceback.print_exc()
        raise ConfigError(f"module {module!r} cannot be imported: {type(fault).__name__}: {fault}") from fault


def _look_here(name: str) -> None:
    """Add the working directory to the Python path: at its end, so that no file in it (a ``queue.py``) is taken for a
    module that we or our libraries import. It comes first only if the named module would otherwise be found elsewhere.

    Raises:
        ConfigError: Python or this program has already imported another module of that name.
    """
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    spec = PathFinder.find_spec(name, [here])
    if spec is None:
        return
    ours = set(filter(None, [spec.origin])) or set(spec.submodule_search_locations or ())
    if name in sys.modules:
        loaded = getattr(sys.modules[name], "__file__", None)
        known = {loaded} if loaded else set(getattr(sys.modules[name], "__path__", ()))
        if not ours & known:
            raise ConfigError(
                f"the name of the module {name!r} is taken by {loaded or 'Python itself'}",
                "rename it, or move it into a package",
            )
        return
    found = PathFinder.find_spec(name)
    if found is not None and found.origin != spec.origin:
        sys.path.insert(0, here)


def confirm(question: str, yes: bool) -> None:
    """Ask on a terminal whether to continue.

    Raises:
        ConfigError: there is no terminal, and ``yes`` was not given. click.Abort: the answer is no.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError("cannot ask for confirmation: this is not a terminal", "give --yes to continue without")
    click.confirm(question, abort=True, err=True)


def show_json(value: Any) -> None:
    click.echo(msgspec.json.encode(value).decode())


def console() -> Console:
    """The output for people."""
    from rich.console import Console

    class Closing(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # it has an exit status of its own; rich would end with 1

    return Closing(highlight=False)
