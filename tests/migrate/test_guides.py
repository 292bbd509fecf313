"""What the tables of the guides name of s3queue is there: commands, options, functions, methods, arguments, settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import s3queue
from s3queue.cli import cli
from s3queue.config import Config
from s3queue.options.batching import TaskOptions

ROOT = Path(__file__).parents[2]
GUIDES = ("celery", "rq", "dramatiq", "sqs")
#: What stands before a dot in the guides.
OWNERS = {
    "s3queue": s3queue,
    "ctx": s3queue.Context,
    "message": s3queue.MessageId,
    "message(id)": s3queue.MessageHandle,
    'Queue("mail")': s3queue.Queue,
    'Queue("orders")': s3queue.Queue,
    "send": s3queue.Task,
    "take": s3queue.Task,
}
CALLS = (
    *(
        s3queue.task,
        s3queue.handler,
        s3queue.Task.options,
        s3queue.Queue,
        s3queue.Queue.enqueue,
        s3queue.MessageId.result,
    ),
    *(
        s3queue.MessageHandle.cancel,
        s3queue.configure,
        s3queue.Backoff,
        s3queue.Limit,
        s3queue.Retry,
        s3queue.Context.nack,
    ),
)
ARGUMENTS = {"store", *TaskOptions.__annotations__}.union(*(inspect.signature(one).parameters for one in CALLS))


def rows(guide: str) -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "migrate" / f"{guide}.md").read_text("utf-8")
    table = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)
    return table[1:]


def spans(guide: str) -> Iterator[str]:
    for _, here in rows(guide):
        yield from re.findall(r"`([^`]+)`", here)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_maps_twenty_things(guide: str) -> None:
    assert len(rows(guide)) >= 20


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_and_options_of_a_guide_exist(guide: str) -> None:
    named = [span.split() for span in spans(guide) if span.startswith("s3queue ")]
    assert named
    for _, *words in named:
        command: click.Command = cli
        while words and isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None
            command = found
        known = {flag for one in command.params for flag in one.opts}
        assert [word for word in words if word.startswith("--") and word not in known] == [], command.name


@pytest.mark.parametrize("guide", GUIDES)
def test_names_of_a_guide_exist(guide: str) -> None:
    found = 0
    for span in spans(guide):
        for owner, what in OWNERS.items():
            for name in re.findall(
                rf"(?<![\w.]){re.escape(owner)}\.(\w+)", span.replace("s3queue.message(id)", "message(id)")
            ):
                assert hasattr(what, name) or name in getattr(what, "__slots__", ()), span
                found += 1
    assert found >= 10


@pytest.mark.parametrize("guide", GUIDES)
def test_arguments_and_settings_of_a_guide_exist(guide: str) -> None:
    known = ARGUMENTS | set(Config.__struct_fields__)
    named = [
        name
        for span in spans(guide)
        if not span.startswith(("s3queue ", "--"))
        for name in re.findall(r"(?<![\w.\"-])([a-z_]+)=", re.sub(r"timedelta\(.*?\)", "", span))
    ]
    assert len(named) >= 10
    assert [name for name in named if name not in known] == []
    bare = {span for span in spans(guide) if re.fullmatch(r"[a-z]+_[a-z_]+", span)}
    assert bare <= set(Config.__struct_fields__) | {
        "before_enqueue",
        "after_enqueue",
        "enqueue_stream",
        "task_queue",
        "enqueue_on_commit",
    }
