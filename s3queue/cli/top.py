"""``s3queue top``."""

from __future__ import annotations

import sys
import time

import click

from s3queue.cli.common import console, use
from s3queue.cli.options import interval_option, store_options


@click.command("top")
@interval_option("Time between two updates. Each costs one request.")
@store_options
def command(interval: float, store_url: str | None, namespace: str | None, config_file: str | None) -> None:
    """Watch queues, hosts, the coordinator and their store requests, until Ctrl-C.

    If stdout is not a terminal, print one snapshot.
    """
    from s3queue.cli.screens import screen
    from s3queue.observe.prices import prices_of
    from s3queue.operate.inspection import stats

    store, config = use(store_url, config_file, namespace=namespace)
    prices = prices_of(store, config.prices) if store.capabilities.requests_cost else None
    out = console()
    try:
        if not sys.stdout.isatty():
            out.print(screen(stats(store, config.namespace), prices=prices))
            return
        from rich.live import Live

        with Live(console=out, screen=True, auto_refresh=False) as live:
            while True:
                live.update(screen(stats(store, config.namespace), prices=prices), refresh=True)
                time.sleep(interval)
    finally:
        store.close()
