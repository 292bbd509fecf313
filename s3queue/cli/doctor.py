"""``s3queue doctor``."""

from __future__ import annotations

import secrets

import click
import msgspec

from s3queue.cli.common import json_option, show_json
from s3queue.store import open_store


@click.command("doctor")
@click.argument("url")
@json_option
def command(url: str, as_json: bool) -> int:
    """Check that the store at URL keeps the promises that a queue needs. Exit status 1: it does not.

    Writes under a prefix of its own, and removes that again.
    """
    store = open_store(url)
    from s3queue.probe import probe

    report = probe(store, f"doctor-{secrets.token_hex(4)}/")
    store.close()
    if as_json:
        show_json({"store": store.url, "safe": report.safe, **msgspec.to_builtins(report)})
    else:
        click.echo(str(report))
    return 0 if report.safe else 1
