"""``s3queue cron``, where nobody leads yet."""

from __future__ import annotations

import json

import pytest

from s3queue.core.keys import Layout
from s3queue.core.records import Board, Ticked, decode_batch, decode_message, encode
from s3queue.operate.schedules import Schedules
from s3queue.store import Found, Stored, open_store
from tests.cli.conftest import Invoke


def listed(s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert s3queue("cron", "ls", "--store", url, "--json") == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_schedule_is_set_shown_paused_resumed_and_removed(
    s3queue: Invoke, url: str, jobs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--store", url)
    when = ("--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--catch-up", "all", "--priority", "2")
    assert s3queue("cron", "set", "nightly", "jobs:send", "7", 'subject="hi"', *when, *at) == 0
    assert capsys.readouterr().out.startswith(
        "nightly  30 2 * * *  Europe/Berlin\n    mail:send, set, catch up all, last never"
    )
    (one,) = listed(s3queue, url, capsys)
    assert (one["queue"], one["task"], one["priority"], one["catch_up"], one["paused"]) == (
        "mail",
        "send",
        2,
        "all",
        False,
    )
    assert s3queue("cron", "pause", "nightly", "--for", "1h", *at) == 0
    (one,) = listed(s3queue, url, capsys)
    assert one["paused"] is True
    assert one["until"] is not None
    assert s3queue("cron", "pause", "nightly", *at) == 0
    (one,) = listed(s3queue, url, capsys)
    assert (one["until"], one["next"]) == (None, None)
    assert s3queue("cron", "resume", "nightly", *at) == 0
    (one,) = listed(s3queue, url, capsys)
    assert (one["paused"], one["next"] is None) == (False, False)
    assert s3queue("cron", "rm", "nightly", *at) == 0
    assert listed(s3queue, url, capsys) == []


def test_its_object_holds_the_call_and_an_edit_makes_another(s3queue: Invoke, url: str, jobs: str) -> None:
    for user in ("7", "8"):
        assert s3queue("cron", "set", "often", "jobs:send", user, "--every", "5m", "--store", url) == 0
    store, prefix = open_store(url), f"{Layout().root}/schedules/"
    keys = [item.key for item in store.list(prefix)]
    assert len(keys) == 2, "the old one is deleted by a coordinator"
    assert all(key.startswith(f"{prefix}often.") for key in keys)
    for key in keys:
        found = store.get(key)
        assert isinstance(found, Found)
        (message,) = decode_batch(key, found.body).messages
        assert decode_message(key, message).task == "send"


@pytest.mark.parametrize(
    "wrong",
    [
        ("set", "x", "jobs:send", "7"),
        ("set", "x", "jobs:send", "7", "--every", "5m", "--cron", "* * * * *"),
        ("set", "x", "jobs:send", "7", "--every", "0.5"),
        ("set", "x", "jobs:send", "7", "--every", "60", "--tz", "UTC"),
        ("set", "x", "jobs:send", "7", "--cron", "61 * * * *"),
        ("set", "x", "jobs:send", "7", "--cron", "* * * * *", "--tz", "Mars/Olympus"),
        ("set", "x", "jobs:send", "--every", "60"),
        ("set", "x/y", "jobs:send", "7", "--every", "60"),
        ("set", "x", "--queue", "raw", "1", "2", "--every", "60"),
        ("set", "x", "--every", "60"),
        ("pause", "x"),
        ("resume", "x"),
        ("rm", "x"),
        ("pause", "x", "--until", "2001-01-01"),
    ],
)
def test_mistake_is_told_and_nothing_is_stored(s3queue: Invoke, url: str, jobs: str, wrong: tuple[str, ...]) -> None:
    assert s3queue("cron", *wrong, "--store", url) == 2
    assert list(open_store(url).list("")) == []


def test_first_look_of_a_coordinator_is_no_tick(s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--store", url)
    assert s3queue("cron", "set", "yearly", "--queue", "raw", "1", "--cron", "0 0 1 1 *", *at) == 0
    store = open_store(url)
    (one,) = Schedules(store)._control().schedules.values()
    seen = Board("n", 1, schedules={"yearly": Ticked(one.revision, 1_700_000_000_000)})
    first = store.put(Layout().board, encode(seen), if_version=None)
    assert isinstance(first, Stored)
    assert [listed(s3queue, url, capsys)[0]["last"]] == [None]
    ticked = Board("n", 1, schedules={"yearly": Ticked(one.revision, 1_700_000_000_000, ran_ms=1_600_000_000_000)})
    store.put(Layout().board, encode(ticked), if_version=first.version)
    assert str(listed(s3queue, url, capsys)[0]["last"]).startswith("2020-09-13T12:26:40")


def test_run_without_a_coordinator_stands_and_is_not_said_to_be_done(s3queue: Invoke, url: str) -> None:
    assert s3queue("cron", "run", "x", "--timeout", "0", "--store", url) == 1
    assert len(list(open_store(url).list(Layout().requests))) == 1
