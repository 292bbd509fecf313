from __future__ import annotations

import json
from typing import Any

import pytest

from s3queue import Queue, open_store
from s3queue.core.records import Failure
from s3queue.store import Found
from tests.cli.conftest import Invoke
from tests.tasks.test_letters import bury, send


@pytest.fixture
def ids(url: str) -> list[str]:
    """Three letters: two of one error, one that hides escapes."""
    store = open_store(url)
    queue = Queue("mail", store)
    ids = [*send(queue, "send", {"user": 1}, {"user": 2}), *send(queue, "bill", {"sum": 3})]
    for number, message in enumerate(ids[:2]):
        bury(store, message, Failure(3, "error", f"Traceback\n  in f\nValueError: no user {number}\n", 1))
    bury(store, ids[2], Failure(1, "rejected", "\x1b[31mred\x07", 1))
    store.close()
    return ids


class TestList:
    def test_people_see_what_failed_and_why(
        self, s3queue: Invoke, url: str, ids: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "ls", "mail", "--store", url) == 0
        out = capsys.readouterr().out
        assert [line for line in out.splitlines() if not line.startswith(" ")] == ids
        assert "    send, attempt 3, " in out
        assert "    error: ValueError: no user 1\n" in out
        assert '    {"user":2}\n' in out
        assert "\x1b" not in out
        assert r"rejected: \x1b[31mred\x07" in out

    def test_programs_get_one_object_a_line(
        self, s3queue: Invoke, url: str, ids: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "ls", "mail", "--task", "send", "--json", "--store", url) == 0
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [one["id"] for one in told] == ids[:2]
        assert told[0]["payload"] == {"user": 1}
        assert told[0]["failures"][0]["cause"] == "error"

    def test_it_says_where_to_go_on(
        self, s3queue: Invoke, url: str, ids: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "ls", "mail", "--limit", "2", "--store", url) == 0
        told = capsys.readouterr()
        assert ids[2] not in told.out
        assert told.err == f"more: --after {ids[1]}\n"
        assert s3queue("dead", "ls", "mail", "--after", ids[1], "--store", url) == 0
        told = capsys.readouterr()
        assert told.out.splitlines()[0] == ids[2]
        assert told.err == ""

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["mail", "--cause", "oom"], "no dead letters in mail match the options"),
            (["raw"], "no dead letters in raw"),
            (["mial"], "nothing was ever sent to a queue 'mial'"),
        ],
    )
    def test_none_is_said_as_such(
        self, s3queue: Invoke, url: str, ids: list[str], args: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Queue("raw", url).enqueue(1)
        assert s3queue("dead", "ls", *args, "--store", url) == 0
        told = capsys.readouterr()
        assert (told.out, said in told.err) == ("", True)

    @pytest.mark.parametrize(("since", "many"), [("1d", 0), ("2000-01-01", 3), ("2000-01-01T00:00+02:00", 3)])
    def test_since_takes_a_span_or_a_time(
        self, s3queue: Invoke, url: str, ids: list[str], since: str, many: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = open_store(url)  # they died in 2027
        now = Queue("mail", store)
        assert len(list(now.dead_letters())) == 3
        if many == 0:
            for item in store.list("s3queue/dead/"):
                found = store.get(item.key)
                assert isinstance(found, Found)
                old = found.body.replace(b'"died_ms":1800000000000', b'"died_ms":1000')
                store.put(item.key, old, if_version=found.version)
        assert s3queue("dead", "ls", "mail", "--since", since, "--json", "--store", url) == 0
        assert len(capsys.readouterr().out.splitlines()) == many

    @pytest.mark.parametrize("since", ["yesterday", "99999999999d", "d", "-1h"])
    def test_what_is_no_time_is_a_mistake(
        self, s3queue: Invoke, url: str, ids: list[str], since: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "ls", "mail", f"--since={since}", "--store", url) == 2
        assert "not a time" in capsys.readouterr().err


class TestGroups:
    def test_the_most_frequent_comes_first(
        self, s3queue: Invoke, url: str, ids: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "groups", "mail", "--store", url) == 0
        first, seen, second, _ = capsys.readouterr().out.splitlines()
        assert first.split() == ["2", "send", "error:", "ValueError:", "no", "user", "1"]
        assert seen.endswith(f"last {ids[1]}")
        assert second.split()[:2] == ["1", "bill"]

    def test_programs_get_all_of_it(
        self, s3queue: Invoke, url: str, ids: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "groups", "mail", "--json", "--store", url) == 0
        told: list[Any] = json.loads(capsys.readouterr().out)
        assert [(one["task"], one["count"], one["example"]) for one in told] == [
            ("send", 2, ids[1]),
            ("bill", 1, ids[2]),
        ]


class TestShow:
    def test_people_see_history_and_payload(
        self, s3queue: Invoke, url: str, ids: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "show", ids[0], "--store", url) == 0
        out = capsys.readouterr().out
        assert "task     send\n" in out
        assert "    ValueError: no user 0\n" in out
        assert 'payload\n{\n  "user": 1\n}\n' in out

    def test_programs_get_one_object(
        self, s3queue: Invoke, url: str, ids: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("dead", "show", ids[2], "--json", "--store", url) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["id"], told["payload"], told["cause"]) == (ids[2], {"sum": 3}, "rejected")

    def test_what_cannot_be_decoded_is_shown_as_base64(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = open_store(url)
        (message,) = send(Queue("mail", store), "send", 1)
        bury(store, message, Failure(1, "corrupt", "not a batch"), body=Found(b"\xc1", "v"))
        assert s3queue("dead", "show", message, "--store", url) == 0
        assert "1 bytes, as base64:\nwQ==\n" in capsys.readouterr().out

    def test_message_that_is_not_dead_is_bad_news(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message = Queue("mail", url).enqueue(1)
        assert s3queue("dead", "show", message, "--store", url) == 1
        assert "no dead letter" in capsys.readouterr().err

    def test_what_is_no_id_is_a_mistake(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert s3queue("dead", "show", "mail", "--store", url) == 2
        assert "not the id of a message" in capsys.readouterr().err
