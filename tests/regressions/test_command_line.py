"""What surrounds a command: the modules it imports, what they configure, and who reads its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s3queue import Queue
from tests.deadline import DEADLINE_S

#: What the installed script does, for a file in another folder than the working directory.
SCRIPT = "import sys\nfrom s3queue.cli import main\nif __name__ == '__main__':\n    main()\n"
JOBS = """
import os
import s3queue
from pathlib import Path

@s3queue.task("mail")
def send(n: int) -> None:
    assert "PYTHONSAFEPATH" not in os.environ, "programs that a task starts look for modules as usual"
    with Path("sent").open("a") as file:
        file.write(f"{n}\\n")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "s3queue").write_text(SCRIPT)
    return tmp_path / "bin" / "s3queue"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "jobs.py").write_text(JOBS)
    return tmp_path / "work"


def call(script: Path, folder: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    env = {name: text for name, text in os.environ.items() if not name.startswith("S3QUEUE_")} | environ
    return subprocess.run(
        [sys.executable, str(script), *args], cwd=folder, env=env, capture_output=True, timeout=DEADLINE_S, check=False
    )


def url(folder: Path, name: str = "jobs") -> str:
    return f"sqlite:///{folder}/{name}.db"


def counts(store: str, queue: str = "mail") -> Any:
    there = Queue(queue, store)
    try:
        return there.stats(exact=True)
    finally:
        there.store.close()


class TestFilesBesideTheModule:
    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_no_file_beside_the_module_of_tasks_is_taken_for_a_library(
        self, method: str, script: Path, folder: Path
    ) -> None:
        for name in ("queue", "logging", "asyncio", "socket", "click", "msgspec", "rich", "multiprocess", "sqlite3"):
            (folder / f"{name}.py").write_text("raise RuntimeError('taken for another')\n")
        assert call(script, folder, "enqueue", "jobs:send", "7", "--store", url(folder)).returncode == 0
        options = ("--workers", "1", "--until-empty", "--start-method", method, "--store", url(folder))
        done = call(script, folder, "run", "jobs", *options)
        assert done.returncode == 0, done.stderr
        assert (folder / "sent").read_text() == "7\n"

    def test_modules_beside_it_are_found(self, script: Path, folder: Path) -> None:
        (folder / "helpers.py").write_text("VALUE = 5\n")
        (folder / "more.py").write_text("import helpers\nfrom jobs import send\n")
        done = call(script, folder, "enqueue", "more:send", "1", "--store", url(folder))
        assert done.returncode == 0, done.stderr

    def test_module_of_tasks_wins_over_an_installed_one_of_its_name(self, script: Path, folder: Path) -> None:
        installed = folder.parent / "installed"
        installed.mkdir()
        (installed / "jobs.py").write_text("raise RuntimeError('the wrong one')\n")
        path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(installed)])
        done = call(script, folder, "enqueue", "jobs:send", "1", "--store", url(folder), PYTHONPATH=path)
        assert done.returncode == 0, done.stderr

    def test_module_that_has_the_name_of_a_library_is_told(self, script: Path, folder: Path) -> None:
        (folder / "click.py").write_text(JOBS)
        done = call(script, folder, "run", "click", "--store", url(folder))
        assert done.returncode == 2
        assert b"the name of the module 'click' is taken by" in done.stderr
        assert b"rename it" in done.stderr


class TestWhatTheModuleConfigures:
    def test_run_and_enqueue_use_the_store_that_producers_use(self, script: Path, folder: Path) -> None:
        (folder / "jobs.py").write_text(f"{JOBS}\ns3queue.configure(store={url(folder)!r}, namespace='mine')\n")
        program = subprocess.run([sys.executable, "-c", "import jobs; jobs.send.enqueue(1)"], cwd=folder, check=False)
        assert program.returncode == 0
        environ = {"S3QUEUE_STORE_URL": url(folder, "another")}
        assert call(script, folder, "enqueue", "jobs:send", "2", **environ).returncode == 0
        done = call(script, folder, "run", "jobs", "--workers", "1", "--until-empty", "--json", **environ)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["messages"] == 2
        assert sorted((folder / "sent").read_text().split()) == ["1", "2"]
        assert not (folder / "another.db").exists()

    def test_an_option_wins_over_it(self, script: Path, folder: Path) -> None:
        (folder / "jobs.py").write_text(f"{JOBS}\ns3queue.configure(store={url(folder, 'other')!r})\n")
        assert call(script, folder, "enqueue", "jobs:send", "2", "--store", url(folder)).returncode == 0
        assert counts(url(folder)).ready == 1
        assert not (folder / "other.db").exists()

    def test_settings_hold_with_the_store_of_the_environment(self, script: Path, folder: Path) -> None:
        (folder / "jobs.py").write_text(f"{JOBS}\ns3queue.configure(namespace='mine')\n")
        environ = {"S3QUEUE_STORE_URL": url(folder), "S3QUEUE_NAMESPACE": "theirs"}
        assert call(script, folder, "enqueue", "jobs:send", "1", **environ).returncode == 0
        there = Queue("mail", url(folder), namespace="mine")
        assert there.stats(exact=True).ready == 1
        there.store.close()


class TestLogging:
    def test_logging_that_the_module_sets_up_is_kept(self, script: Path, folder: Path) -> None:
        setup = "import logging\nlogging.basicConfig(filename='jobs.log', level='INFO', format='mine: %(message)s')\n"
        (folder / "jobs.py").write_text(setup + JOBS)
        done = call(script, folder, "run", "jobs", "--workers", "1", "--until-empty", "--store", url(folder))
        assert done.returncode == 0
        assert done.stderr == b""
        assert "mine: serving store=" in (folder / "jobs.log").read_text()

    def test_without_one_it_goes_to_stderr(self, script: Path, folder: Path) -> None:
        done = call(script, folder, "run", "jobs", "--workers", "1", "--until-empty", "--store", url(folder))
        assert b"s3queue.supervisor: serving store=" in done.stderr

    def test_level_that_is_asked_for_holds_for_our_loggers(self, script: Path, folder: Path) -> None:
        (folder / "jobs.py").write_text("import logging\nlogging.basicConfig(filename='jobs.log')\n" + JOBS)
        options = ("--workers", "1", "--until-empty", "--store", url(folder), "--log-level", "info")
        assert call(script, folder, "run", "jobs", *options).returncode == 0
        assert "serving store=" in (folder / "jobs.log").read_text()


class TestReaders:
    @pytest.mark.parametrize("count", [1, 20_000], ids=["less than a buffer", "more than a pipe"])
    def test_reader_that_closes_the_pipe_is_no_error(self, count: int, script: Path, folder: Path) -> None:
        calls = "".join(f"[{n}]\n" for n in range(count)).encode()
        command = [sys.executable, str(script), "enqueue", "jobs:send", "-", "--store", url(folder)]
        reader, writer = os.pipe()
        os.close(reader)
        with subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE
        ) as process:
            os.close(writer)
            _, errors = process.communicate(calls, timeout=DEADLINE_S)
        assert errors == b""
        assert process.returncode == 141
        assert counts(url(folder)).ready == count

    @pytest.mark.parametrize("what", [("stats", "--watch", "--interval", "0.1"), ("top",)])
    def test_reader_of_tables_that_closes_the_pipe_is_no_error_either(
        self, what: tuple[str, ...], script: Path, folder: Path
    ) -> None:
        command = [sys.executable, str(script), *what, "--store", url(folder)]
        reader, writer = os.pipe()
        os.close(reader)
        with subprocess.Popen(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE) as process:
            os.close(writer)
            _, errors = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, errors) == (141, b"")
