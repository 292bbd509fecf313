"""``python -m stress``: chaos runs, simulations and benchmarks. Each subcommand is a click command of its own module."""

from __future__ import annotations

from importlib import import_module

import click

#: The module of each subcommand; imported when it is called, since each needs other packages.
COMMANDS = {
    "against": "stress.against",
    "bench": "stress.bench.command",
    "cron": "stress.cron",
    "dashboard": "stress.dashboard.command",
    "limits": "stress.limits",
    "linger": "stress.linger",
    "metrics": "stress.metrics",
    "night": "stress.night.command",
    "peers": "stress.peers.command",
    "redrive": "stress.redrive",
    "report": "stress.report",
    "run": "stress.run",
    "scale": "stress.scale.command",
    "sweep": "stress.scale.sweep",
    "simulate": "stress.simulate",
    "wake": "stress.wake",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command


@click.command(cls=_Lazy)
def main() -> None:
    """Chaos runs, simulations and benchmarks of s3queue."""


if __name__ == "__main__":
    main()
