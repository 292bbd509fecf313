"""``s3queue cancel``."""

from __future__ import annotations

import click

from s3queue.cli.common import json_option, show_json, store_options, use

#: Answers that say that the message does not start any more, because of this.
_GOOD = frozenset({"cancelled", "absent", ""})


@click.command("cancel")
@click.argument("ids", metavar="ID", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="For people; kept with a message that had begun.")
@click.option(
    "--force-after",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="End the worker process of what still runs then.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for the answers.")
@click.option("--timeout", type=float, default=60.0, show_default=True, metavar="SECONDS", help="For how long to wait.")
@store_options
@json_option
def command(
    ids: tuple[str, ...],
    reason: str,
    force_after: float | None,
    no_wait: bool,
    timeout: float,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """See to it that messages do not start any more.

    What runs is told: an async task is cancelled, another one may ask its context. If it ends well all the same it is done,
    otherwise cancelled.

    Exit status 1: not all of them were cancelled; some had ended before, or no answer came within the time-out.
    """
    from s3queue.messages import MessageHandle

    store, config = use(store_url, config_file, namespace=namespace)
    answers: dict[str, str] = {}
    try:
        for handle in [MessageHandle(one, store, config=config) for one in ids]:
            try:
                answers[handle.id] = handle.cancel(
                    reason=reason, force_after=force_after, wait=not no_wait, timeout=timeout
                )
            except TimeoutError as late:
                answers[handle.id] = "no answer yet"
                click.echo(f"s3queue: {late}", err=True)
    finally:
        store.close()
    if as_json:
        show_json(answers)
    else:
        for one, answer in answers.items():
            click.echo(f"{one} {answer or 'asked'}")
    return 0 if set(answers.values()) <= _GOOD else 1
