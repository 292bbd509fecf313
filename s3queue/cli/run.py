"""``s3queue run``."""

from __future__ import annotations

import logging
from typing import Any

import click

from s3queue.cli.common import import_tasks, json_option, show_json, store_options, use
from s3queue.errors import ConfigError, QueueError
from s3queue.registry import registry
from s3queue.store import ObjectStore, Shareable

#: How long a store may take to answer at all before it counts as out of reach, in seconds.
_REACH_S = 5.0


@click.command("run")
@click.argument("modules", metavar="MODULE...", nargs=-1, required=True)
@click.option("--queue", "queues", metavar="NAME", multiple=True, help="Serve only this one; may be repeated.")
@click.option("--workers", type=int, metavar="N", help="Worker processes. [default: one per CPU]")
@click.option("--concurrency", type=int, metavar="N", help="Messages that one worker runs at a time. [default: 1]")
@click.option("--start-method", metavar="fork|spawn|forkserver", help="How processes are made. [default: fork]")
@click.option(
    "--drain-timeout", type=float, metavar="SECONDS", help="What running tasks get after SIGTERM. [default: 25]"
)
@click.option("--history", metavar="DIRECTORY", help="Write every event there, for audits.")
@click.option("--until-empty", is_flag=True, help="End when there is no message left.")
@click.option("--log-level", default="INFO", show_default=True, metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR.")
@store_options
@json_option
def command(
    modules: tuple[str, ...],
    queues: tuple[str, ...],
    until_empty: bool,
    log_level: str,
    store_url: str | None,
    config_file: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Serve the queues of the tasks that MODULE defines, until SIGTERM or SIGINT.

    MODULE is an import path, such as jobs.mail; the working directory is looked in first. A first signal stops taking
    messages and finishes those that run, a second one ends at once.
    """
    from s3queue.supervisor import Supervisor

    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise ConfigError(f"no log level {log_level!r}", "DEBUG, INFO, WARNING or ERROR")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    store, config = use(store_url, config_file, **settings)
    reach(store)
    for module in modules:
        import_tasks(module)
    if not registry.queues():
        raise ConfigError(
            f"{', '.join(modules)} defines no task",
            "decorate a function with @s3queue.task(queue=…) and import it there",
        )
    for queue in queues:
        registry.offer(queue)
    summary = Supervisor(store, queues or None, config=config).run(until_empty=until_empty)
    if as_json:
        show_json(summary._asdict())


def reach(store: ObjectStore) -> None:
    """Ask the store once whether it answers, in a process of its own: this one will fork, and may not hold connections.

    Raises:
        StoreUnavailable, StoreDenied: it does not.
    """
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
    from s3queue.core.keys import Layout
    from s3queue.core.ops import get
    from s3queue.runtime.drive import Driver

    try:
        Driver(store, patience_s=_REACH_S).run(get(Layout().board))
        store.close()
        conn.send(None)
    except QueueError as fault:
        conn.send(fault)
