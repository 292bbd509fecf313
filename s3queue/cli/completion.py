"""``s3queue completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from s3queue.errors import ConfigError

#: Shells for which click can write a script.
_SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print a script that completes commands and options.

    \b
    s3queue completion bash > ~/.local/share/bash-completion/completions/s3queue
    s3queue completion zsh > "${fpath[1]}/_s3queue"
    s3queue completion fish > ~/.config/fish/completions/s3queue.fish
    """
    from s3queue.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise ConfigError(f"no completion for {shell}", "known: " + ", ".join(_SHELLS))
    click.echo(kind(cli, {}, "s3queue", "_S3QUEUE_COMPLETE").source())
