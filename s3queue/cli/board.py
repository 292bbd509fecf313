"""``s3queue board``."""

from __future__ import annotations

import secrets

import click

from s3queue.cli.common import console, show_json, use
from s3queue.cli.options import json_option, store_options
from s3queue.words import plural


@click.group("board")
def command() -> None:
    """Restore a board that was deleted while hosts ran."""


@command.command("restore")
@store_options
@click.option(
    "--older", is_flag=True, help="Take a copy that may be older. Messages that have ended since then run again."
)
@click.option(
    "--anew",
    is_flag=True,
    help="Begin without a copy. All stored messages run again.",
)
@json_option
def restore(
    store_url: str | None, namespace: str | None, config_file: str | None, older: bool, anew: bool, as_json: bool
) -> int:
    """Restore a deleted board from the copies of running hosts.

    Running hosts store a copy within half a minute of noticing. The copy of the leader is exact: with it nothing runs
    twice. Exit status 1: nothing was done.
    """
    from s3queue.core import restore as core
    from s3queue.core.keys import Layout
    from s3queue.io.drive import Driver

    store, config = use(store_url, config_file, namespace=namespace)
    driver, layout, nonce = Driver(store), Layout(config.namespace), secrets.token_hex(8)
    wrong = driver.run(core.stands(layout))
    if wrong is not None:
        store.close()
        what = f"repair it, or delete the object {layout.board}, wait half a minute, and run this again"
        why = f"the board exists but cannot be read: {wrong}; {what}" if wrong else "the board exists"
        click.echo(f"nothing done: {why}", err=True)
        return 1
    copies = driver.run(core.copies(layout))
    best = copies[0] if copies else None
    if anew:
        outcome = driver.run(core.found_anew(layout, nonce))
    elif best is not None and (best.is_exact or older):
        outcome = driver.run(core.put_back(layout, best, nonce))
    else:
        store.close()
        why = "no host has kept a copy yet" if best is None else "the newest copy is not that of the host that led"
        click.echo(f"nothing done: {why} (wait half a minute, or see --older and --anew)", err=True)
        return 1
    store.close()
    if isinstance(outcome, core.Stands):
        click.echo("nothing done: the board exists", err=True)
        return 1
    board = outcome.board
    if as_json:
        told = {"epoch": board.epoch, "tickets": len(board.tickets), "sources": len(board.sources)}
        show_json({**told, "fenced": list(outcome.fenced)})
        return 0
    out = console()
    held = f"{plural(len(board.tickets), 'ticket')}, {plural(len(board.sources), 'batch')}"
    out.print(f"the board is back: term {board.epoch}, {held}")
    if outcome.fenced:
        out.print(f"{len(outcome.fenced)} sessions were ended; their hosts begin new ones")
    return 0
