"""The command line: ``s3queue COMMAND``. For people by default, for programs with ``--json``.

A command is imported when it is called, so ``s3queue --help`` loads none of them. An error is one line on stderr, with
what to do about it; the exit status tells its kind.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from s3queue.errors import ConfigError, EnqueueUncertain, QueueError, StoreDenied, StoreUnavailable, StoreUnsupported

__all__ = ["main"]

#: Exit statuses of all commands: done; done, with a negative answer.
OK, BAD_NEWS = 0, 1
#: The caller's mistake: arguments, settings, a module that cannot be imported.
MISTAKE = 2
#: The store refuses: credentials, permissions, no such bucket or file; or it cannot keep the promises of a queue.
REFUSED = 3
#: The store cannot be reached.
UNREACHABLE = 4
#: Drained, but messages died here: ``run --fail-on-dead``.
LETTERS = 5
#: Ended by a signal before the work was done.
INTERRUPTED = 130
#: The reader of the output has closed the pipe.
UNREAD = 141
#: Errors of a full file system.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: The commands, with a line about each; the module of a command defines `command`.
COMMANDS = {
    "run": "Serve queues: start workers and keep them running.",
    "enqueue": "Put messages into a queue.",
    "pause": "Stop starting messages of a queue.",
    "resume": "Resume a paused queue.",
    "limit": "Limit how many messages of a queue run.",
    "stats": "Show the queues, and the hosts that serve them.",
    "top": "Watch queues, hosts and their store requests.",
    "message": "Show the state of a message.",
    "result": "Wait for a message, and print what its task returned.",
    "cancel": "Cancel messages.",
    "run-now": "Start messages now that are scheduled or wait for a retry.",
    "purge": "Remove all messages of a queue.",
    "delete": "Remove a queue with its messages, dead letters and settings.",
    "ls": "List the messages of a queue.",
    "cron": "Show and change schedules.",
    "dead": "Show, redrive and remove dead letters.",
    "exporter": "Serve metrics of a namespace, without workers.",
    "dashboard": "Serve web pages of queues, messages, dead letters and hosts.",
    "policy": "Print the S3 policy that a program needs.",
    "config": "Show the effective settings and where each came from.",
    "board": "Restore a board that was deleted while hosts ran.",
    "doctor": "Check that a store keeps the promises that a queue needs.",
    "completion": "Print a script that completes commands and options in a shell.",
    "demo": "Watch workers drain a queue while some are killed, and audit the result.",
}


class _Unread(Exception):
    """The reader of the output has closed the pipe."""


class _Commands(click.Group):
    """Commands by name, imported on demand."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as closed:  # click would end with exit status 1
            raise _Unread from closed

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(COMMANDS)
            raise ConfigError(f"no command {cmd_name!r}", hint)
        command: click.Command = importlib.import_module(f"s3queue.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="s3queue")
def cli() -> None:
    """A distributed work queue whose only infrastructure is a bucket."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command, and exit."""
    _end_as_others_do()
    if sys.path[:1] in ([""], [os.getcwd()]):
        # python -c and -m look for everything in the working directory first. A user's queue.py is not the standard
        # library's, which we import.
        sys.path.append(sys.path.pop(0))
    sys.exit(_run(cli, args))


def _end_as_others_do() -> None:
    """Let SIGTERM end this process also where it is the first one of a container, until a command sets another handler.
    The kernel passes only handled signals to such a process, so a signal that comes while modules are imported would be
    lost.
    """
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))


def _run(command: click.Command, args: Sequence[str] | None) -> int:
    try:
        status = _status(command, args)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a closed pipe can still be reported
    except (BrokenPipeError, _Unread):
        # The reader has seen enough.
        _write_no_more()
        return UNREAD
    except OSError as fault:
        if fault.errno not in _FULL:
            raise
        _write_no_more()
        return complain(f"cannot write: {fault.strerror}", status=BAD_NEWS)
    return status


def _write_no_more() -> None:
    """Send the rest of the output nowhere: the flush at exit must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _status(command: click.Command, args: Sequence[str] | None) -> int:
    try:
        status: Any = command.main(
            args=None if args is None else list(args), prog_name="s3queue", standalone_mode=False
        )
    except click.UsageError as wrong:
        if type(wrong).__name__ == "NoArgsIsHelpError" and wrong.ctx:  # click from 8.2 on; before, it printed the help
            click.echo(wrong.ctx.get_help())
            return OK
        path = wrong.ctx.command_path if wrong.ctx else _path(command, sys.argv[1:] if args is None else args)
        hint = f"see {path} --help"
        if isinstance(wrong, click.NoSuchOption) and not wrong.possibilities:
            hint = f"write -- before a value that begins with -; {hint}"
        return complain(wrong.format_message().rstrip("."), hint)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.Abort, KeyboardInterrupt) as end:
        uncertain = EnqueueUncertain.behind(end)
        return INTERRUPTED if uncertain is None else complain(str(uncertain), status=INTERRUPTED)
    except ConfigError as wrong:
        return complain(wrong.message, wrong.hint)
    except StoreUnavailable as fault:
        hint = fault.hint or "is it running, and is the URL right?"
        return complain(f"the store cannot be reached: {fault.message}", hint, UNREACHABLE)
    except StoreDenied as fault:
        hint = fault.hint or "check the URL, and the permissions or credentials"
        is_file = fault.operation == "open"
        what = f"cannot open {fault.key}: {fault.why}" if is_file else f"the store refuses us: {fault.message}"
        return complain(what, hint, REFUSED)
    except StoreUnsupported as fault:
        return complain(fault.why, "s3queue doctor URL shows all that was checked", REFUSED)
    except EnqueueUncertain as fault:
        return complain(
            str(fault),
            "s3queue stats shows what is stored; enqueue it again only if a duplicate does no harm",
            BAD_NEWS,
        )
    except QueueError as fault:
        return complain(str(fault), status=BAD_NEWS)
    return status if isinstance(status, int) else OK


def _path(command: click.Command, args: Sequence[str]) -> str:
    """The command that was meant. click does not name it in the error for an option without its value."""
    path = "s3queue"
    for arg in args:
        if not isinstance(command, click.Group) or arg not in command.list_commands(click.Context(command)):
            break
        found = command.get_command(click.Context(command), arg)
        assert found is not None
        path, command = f"{path} {arg}", found
    return path


def complain(what: str, hint: str = "", status: int = MISTAKE) -> int:
    """Print one line on stderr. Returns the exit status."""
    line = f"s3queue: {what} ({hint})" if hint else f"s3queue: {what}"
    click.echo(" ".join(line.split()), err=True)
    return status
