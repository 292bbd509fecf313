from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, open_store, stats
from s3queue.config import Config
from s3queue.core.keys import Layout, parse_message_id, parse_source
from s3queue.core.records import Ledger, Place, Usage, encode
from s3queue.store import Conflict, Found, Stored
from tests.cli.conftest import Invoke
from tests.deadline import DEADLINE_S
from tests.stores.mini_s3 import MiniS3


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


class TestBadInput:
    """One line on stderr that says what to do, nothing on stdout, exit status 2."""

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["run", "jobs", "--store", "ftp://x"], ["no backend for ftp://", "sqlite"]),
            (["run", "jobs", "--store", "jobs.db"], ["not a store URL", "sqlite:///"]),
            (["run", "jobs"], ["no store was named", "--store URL"]),
            (["run"], ["Missing argument", "s3queue run --help"]),
            (["run", "--metrics"], ["requires an argument", "s3queue run --help"]),
            (["cron", "set", "--every"], ["requires an argument", "s3queue cron set --help"]),
            (["--hlep"], ["No such option", "--help"]),
            (["run", "absent", "--store", "{url}"], ["no module 'absent'", "looked in"]),
            (["run", "jobs.py", "--store", "{url}"], ["import path", "jobs"]),
            (["run", "pkg/jobs.py", "--store", "{url}"], ["did you mean pkg.jobs"]),
            (["run", "jobs:send", "--store", "{url}"], ["import path", "did you mean jobs?"]),
            (["run", "./pkg/jobs", "--store", "{url}"], ["did you mean pkg.jobs?"]),
            (["run", "", "--store", "{url}"], ["import path", "jobs.mail"]),
            (["run", "empty", "--store", "{url}"], ["empty defines no task", "@s3queue.task"]),
            (["run", "needy", "--store", "{url}"], ["needs 'not_installed_anywhere'", "installed"]),
            (["run", "jobs", "--store", "{url}", "--queue", "none"], ["no task serves the queue 'none'", "mail, raw"]),
            (["run", "jobs", "--store", "{url}", "--workers", "0"], ["workers", ">= 1"]),
            (["run", "jobs", "--store", "{url}", "--workers", "two"], ["--workers"]),
            (["run", "jobs", "--store", "{url}", "--start-method", "thread"], ["start_method", "forkserver"]),
            (["run", "jobs", "--store", "{url}", "--log-level", "LOUD"], ["log level"]),
            (
                ["run", "jobs", "--store", "sqlite:///absent/dir/x.db"],
                ["cannot open", "x.db", "the folder", "does not exist (create it"],
            ),
            (["run", "jobs", "--store", "{url}", "--config", "absent.toml"], ["cannot read absent.toml"]),
            (["run", "jobs", "--store", "{url}", "--wokers", "2"], ["No such option", "--workers"]),
            (["rum", "jobs"], ["no command 'rum'", "did you mean run"]),
            (["stats", "--store", "{url}", "--namespace", "a/b"], ["not a namespace name"]),
            (["enqueue", "--store", "{url}"], ["MODULE:TASK"]),
            (["enqueue", "jobs", "1", "--store", "{url}"], ["does not name a task", "jobs.mail:send"]),
            (["enqueue", "jobs:absent", "1", "--store", "{url}"], ["no task 'absent'", "other, send, take"]),
            (["enqueue", "jobs:send", "x", "--store", "{url}"], ["not JSON", "quotes"]),
            (["enqueue", "jobs:send", '"x"', "--store", "{url}"], ["expected `int`", "it takes (user: int"]),
            (["enqueue", "jobs:send", "--store", "{url}"], ["missing a required argument: 'user'"]),
            (["enqueue", "jobs:send", "m=1", "--store", "{url}"], ["it takes no argument 'm'", "it takes (user: int"]),
            (["enqueue", "jobs:send", "1", "--at", "noon", "--store", "{url}"], ["not a time"]),
            (["enqueue", "jobs:send", "1", "--at", "2030-01-01T00:00", "--store", "{url}"], ["time zone"]),
            (["enqueue", "jobs:send", "1", "--header", "x", "--store", "{url}"], ["NAME=TEXT"]),
            (["enqueue", "jobs:send", "1", "--stdin", "--store", "{url}"], ["stdin"]),
            (["enqueue", "--queue", "raw", "--store", "{url}"], ["no message"]),
            (["demo", "--messages", "0"], ["--messages"]),
            (["demo", "--messages", "1", "--kill", "2"], ["cannot kill 2"]),
            (["demo", "--store", "nope://x"], ["no backend for nope://"]),
            (["config", "show", "--config", "absent.toml"], ["cannot read"]),
            (["doctor"], ["no store was named", "S3QUEUE_STORE_URL"]),
            (["doctor", "nope://x"], ["no backend for nope://"]),
        ],
    )
    def test_it_is_told_in_one_line(
        self,
        args: list[str],
        words: list[str],
        s3queue: Invoke,
        url: str,
        jobs: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "empty.py").write_text("")
        (tmp_path / "needy.py").write_text("import not_installed_anywhere\n")
        assert s3queue(*(arg.replace("{url}", url) for arg in args)) in (2, 3)
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1, printed.err
        for word in words:
            assert word in printed.err

    def test_a_module_that_fails_shows_its_traceback_and_then_the_line(
        self, s3queue: Invoke, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "broken.py").write_text("1 / 0\n")
        assert s3queue("run", "broken", "--store", url) == 2
        lines = capsys.readouterr().err.splitlines()
        assert any("broken.py" in line for line in lines)
        assert lines[-1].startswith("s3queue: module 'broken' cannot be imported: ZeroDivisionError")

    def test_a_module_that_ends_the_program_is_told_and_not_taken_for_a_success(
        self, s3queue: Invoke, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "script.py").write_text("raise SystemExit(0)\n")
        assert s3queue("run", "script", "--store", url) == 2
        assert "module 'script' cannot be imported: SystemExit" in capsys.readouterr().err.splitlines()[-1]

    def test_two_tasks_of_one_name_are_named(
        self, s3queue: Invoke, url: str, jobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "again.py").write_text("import s3queue\n@s3queue.task('mail', name='renamed')\ndef f(): ...\n")
        assert s3queue("run", jobs, "again", "--store", url) == 2
        assert "already other in" in capsys.readouterr().err

    def test_the_status_reaches_the_shell(self, tmp_path: Path) -> None:
        command = [
            sys.executable,
            "-c",
            "from s3queue.cli import main; main()",
            "run",
            "absent",
            "--store",
            "memory://",
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


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


class TestStats:
    def test_for_programs(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        queue = Queue("q", url)
        queue.enqueue_many(range(5))
        queue.store.close()
        assert s3queue("stats", "--store", url, "--exact", "--json") == 0
        printed = answer(capsys)
        assert printed["queues"]["q"]["ready"] == 5
        assert printed["requests"]["get"] == 1

    def test_for_people(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert s3queue("stats", "--store", url) == 0
        assert "no messages" in capsys.readouterr().out
        queue = Queue("q", url)
        queue.enqueue_many(range(1234))
        ledger = Ledger("n", "h1", place=Place(name="box:1"), usage={"worker": Usage(get=4321, received=7)})
        queue.store.put(Layout().host("h1"), encode(ledger), if_version=None)
        queue.store.close()
        assert s3queue("stats", "--store", url) == 0
        printed = capsys.readouterr().out
        assert "1,234" in printed
        assert "as worker: 4,321 get, 7 received" in printed

    def test_people_read_the_words_for_what_waits_and_for_attempts_that_failed(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        queue = Queue("q", url)
        queue.enqueue(1)
        queue.store.close()
        assert s3queue("stats", "--store", url) == 0
        (heading,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("queue ")]
        assert heading == ["queue", "ready", "scheduled", "running", "retrying", "dead", "done", "failures", "oldest"]

    def test_of_one_queue(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("one", "two"):
            queue = Queue(name, url)
            queue.enqueue(1)
            queue.store.close()
        assert s3queue("stats", "--store", url, "--queue", "two", "--queue", "none", "--json") == 0
        assert {name: counts["ready"] for name, counts in answer(capsys)["queues"].items()} == {"two": 1, "none": 0}
        assert s3queue("stats", "--store", url, "--queue", "a/b") == 2

    def test_watched_it_is_shown_again_until_interrupted(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr("s3queue.cli.stats.time.sleep", sleep)
        assert s3queue("stats", "--store", url, "--watch", "--interval", "0.5", "--json") == 130
        assert waits == [0.5] * 3
        assert len(capsys.readouterr().out.splitlines()) == 3


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_script_for_a_shell(
        self, shell: str, s3queue: Invoke, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # click asks the bash on the path for its version, and warns of one that is too old on stderr
        assert s3queue("completion", shell) == 0
        assert "_S3QUEUE_COMPLETE" in capsys.readouterr().out

    def test_script_is_answered(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", "from s3queue.cli import main; main()"]
        environ = {"_S3QUEUE_COMPLETE": "bash_complete", "COMP_WORDS": "s3queue st", "COMP_CWORD": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | environ, check=False
        )
        assert done.stdout.split() == ["plain,stats"]


class TestConfig:
    def test_every_setting_says_where_it_came_from(
        self, s3queue: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "s3queue.toml").write_text("[store]\nurl = 'sqlite:///x.db'\n[queue]\nworkers = 3\n")
        monkeypatch.setenv("S3QUEUE_CONCURRENCY", "4")
        assert s3queue("config", "show", "--namespace", "mine", "--json") == 0
        printed = answer(capsys)
        assert printed["store.url"] == {"value": "sqlite:///x.db", "from": "s3queue.toml"}
        assert printed["workers"] == {"value": 3, "from": "s3queue.toml"}
        assert printed["concurrency"] == {"value": 4, "from": "S3QUEUE_CONCURRENCY"}
        assert printed["namespace"] == {"value": "mine", "from": "argument"}
        assert printed["pacing"]["from"] == "default"
        assert set(printed) == {"store.url", *Config.__struct_fields__}
        assert s3queue("config", "show") == 0
        assert "S3QUEUE_CONCURRENCY" in capsys.readouterr().out

    def test_a_secret_in_a_url_is_not_shown(self, s3queue: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
        assert s3queue("config", "show", "--store", "s3://me:hunter2@bucket/?secret_key=hunter2") == 0
        printed = capsys.readouterr()
        assert "hunter2" not in printed.out + printed.err


MAIN = [sys.executable, "-c", "from s3queue.cli import main; main()"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


class TestRun:
    def test_it_serves_until_the_queue_is_empty(
        self, s3queue: Invoke, url: str, jobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for user in range(5):
            assert s3queue("enqueue", "jobs:send", user, "--store", url) == 0
        capsys.readouterr()
        command = [sys.executable, "-c", "from s3queue.cli import main; main()"]
        command += ["run", "jobs", "--store", url, "--workers", "1", "--until-empty", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["messages"] == 5
        assert sorted((tmp_path / "sent.txt").read_text().splitlines()) == [f"{user} hello" for user in range(5)]
        assert stats(Queue("mail", url).store, exact=True).queues["mail"].done == 5

    def test_a_store_that_cannot_hold_a_queue_is_told_in_one_line(
        self, jobs: str, tmp_path: Path, ignoring_server: MiniS3
    ) -> None:
        command = [sys.executable, "-c", "from s3queue.cli import main; main()"]
        command += ["run", "jobs", "--store", f"obstore+s3://bucket?endpoint={ignoring_server.address}"]
        env = os.environ | {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False, timeout=DEADLINE_S
        )
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert "exclusive create: 2 of 2 writers could create one key" in done.stderr

    @pytest.mark.parametrize(("more", "status"), [([], 0), (["--fail-on-dead"], 5)])
    def test_a_message_that_died_is_a_status_of_its_own_for_who_asks(
        self, url: str, tmp_path: Path, more: list[str], status: int
    ) -> None:
        (tmp_path / "dies.py").write_text(
            "import s3queue\n"
            "@s3queue.task('dies', max_attempts=1)\n"
            "def die() -> None:\n"
            "    raise ValueError('no such user')\n"
        )
        subprocess.run([*MAIN, "enqueue", "dies:die", "--store", url], cwd=tmp_path, check=True)
        done = self._start(
            "run",
            "dies",
            "--store",
            url,
            "--workers",
            "1",
            "--until-empty",
            "--log-format",
            "json",
            *more,
            cwd=tmp_path,
        )
        _, said = done.communicate(timeout=DEADLINE_S)
        assert done.returncode == status
        lines = [json.loads(line) for line in said.splitlines()]
        (dead,) = [line for line in lines if line.get("kind") == "dead"]
        assert (dead["level"], dead["task"], dead["queue"], dead["attempt"]) == ("ERROR", "die", "dies", 1)
        assert dead["text"].endswith("ValueError: no such user\n")
        (ended,) = [line for line in lines if line.get("kind") == "ended"]
        assert (ended["done"], ended["dead"], ended["text"]) == (0, 1, "dies: 0 done, 1 dead")

    def test_one_that_is_asked_twice_to_end_has_a_status_of_its_own(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "slow.py").write_text(
            "import s3queue, signal\n"
            "@s3queue.task('slow')\n"
            "def wait() -> None:\n"
            "    open('started', 'w').close()\n"
            "    while True: signal.pause()\n"
        )
        done = self._start("run", "slow", "--store", url, "--workers", "1", "--drain-timeout", "600", cwd=tmp_path)
        subprocess.run([*MAIN, "enqueue", "slow:wait", "--store", url], cwd=tmp_path, check=True)
        wait_until((tmp_path / "started").exists)
        done.send_signal(signal.SIGINT)
        while done.poll() is None:  # within a second they are one wish
            done.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert done.stderr is not None
        said = done.stderr.read().decode()
        done.stderr.close()
        assert done.returncode == 130
        assert "draining why=SIGINT running=1" in said
        assert "a second Ctrl-C ends at once" in said

    def test_a_store_that_does_not_answer_is_waited_for_and_said(self, jobs: str, tmp_path: Path) -> None:
        with socket.socket() as closed:  # bound, and nobody listens
            closed.bind(("127.0.0.1", 0))
            where = f"minio://127.0.0.1:{closed.getsockname()[1]}/bucket?secure=false"
            done = self._start("run", "jobs", "--store", where, "--workers", "1", cwd=tmp_path)
            assert done.stderr is not None
            first = done.stderr.readline().decode()
            assert "the store does not answer; trying again" in first
            done.send_signal(signal.SIGTERM)
            rest = done.stderr.read().decode()
            done.stderr.close()
            assert done.wait(DEADLINE_S) == 4
        assert "the store did not answer before the host was told to end" in rest.splitlines()[-1]

    @staticmethod
    def _start(*args: str, cwd: Path) -> subprocess.Popen[bytes]:
        env = os.environ | {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        return subprocess.Popen([*MAIN, *args], cwd=cwd, env=env, stderr=subprocess.PIPE)


def test_help_names_every_command(s3queue: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    from s3queue.cli import COMMANDS

    assert s3queue("--help") == 0
    listed = capsys.readouterr().out
    for name in COMMANDS:
        assert name in listed
        assert s3queue(name, "--help") == 0
        assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("args", [[], ["config"]])
def test_bare_command_prints_its_help(args: list[str], s3queue: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert s3queue(*args) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Usage: s3queue")
    assert "Commands" in printed.out
    assert printed.err == ""


class Ignorant(SqliteStore):
    """Takes the condition of a put, and does not look at it."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        found = self.get(key)
        return super().put(key, body, if_version=found.version if isinstance(found, Found) else None)


class TestDoctor:
    def test_a_good_store_is_safe(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert s3queue("doctor", url, "--json") == 0
        report = answer(capsys)
        assert report["safe"] is True
        assert report["store"] == url
        assert all(set(row) == {"check", "verdict", "measured", "promise"} for row in report["rows"])
        assert s3queue("doctor", url) == 0
        assert capsys.readouterr().out.rstrip().endswith("safe")
        store = open_store(url)
        assert store.list("") == [], "and nothing of it stays"
        store.close()

    def test_without_a_url_it_examines_the_store_of_the_settings(
        self, s3queue: Invoke, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "s3queue.toml").write_text(f"[store]\nurl = {url!r}\n")
        assert s3queue("doctor", "--json") == 0
        assert answer(capsys)["store"] == url

    def test_a_store_that_ignores_conditions_is_not(
        self, s3queue: Invoke, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("s3queue.cli.doctor.open_store", lambda url: Ignorant(str(tmp_path / "x.db")))
        assert s3queue("doctor", "sqlite:///x.db", "--json") == 1
        report = answer(capsys)
        assert report["safe"] is False
        assert "stale replace refused" in {row["check"] for row in report["rows"] if row["verdict"] == "bad"}
        assert s3queue("doctor", "sqlite:///x.db") == 1
        assert "NOT SAFE" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from s3queue.cli import main; main()",
                "stats",
                "--store",
                f"sqlite:///{tmp_path}/j.db",
                "--json",
            ],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "s3queue: cannot write: No space left on device\n")
