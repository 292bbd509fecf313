"""``s3queue pause``, ``resume``, ``cancel``, ``run-now`` and ``message``, where nobody leads yet."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from s3queue.cli.cancel import _why
from s3queue.core.keys import Layout, parse_message_id
from s3queue.core.records import Board, Failure, Ledger, Offer, Result, SourceState, Waiting, encode, encode_result
from s3queue.queue import Queue
from s3queue.store import open_store
from tests.cli.conftest import Invoke


@pytest.fixture
def message(url: str) -> str:
    return str(Queue("raw", open_store(url)).enqueue(1, delay=3600))


def test_queue_is_paused_and_resumed_and_stats_says_so(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("pause", "raw", "--store", url, "--for", "600") == 0
    assert capsys.readouterr().out.startswith("raw is paused until ")
    assert s3queue("stats", "--store", url) == 0
    assert "paused: raw" in capsys.readouterr().out
    assert s3queue("resume", "raw", "--store", url) == 0
    assert s3queue("stats", "--store", url) == 0
    assert "paused: raw" not in capsys.readouterr().out


def test_task_is_paused_and_resumed_and_stats_says_so(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("pause", "raw", "--task", "send", "--store", url) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("send of raw is paused\n", "")
    assert s3queue("stats", "--store", url) == 0
    assert "paused: send of raw; s3queue resume raw --task send" in capsys.readouterr().out
    assert s3queue("resume", "raw", "--store", url) == 0
    assert s3queue("stats", "--store", url) == 0
    assert "paused: send of raw" in capsys.readouterr().out
    assert s3queue("resume", "raw", "--task", "send", "--store", url) == 0
    assert "send of raw is resumed" in capsys.readouterr().out
    assert s3queue("stats", "--store", url) == 0
    assert "paused:" not in capsys.readouterr().out


def test_task_that_no_host_knows_is_told_to_be_one(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger("n", "h1", slots=1, offers={"raw": Offer(tasks={"send": "aa", "scan": "bb"})})
    open_store(url).put(Layout().host("h1"), encode(ledger), if_version=None)
    assert s3queue("pause", "raw", "--task", "snd", "--store", url) == 0
    told = capsys.readouterr()
    assert told.out == "snd of raw is paused\n"
    assert told.err == "s3queue: no host knows a task 'snd' of queue 'raw'; they know scan, send (is that its name?)\n"
    assert s3queue("pause", "raw", "--task", "send", "--store", url) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "wrong",
    [
        ("--until", "tomorrow"),
        ("--until", "2001-01-01"),
        ("--for", "5", "--until", "2090-01-01"),
        ("--idle", "--no-wait"),
    ],
)
def test_pause_until_what_is_no_time_to_come_is_a_mistake(s3queue: Invoke, url: str, wrong: tuple[str, ...]) -> None:
    assert s3queue("pause", "raw", "--store", url, *wrong) == 2
    assert list(open_store(url).list("")) == []


def test_message_is_shown_and_an_unknown_one_is_bad_news(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("message", message, "--store", url) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [shown[0], *(line.split()[0] for line in shown[1:])] == [
        "scheduled", "queue", "attempt", "sent", "due", "payload",
    ]  # fmt: skip
    assert s3queue("message", message, "--store", url, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {name: told[name] for name in ("id", "queue", "status", "attempt", "failures", "host", "progress")} == {
        "id": message, "queue": "raw", "status": "scheduled", "attempt": 1, "failures": [], "host": "", "progress": None,
    }  # fmt: skip
    other = message.replace("-raw~", "-other~")
    assert s3queue("message", other, "--store", url) == 1
    assert s3queue("message", "nonsense", "--store", url) == 2


def test_failed_attempts_of_a_message_are_shown_with_host_and_fencing_token(
    s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store, layout = open_store(url), Layout()
    message = str(Queue("raw", store).enqueue({"user": 7}))
    path = parse_message_id(message).path
    lost = Failure(1, "lost", "its host fell silent", 1, "web-1:71", "1-4")
    failed = Failure(2, "error", "boom", 2, most=5)
    state = SourceState(waiting=(Waiting(0, 3, 4_000_000_000_000),), failures={0: (lost, failed)})
    store.put(layout.board, encode(Board("n", 1, sources={path: state})), if_version=None)
    assert s3queue("message", message, "--store", url) == 0
    out = capsys.readouterr().out
    assert out.startswith("waiting\n")
    assert "attempt  3 of 5\n" in out
    assert ", on web-1:71, fencing token 4294967300\n    lost: its host fell silent\n" in out
    assert "attempt 2, 1970-01-01" in out
    assert s3queue("message", message, "--store", url, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["cause"], one["host"], one["fencing_token"]) for one in told["failures"]] == [
        ("lost", "web-1:71", 4294967300),
        ("error", "", None),
    ]
    assert (told["attempt"], told["preview"]) == (3, '{"user":7}')


def test_request_without_a_coordinator_stands_and_is_not_said_to_be_done(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("cancel", message, "--store", url, "--timeout", "0") == 1
    assert capsys.readouterr().out == f"{message} no answer yet\n"
    assert s3queue("cancel", message, "--store", url, "--no-wait") == 0
    assert capsys.readouterr().out == f"{message} asked\n"
    assert s3queue("run-now", message, "--store", url, "--timeout", "0") == 1
    requests = [item.key for item in open_store(url).list("s3queue/p00/do/")]
    assert len(requests) == 3


def test_result_of_a_message_that_has_not_ended_is_bad_news(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("result", message, "--timeout", "0", "--store", url, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "waiting"


def test_result_is_printed_as_json(s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    store, layout = open_store(url), Layout()
    result = Result("n", message, "1-0", Raw(msgspec.msgpack.encode({"n": 1})), 10**13)
    store.put(layout.result(message), encode_result(result), if_version=None)
    store.put(layout.board, encode(Board("b", epoch=1, sequence=1)), if_version=None)
    assert s3queue("result", message, "--store", url) == 0
    assert capsys.readouterr().out == '{"n":1}\n'


def test_messages_of_a_queue_are_counted_before_they_are_cancelled(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Queue("raw", open_store(url)).enqueue(2)
    assert s3queue("cancel", "--queue", "raw", "--dry-run", "--store", url) == 0
    assert capsys.readouterr().out == "would cancel 2 messages (1 ready, 1 scheduled) of raw\n"
    assert s3queue("cancel", "--queue", "raw", "--state", "ready", "--dry-run", "--json", "--store", url) == 0
    assert json.loads(capsys.readouterr().out) == {"found": 1, "states": {"ready": 1}, "answers": {}}
    assert s3queue("run-now", "--queue", "raw", "--dry-run", "--store", url) == 0
    assert capsys.readouterr().out == "would start 1 message of raw\n"
    assert list(open_store(url).list("s3queue/p00/do/")) == []


@pytest.mark.parametrize("words", [("cancel", "--queue", "raw"), ("purge", "raw"), ("delete", "raw")])
def test_many_messages_are_ended_only_by_who_says_yes(
    s3queue: Invoke, url: str, message: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert s3queue(*words, "--store", url) == 2
    assert "--yes" in capsys.readouterr().err
    assert list(open_store(url).list("s3queue/p00/do/")) == []
    assert s3queue(*words, "--yes", "--timeout", "0", "--store", url) == 1
    assert "no coordinator has answered" in capsys.readouterr().err
    assert len(list(open_store(url).list("s3queue/p00/do/"))) == 1


def test_absent_message_of_a_batch_is_told_to_hold_nothing(url: str, message: str) -> None:
    (one, _) = Queue("raw", open_store(url)).enqueue_many([1, 2])
    assert "refused should it still arrive" in _why(message, "absent")
    assert _why(one, "absent").endswith("should it still arrive, cancel it again")
    assert (_why(one, "cancelled"), _why(one, "over")) == ("", "it had ended before")


@pytest.mark.parametrize("words", [(), ("--task", "x"), ("ID", "--queue", "raw"), ("ID", "--dry-run")])
def test_cancel_of_messages_and_of_a_queue_at_once_is_a_mistake(
    s3queue: Invoke, url: str, words: tuple[str, ...]
) -> None:
    assert s3queue("cancel", *words, "--store", url) == 2


@pytest.mark.parametrize("line", ["pause mial --no-wait", "limit set mial --running 3 --no-wait"])
def test_setting_of_a_queue_that_nobody_has_sent_to_names_the_queue(
    s3queue: Invoke, url: str, message: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue(*line.split(), "--store", url) == 0
    assert "nothing was ever sent to a queue 'mial'" in capsys.readouterr().err
    assert s3queue(*line.replace("mial", "raw").split(), "--store", url) == 0
    assert capsys.readouterr().err == ""
