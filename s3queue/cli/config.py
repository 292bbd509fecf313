"""``s3queue config show``."""

from __future__ import annotations

import click
import msgspec

from s3queue.cli.common import console, show_json
from s3queue.cli.options import json_option, store_options
from s3queue.config import load, redact_url


@click.group("config")
def command() -> None:
    """Show the effective settings and where each came from."""


@command.command("show")
@store_options
@json_option
def show(store_url: str | None, namespace: str | None, config_file: str | None, as_json: bool) -> None:
    """Print every setting with its value and origin.

    An origin is an argument, an environment variable, the settings file, or the default.
    """
    loaded = load(store_url, path=config_file, namespace=namespace)
    url = None if loaded.store_url is None else redact_url(loaded.store_url)
    values = {"store.url": url, **msgspec.structs.asdict(loaded.config)}
    if values["knock_key"] is not None:
        values["knock_key"] = "***"
    if as_json:
        show_json({name: {"value": value, "from": loaded.origins[name]} for name, value in values.items()})
        return
    from rich.table import Table

    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for name, value in values.items():
        origin = loaded.origins[name]
        shown = "-" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)
        table.add_row(name, shown, origin, style="dim" if origin == "default" else None)
    console().print(table)
