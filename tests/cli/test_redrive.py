"""``s3queue dead redrive`` and ``purge``, where nobody leads, and what is a mistake."""

from __future__ import annotations

import json

import pytest

from s3queue.core.keys import Layout
from s3queue.core.records import DeadLetter, Failure, LetterRequest, decode, encode
from s3queue.queue import Queue
from s3queue.store import Found, open_store
from tests.cli.conftest import Invoke

LAYOUT = Layout()


@pytest.fixture
def dead(url: str) -> str:
    """The id of a dead message."""
    store = open_store(url)
    message = str(Queue("mail", store).enqueue({"user": 1}))
    letter = DeadLetter("n", message, "mail", "send", 1, (Failure(1, "error", "boom"),), b"\x81\xa4user\x01", died_ms=1)
    store.put(LAYOUT.dead("mail", message), encode(letter), if_version=None)
    return message


def asked(url: str) -> list[LetterRequest]:
    store = open_store(url)
    found = [(item.key, store.get(item.key)) for item in store.list(LAYOUT.requests)]
    return [decode(LetterRequest, key, one.body) for key, one in found if isinstance(one, Found)]


def test_dry_run_counts_and_asks_for_nothing(
    s3queue: Invoke, url: str, dead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("dead", "redrive", "mail", "--all", "--dry-run", "--store", url) == 0
    assert capsys.readouterr().out == "mail: 1 dead letter would be redriven\n"
    assert s3queue("dead", "purge", "mail", "--task", "other", "--dry-run", "--json", "--store", url) == 0
    assert json.loads(capsys.readouterr().out) == {
        "queue": "mail",
        "found": 0,
        "done": 0,
        "refused": 0,
        "unreadable": 0,
    }
    assert asked(url) == []


def test_request_without_a_coordinator_stands_and_says_so(
    s3queue: Invoke, url: str, dead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("dead", "redrive", dead, "--payload", '{"user": 2}', "--timeout", "0", "--store", url) == 1
    said = capsys.readouterr().err
    assert "no host serves mail, so this waits for one, for up to 0 s" in said
    assert "no coordinator has answered; the request stands; 0 redriven so far" in said
    (request,) = asked(url)
    (chosen,) = request.letters
    assert (request.kind, request.queue, chosen.message, chosen.life) == ("redrive", "mail", dead, 1)
    assert chosen.payload == b"\x81\xa4user\x02"
    assert s3queue("dead", "purge", "mail", "--cause", "error", "--yes", "--timeout", "0", "--store", url) == 1
    assert [one.kind for one in asked(url)] == ["redrive", "purge_letters"]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (
            '{"user_id": 4712}',
            "task 'send': it takes no argument 'user_id' (it takes (user: int, subject: str = 'hello')",
        ),
        ('{"user": "4712"}', "task 'send': expected `int`, got `str` - at `$.user` (it takes (user: int"),
        ("{}", "task 'send': object missing required field `user` (it takes (user: int"),
        ("[4712]", "task 'send': expected `object`, got `array` (it takes (user: int"),
    ],
)
def test_payload_that_does_not_fit_the_task_is_refused_before_anything_is_asked(
    s3queue: Invoke, url: str, dead: str, jobs: str, payload: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--payload", payload, "--tasks", jobs, "--timeout", "0", "--store", url)
    assert s3queue("dead", "redrive", dead, *given) == 2
    assert why in capsys.readouterr().err
    assert asked(url) == []


def test_payload_that_fits_is_checked_and_one_of_an_unknown_task_is_said_not_to_be(
    s3queue: Invoke, url: str, dead: str, jobs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--timeout", "0", "--store", url)
    assert s3queue("dead", "redrive", dead, "--payload", '{"user_id": 4712}', *at) == 1
    said = "whether the payload fits is not checked: task 'send' is not known here (--tasks MODULE)"
    assert said in capsys.readouterr().err
    assert s3queue("dead", "redrive", dead, "--payload", '{"user": 4712}', "--tasks", jobs, *at) == 1
    assert "not checked" not in capsys.readouterr().err
    assert [one.letters[0].payload for one in asked(url)] == [
        b"\x81\xa7user_id\xcd\x12\x68",
        b"\x81\xa4user\xcd\x12\x68",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        ("mail", "--all", "--yes", "--tasks", "jobs"),
        ("mail",),
        ("mail", "--all", "--task", "send"),
        ("mail", "other", "--all"),
        ("mail", "--cause", "errr", "--yes"),
        ("mail", "--all"),
        ("mail", "--all", "--yes", "--rate", "0"),
        ("mail", "--all", "--yes", "--edit"),
        ("p00~in~mail~5~junk~0",),
    ],
)
def test_mistakes_are_told_and_ask_for_nothing(
    s3queue: Invoke, url: str, dead: str, wrong: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal, and without ``--yes``, too: nobody can be asked."""
    assert s3queue("dead", "redrive", *wrong, "--store", url) == 2
    assert capsys.readouterr().err
    assert asked(url) == []


def test_cause_that_there_is_not_is_refused_by_a_list(
    s3queue: Invoke, url: str, dead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("dead", "ls", "mail", "--cause", "errr", "--store", url) == 2
    assert "do you mean 'error'" in capsys.readouterr().err
