from __future__ import annotations

import json

import pytest

from s3queue import Queue
from tests.cli.conftest import Invoke
from tests.tasks.test_looking import everywhere


@pytest.fixture
def ids(url: str) -> dict[str, str]:
    queue = Queue("mail", url)
    ids = everywhere(queue)
    queue.store.close()
    return ids


def test_people_see_state_task_and_history(
    s3queue: Invoke, url: str, ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("ls", "mail", "--store", url) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        ids[name] for name in ("ready", "waiting", "running", "fresh", "scheduled")
    ]
    assert lines[lines.index(ids["running"]) + 1].startswith("    running on web-1:77, send, attempt 3, sent 20")
    assert "    attempt 1 error: ValueError: no" in lines
    assert '    "fresh"' in lines
    assert told.err == ""


def test_programs_get_one_object_a_line(
    s3queue: Invoke, url: str, ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("ls", "mail", "--state", "waiting", "--json", "--store", url) == 0
    (told,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (told["id"], told["state"], told["payload"]) == (ids["waiting"], "waiting", 2)


def test_it_says_where_to_go_on(
    s3queue: Invoke, url: str, ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("ls", "mail", "--limit", "2", "--store", url) == 0
    told = capsys.readouterr()
    assert told.err == f"more: --after {ids['waiting']}\n"
    assert s3queue("ls", "mail", "--limit", "3", "--after", ids["waiting"], "--store", url) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == ids["running"]
    assert told.err == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["mail", "--task", "none"], "no messages in mail match the options"),
        (["mial"], "nothing was ever sent to a queue 'mial'"),
    ],
)
def test_none_is_said_as_such(
    s3queue: Invoke,
    url: str,
    ids: dict[str, str],
    args: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert s3queue("ls", *args, "--store", url) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err


@pytest.mark.parametrize("args", [["--state", "dead"], ["--limit", "0"], ["--after", "x"]])
def test_mistakes_are_told(
    s3queue: Invoke, url: str, ids: dict[str, str], args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("ls", "mail", *args, "--store", url) == 2
    assert capsys.readouterr().err.startswith("s3queue: ")
