from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, open_store, stats
from s3queue.core.keys import Layout, parse_message_id, parse_source
from s3queue.store import Conflict, Found, Stored
from tests.cli.conftest import Invoke, answer


class TestEnqueue:
    def test_arguments_are_json_by_place_or_by_name(
        self, s3queue: Invoke, url: str, jobs: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("enqueue", "jobs:send", "7", 'subject="a = b"', "--store", url, "--json") == 0
        printed = answer(capsys)
        assert printed["queue"] == "mail"
        assert len(printed["ids"]) == 1
        assert printed["requests"] == {"put": 2, "get": 1, "list": 0, "delete": 0}

    def test_a_task_is_found_by_its_name_too(self, s3queue: Invoke, url: str, jobs: str) -> None:
        assert s3queue("enqueue", "jobs:renamed", "--store", url) == 0
        assert s3queue("enqueue", "jobs:take", '{"n": 1}', "--store", url) == 0

    def test_raw_messages_each_have_an_id(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert s3queue("enqueue", "--queue", "raw", '{"n": 1}', "2", "null", "--store", url) == 0
        assert len(capsys.readouterr().out.split()) == 3
        queue = Queue("raw", url)
        assert queue.stats(exact=True).ready == 3
        queue.store.close()

    def test_lines_on_stdin_are_calls(
        self, s3queue: Invoke, url: str, jobs: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO('[1]\n\n{"user": 2, "subject": "x"}\n'))
        assert s3queue("enqueue", "jobs:send", "--stdin", "--store", url, "--json") == 0
        assert len(answer(capsys)["ids"]) == 2
        monkeypatch.setattr("sys.stdin", io.StringIO("5\n"))
        assert s3queue("enqueue", "jobs:send", "--stdin", "--store", url) == 2

    def test_json_that_is_nested_too_deep_is_one_clear_line(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("1\n" + "[" * 100_000 + "\n"))
        assert s3queue("enqueue", "--queue", "raw", "--stdin", "--store", url) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "line 2: not JSON" in line

    def test_line_of_stdin_ends_with_a_newline_and_with_nothing_else(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = '\ufeff"a\u2028b\x85c\x0b"\r\n\n"d"'
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "latin-1"))
        if "\x0b" in text:  # which JSON itself does not allow in a string
            assert s3queue("enqueue", "--queue", "raw", "-", "--store", url) == 2
            assert "line 1: not JSON" in capsys.readouterr().err
        text = text.replace("\x0b", "")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "latin-1"))
        assert s3queue("enqueue", "--queue", "raw", "--stdin", "--store", url, "--json") == 0
        assert len(answer(capsys)["ids"]) == 2
        queue = Queue("raw", url)
        (batch,) = queue.store.list(Layout().inbox)
        found = queue.store.get(batch.key)
        assert isinstance(found, Found)
        assert "a\u2028b\x85c".encode() in found.body
        queue.store.close()

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (b'{"n": ', "line 3: not JSON"),
            (b"5", "line 3: not the arguments of a call"),
            (b'["x"]', "line 3: task 'send': expected `int`, got `str`"),
            (b"[]", "line 3: task 'send': missing a required argument"),
            (b'"\xff"', "line 3: not JSON"),
            (b'"' + b"x" * 10_000, "line 3: not JSON"),
        ],
    )
    def test_wrong_line_of_stdin_is_named_by_its_number(
        self,
        line: bytes,
        words: str,
        s3queue: Invoke,
        url: str,
        jobs: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[1]\n\n" + line + b"\n[2]\n")))
        assert s3queue("enqueue", "jobs:send", "-", "--store", url) == 2
        told = capsys.readouterr().err
        assert words in told
        assert told.count("\n") == 1
        assert len(told) < 500
        assert stats(open_store(url), exact=True).queues == {}

    def test_interrupted_it_says_what_may_be_stored(
        self,
        s3queue: Invoke,
        url: str,
        jobs: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        put = SqliteStore.put

        def then_ctrl_c(store: SqliteStore, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            outcome = put(store, key, body, if_version=if_version)
            if key.startswith(Layout().inbox):
                raise KeyboardInterrupt
            return outcome

        monkeypatch.setattr(SqliteStore, "put", then_ctrl_c)
        assert s3queue("enqueue", "jobs:send", "1", "--store", url) == 130
        told = capsys.readouterr()
        assert "message p00~in~mail~" in told.err
        assert "may or may not be stored" in told.err
        assert told.out == ""

    def test_value_that_begins_with_a_dash_stands_behind_two(
        self, s3queue: Invoke, url: str, jobs: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert s3queue("enqueue", "jobs:send", "-5", "--store", url) == 2
        assert "write -- before a value" in capsys.readouterr().err
        assert s3queue("enqueue", "--store", url, "jobs:send", "--", "-5") == 0
        assert s3queue("enqueue", "--store", url, "--queue", "raw", "--", "-5", "-6") == 0
        assert len(capsys.readouterr().out.split()) == 3

    def test_json_stands_for_what_is_annotated(
        self, s3queue: Invoke, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "typed.py").write_text(
            "import dataclasses, datetime, s3queue\n"
            "@dataclasses.dataclass\nclass Point:\n    x: int\n"
            "@s3queue.task('q')\n"
            "def it(when: datetime.datetime, point: Point, pair: tuple[int, int]) -> None: ...\n"
        )
        args = ('"2030-01-01T00:00:00Z"', '{"x": 1}', "[1, 2]")
        assert s3queue("enqueue", "typed:it", *args, "--store", url) == 0

    def test_options_reach_the_message(
        self, s3queue: Invoke, url: str, jobs: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--delay", "60", "--priority", "1", "--group", "g", "--header", "a=b=c", "--namespace", "ns"]
        assert s3queue("enqueue", "jobs:send", "1", "--store", url, "--json", *options) == 0
        (message,) = answer(capsys)["ids"]
        assert message.startswith("p00~later~")
        assert message.endswith("-1-g~0")
        queue = Queue("mail", url, namespace="ns")
        assert queue.stats(exact=True).scheduled == 1
        queue.store.close()

    @pytest.mark.parametrize(("given", "seconds"), [("90", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800)])
    def test_a_delay_may_have_units(
        self, s3queue: Invoke, url: str, jobs: str, capsys: pytest.CaptureFixture[str], given: str, seconds: int
    ) -> None:
        before_ms = int(time.time() * 1000)
        assert s3queue("enqueue", "jobs:send", "1", "--store", url, "--json", "--delay", given) == 0
        (message,) = answer(capsys)["ids"]
        due_ms = parse_source(parse_message_id(message).path).due_ms
        assert due_ms is not None
        assert before_ms + seconds * 1000 <= due_ms <= int(time.time() * 1000) + seconds * 1000

    @pytest.mark.parametrize("given", ["5x", "m", "5m3", "nan", "-1", ""])
    def test_what_is_no_delay_is_refused(self, s3queue: Invoke, url: str, jobs: str, given: str) -> None:
        assert s3queue("enqueue", "jobs:send", "1", "--store", url, f"--delay={given}") == 2
