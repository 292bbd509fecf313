"""``s3queue cancel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from s3queue.cli.common import confirm, show_json, use
from s3queue.cli.options import ending_options, json_option, no_wait_option, store_options, timeout_option, yes_option
from s3queue.errors import ConfigError
from s3queue.words import plural

if TYPE_CHECKING:
    from s3queue.config import Config
    from s3queue.operate.looking import State
    from s3queue.operate.steering import Changed
    from s3queue.store import ObjectStore

#: Explanations of answers that do not explain themselves.
_WHY = {
    "over": "it had ended before",
    "absent": "there was no such message; it is refused should it still arrive",
    "later": "too many cancelled messages of its batch wait for their turn: do it again",
}
#: For an absent message of a batch: the batch may still arrive.
_ABSENT_BATCH = "its batch is not there: it has ended, or was never stored; should it still arrive, cancel it again"
#: Answers after which the message does not start any more, because of this request.
_GOOD = frozenset({"cancelled", "absent", "purged", ""})


@click.command("cancel")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--queue", metavar="QUEUE", help="Cancel the messages of this queue, instead of naming ids.")
@click.option("--task", metavar="NAME", help="With --queue: only messages of this task.")
@click.option(
    "--state",
    type=click.Choice(["ready", "scheduled", "running", "waiting"]),
    help="With --queue: only messages in this state.",
)
@click.option("--dry-run", is_flag=True, help="With --queue: only count them.")
@yes_option
@ending_options
@no_wait_option("Do not wait for answers.")
@timeout_option(60.0)
@store_options
@json_option
def command(
    ids: tuple[str, ...],
    queue: str | None,
    task: str | None,
    state: State | None,
    dry_run: bool,
    yes: bool,
    reason: str,
    force_after: float | None,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Cancel messages, named by their ids or by their queue: they do not start any more.

    A running async task gets a CancelledError; a running sync task can check ctx.cancelled. If the task returns all the
    same, its message is done, otherwise it is cancelled.

    Exit status 1: not all of them were cancelled. Some had ended before, or no answer came within the time-out.
    """
    if bool(ids) == (queue is not None) or (ids and (task or state or dry_run)):
        raise ConfigError(
            "name messages by their ids, or a queue with --queue", "--task, --state and --dry-run need --queue"
        )
    store, config = use(store_url, config_file, namespace=namespace)
    try:
        if queue is None:
            return _some(ids, store, config, reason, force_after, not no_wait, timeout, as_json)
        return _many(
            queue, store, config, task, state, dry_run, yes, reason, force_after, not no_wait, timeout, as_json
        )
    finally:
        store.close()


def _some(
    ids: tuple[str, ...],
    store: ObjectStore,
    config: Config,
    reason: str,
    force_after: float | None,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> int:
    from s3queue.messages import MessageHandle

    answers: dict[str, str] = {}
    for handle in [MessageHandle(one, store, config=config) for one in ids]:
        try:
            answers[handle.id] = handle.cancel(reason=reason, force_after=force_after, wait=wait, timeout=timeout)
        except TimeoutError as late:
            answers[handle.id] = "no answer yet"
            click.echo(f"s3queue: {late}", err=True)
    if as_json:
        show_json(answers)
    else:
        for one, answer in answers.items():
            click.echo(f"{one} {answer or 'asked'}")
            if why := _why(one, answer):
                click.echo(f"s3queue: {answer}: {why}", err=True)
    return 0 if all(answer in _GOOD and _why(one, answer) != _ABSENT_BATCH for one, answer in answers.items()) else 1


def _why(message: str, answer: str) -> str:
    from s3queue.core.keys import parse_message_id, parse_source

    if answer == "absent" and parse_source(parse_message_id(message).path).count > 1:
        return _ABSENT_BATCH
    return _WHY.get(answer, "")


def _many(
    name: str,
    store: ObjectStore,
    config: Config,
    task: str | None,
    state: State | None,
    dry_run: bool,
    yes: bool,
    reason: str,
    force_after: float | None,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> int:
    from s3queue.operate.steering import Changed
    from s3queue.queue import Queue

    queue, told = Queue(name, store, config=config), Changed(0)

    def progress(changed: Changed) -> None:
        nonlocal told
        told = changed
        if not as_json and not dry_run:
            click.echo(f"{changed.found:,} so far", err=True)

    if dry_run or not yes:
        told = queue.cancel(state=state, task=task, dry_run=True)
        if dry_run:
            show_json(told) if as_json else click.echo(f"would cancel {_states(told)} of {name}")
            return 0
        confirm(f"Cancel {_states(told)} of {name}?", yes)
    try:
        told = queue.cancel(
            state=state,
            task=task,
            reason=reason,
            force_after=force_after,
            wait=wait,
            timeout=timeout,
            progress=progress,
        )
    except TimeoutError as late:
        click.echo(f"s3queue: {late}", err=True)
        show_answers(told, as_json)
        return 1
    show_answers(told, as_json)
    return 0 if set(told.answers) <= _GOOD | {"running"} else 1


def _states(changed: Changed) -> str:
    of = ", ".join(f"{many:,} {state}" for state, many in sorted(changed.states.items()))
    return f"{plural(changed.found, 'message')} ({of})" if of else "0 messages"


def show_answers(changed: Changed, as_json: bool) -> None:
    """Print the answers about several messages."""
    if as_json:
        show_json(changed)
        return
    for answer, many in sorted(changed.answers.items()):
        click.echo(f"{many:>9,}  {answer}")
    if not changed.found:
        click.echo("no such messages", err=True)
