from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from s3queue.config import Config
from tests.cli.conftest import Invoke, answer


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
