"""``s3queue run``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from s3queue.cli import BAD_NEWS, INTERRUPTED, LETTERS, OK
from s3queue.cli.common import set_up_logging, show_json, use
from s3queue.cli.options import json_option, store_options
from s3queue.errors import ConfigError
from s3queue.registry import registry

#: Settings that have no effect with --inline.
_NOT_INLINE = ("workers", "concurrency", "start_method", "metrics")


@click.command("run")
@click.argument("modules", metavar="MODULE...", nargs=-1, required=True)
@click.option("--queue", "queues", metavar="NAME", multiple=True, help="Serve only this queue. May be repeated.")
@click.option("--workers", type=int, metavar="N", help="Worker processes. [default: one per CPU]")
@click.option("--concurrency", type=int, metavar="N", help="Messages that one worker runs at a time. [default: 1]")
@click.option("--start-method", metavar="fork|spawn|forkserver", help="How processes are made. [default: fork]")
@click.option(
    "--drain-timeout",
    type=float,
    metavar="SECONDS",
    help="Time for running tasks to finish after SIGTERM. [default: 8]",
)
@click.option("--metrics", metavar="HOST:PORT", help="Serve /metrics, /healthz, /readyz and /scale there.")
@click.option("--history", metavar="DIRECTORY", help="Write every event there, for audits.")
@click.option("--until-empty", is_flag=True, help="End when the queues are empty.")
@click.option("--fail-on-dead", is_flag=True, help="Exit with status 5 if a message died on this host.")
@click.option("--reload", is_flag=True, help="Start again when a Python file below the working directory changes.")
@click.option("--inline", is_flag=True, help="Run in one process, one message at a time, so that breakpoints work.")
@click.option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR. [default: INFO]")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line. [default: text]")
@store_options
@json_option
def command(
    modules: tuple[str, ...],
    queues: tuple[str, ...],
    until_empty: bool,
    fail_on_dead: bool,
    reload: bool,
    inline: bool,
    log_level: str | None,
    log_format: str | None,
    store_url: str | None,
    config_file: str | None,
    as_json: bool,
    **settings: Any,
) -> int:
    """Serve the queues of the tasks that MODULE defines, until SIGTERM or SIGINT.

    MODULE is an import path, such as jobs.mail, from the working directory or installed. Settings from
    s3queue.configure() in the module apply unless an option overrides them. Logging that the module sets up is kept.

    At the first signal the command takes no more messages and finishes the running ones. A second signal, at least a
    second later, ends it at once, with exit status 130. If the store does not answer, the command waits for it.
    """
    from s3queue.supervisor import Supervisor

    if inline and (useless := [name for name in _NOT_INLINE if settings.get(name) not in (None, 1)]):
        options = ", ".join("--" + name.replace("_", "-") for name in useless)
        raise ConfigError(
            f"--inline serves in one process, one message at a time, without metrics: it has no use for {options}",
            "leave one of them out",
        )
    if reload:
        from s3queue.cli import reloading

        return reloading.reload([one for one in sys.argv[1:] if one != "--reload"], Path.cwd())
    store, config = use(store_url, config_file, modules=modules, **settings)
    set_up_logging(log_level, log_format)
    if not registry.queues():
        raise ConfigError(
            f"{', '.join(modules)} defines no task",
            "decorate a function with @s3queue.task(queue=…) and import it there",
        )
    for queue in queues:
        registry.offer(queue)
    supervisor = Supervisor(store, queues or None, config=config)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Handled while it runs. What comes in the last moment, when it has run, must not take the place of its status.
        signal.signal(number, signal.SIG_IGN)
    summary = supervisor.run(until_empty=until_empty, inline=inline)
    if as_json:
        show_json(summary._asdict())
    if summary.interrupted:
        return INTERRUPTED
    if not summary.drained:
        return BAD_NEWS
    return LETTERS if fail_on_dead and any(dead for _, dead in summary.settled.values()) else OK
