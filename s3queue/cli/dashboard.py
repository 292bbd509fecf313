"""``s3queue dashboard``."""

from __future__ import annotations

import importlib.util

import click

from s3queue.cli.common import reach, set_up_logging, use
from s3queue.cli.options import at_least, store_options
from s3queue.errors import ConfigError


@click.command("dashboard")
@click.option(
    "--bind", default="127.0.0.1:9292", show_default=True, metavar="HOST:PORT", help="Where to listen. Port 0: any."
)
@click.option(
    "--allow",
    multiple=True,
    metavar="ACTION",
    help="Allow this action; all: every action. May be repeated. [default: none]",
)
@click.option("--token-file", metavar="FILE", help="File with the token that people log in with.")
@click.option(
    "--access", "access_file", metavar="FILE", help="TOML file with roles, people and digests of their tokens."
)
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="Another host name that browsers may use. May be repeated."
)
@click.option("--prefix", default="", metavar="PATH", help="Path at which a proxy serves it, such as /s3queue.")
@click.option(
    "--every",
    type=at_least(0.2),
    default=2.0,
    metavar="SECONDS",
    help="Time between two updates. Each costs one request, for any number of viewers. [default: 2]",
)
@click.option(
    "--tasks",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="Check edited payloads against the tasks in this module. May be repeated.",
)
@click.option("--always", is_flag=True, help="Update even if nobody looks, so that charts have no gaps.")
@click.option("--history", metavar="DIRECTORY", help="Write every event there: who did what.")
@click.option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR. [default: INFO]")
@store_options
def command(
    bind: str,
    allow: tuple[str, ...],
    token_file: str | None,
    access_file: str | None,
    hosts: tuple[str, ...],
    prefix: str,
    every: float,
    modules: tuple[str, ...],
    always: bool,
    history: str | None,
    log_level: str | None,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> int:
    """Serve the dashboard, until SIGTERM or SIGINT.

    It is read-only unless --allow names actions. On a loopback address everyone on this machine may look. Any other
    address needs --token-file or --access. Needs the extra s3queue[dashboard].
    """
    missing = [name for name in ("starlette", "jinja2", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"the dashboard needs {', '.join(missing)}", "pip install 's3queue[dashboard]'")
    from s3queue.dashboard.serving import address_of, make_access, serve

    host, port = address_of(bind)
    store, config = use(store_url, config_file, modules=modules, namespace=namespace, history=history)
    set_up_logging(log_level)
    access = make_access(host, port, allow=allow, token_file=token_file, access_file=access_file, hosts=hosts)
    try:
        reach(store)
        return serve(store, config, access, host, port, prefix=prefix, every=every, always=always)
    finally:
        store.close()
