"""``s3queue doctor``."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import click

from s3queue.cli.common import console, reach, show_json
from s3queue.cli.options import json_option
from s3queue.config import load
from s3queue.errors import ConfigError
from s3queue.store import ObjectStore, open_store
from s3queue.words import plural

if TYPE_CHECKING:
    from s3queue.operate.damages import Damage
    from s3queue.operate.probe import Report


@click.command("doctor")
@click.argument("url", required=False)
@click.option("--thorough", is_flag=True, help="Run many more races of writers: up to four minutes.")
@click.option("--namespace", metavar="NAME", help="Name the damaged objects of this namespace.")
@json_option
def command(url: str | None, thorough: bool, namespace: str | None, as_json: bool) -> int:
    """Check that the store at URL keeps the promises that a queue needs. Exit status 1: it does not.

    Without URL it checks the store in S3QUEUE_STORE_URL or s3queue.toml.

    It also names the damaged objects of the namespace, and what to do about each. They do not change the exit status.

    It makes a few thousand requests below a prefix of its own, and removes what it wrote.
    """
    loaded = load(namespace=namespace)
    named = url or loaded.store_url
    if named is None:
        raise ConfigError("no store was named", "give its URL, or set S3QUEUE_STORE_URL; for example sqlite:///jobs.db")
    store = open_store(named)
    reach(store)
    report = examine(store, thorough=thorough)
    damaged = _damages(store, loaded.config.namespace)
    store.close()
    if as_json:
        show_json({"store": store.url, "safe": report.safe, "rows": report.rows, "damaged": damaged})
    else:
        _tell(store, report, damaged)
    return 0 if report.safe else 1


def examine(store: ObjectStore, *, thorough: bool = False) -> Report:
    """The full report."""
    from s3queue.io.drive import Driver
    from s3queue.operate.probe import THOROUGH, USUAL, probe

    return probe(Driver(store), f"doctor-{secrets.token_hex(4)}/", effort=THOROUGH if thorough else USUAL)


def _damages(store: ObjectStore, namespace: str) -> list[Damage]:
    from s3queue.core.keys import Layout
    from s3queue.io.drive import Driver
    from s3queue.operate.damages import find_damages

    return find_damages(Driver(store), Layout(namespace))


def _tell(store: ObjectStore, report: Report, damaged: list[Damage]) -> None:
    from rich.markup import escape
    from rich.table import Table

    styles = {"ok": "green", "bad": "bold red", "info": "dim"}
    table = Table("", "check", "measured", "promise that rests on it", box=None, pad_edge=False)
    for row in report.rows:
        table.add_row(f"[{styles[row.verdict]}]{row.verdict}[/]", row.check, row.measured, row.promise)
    out = console()
    out.print(f"[bold]{store.url}[/] ({store.capabilities.name})", soft_wrap=True)
    out.print(table)
    if damaged:
        out.print(f"[bold]{plural(len(damaged), 'damaged object')}[/]")
        for one in damaged:
            out.print(f"[yellow]{escape(one.key)}[/]: {one.what}\n    {one.todo}", soft_wrap=True)
    out.print("[bold green]safe[/]" if report.safe else "[bold red]NOT SAFE: do not keep a queue here[/]")
