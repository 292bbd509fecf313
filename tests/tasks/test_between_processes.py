"""Tasks that are handed to other processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import s3queue
from s3queue import ConfigError
from s3queue.registry import registry
from tests.deadline import DEADLINE_S


@s3queue.task("pickled", name="module-level")
def module_level(n: int) -> int:
    return n + 1


class TestBetweenProcesses:
    def test_a_task_pickles_as_a_reference(self) -> None:
        registry.add(module_level)
        assert pickle.loads(pickle.dumps(module_level)) is module_level

    def test_one_inside_a_function_is_refused_before_a_child_is_started(self) -> None:
        @s3queue.task("q")
        def it() -> None: ...

        with pytest.raises(ConfigError, match="inside a function"):
            pickle.dumps(it)

    MAIN = """
import sys
import multiprocess
import s3queue

@s3queue.task("q")
def double(n: int) -> int:
    return 2 * n

def child(task, tasks, conn):
    from s3queue.registry import registry
    found = registry.find("q", "double")
    conn.send((found is task, tasks == (task,), task(21), task.function.__module__))

if __name__ == "__main__":
    from s3queue.registry import registry
    ctx = multiprocess.get_context(sys.argv[1])
    ours, theirs = ctx.Pipe()
    process = ctx.Process(target=child, args=(double, registry.tasks(), theirs))
    process.start()
    theirs.close()
    print(ours.recv())
    process.join()
"""

    @pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
    def test_tasks_of_the_main_program_reach_its_children(self, method: str, tmp_path: Path) -> None:
        main = tmp_path / "main.py"
        main.write_text(self.MAIN)
        done = subprocess.run(
            [sys.executable, str(main), method], capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert done.stdout.startswith("(True, True, 42,"), done.stderr

    def test_tasks_of_a_module_reach_a_process_that_has_not_imported_it(self, tmp_path: Path) -> None:
        (tmp_path / "jobs.py").write_text("import s3queue\n@s3queue.task('q')\ndef f(n: int): return n\n")
        (tmp_path / "main.py").write_text(
            "import sys, pickle\n"
            "if len(sys.argv) == 1:\n"
            "    import jobs\n"
            "    sys.stdout.buffer.write(pickle.dumps(jobs.f))\n"
            "else:\n"
            "    print(pickle.loads(sys.stdin.buffer.read())(5), 'jobs' in sys.modules)\n"
        )
        dumped = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, timeout=DEADLINE_S, check=True
        )
        loaded = subprocess.run(
            [sys.executable, "main.py", "x"],
            cwd=tmp_path,
            input=dumped.stdout,
            capture_output=True,
            timeout=DEADLINE_S,
            check=True,
        )
        assert loaded.stdout == b"5 True\n"


def test_task_of_text_that_was_executed_cannot_go_to_another_process() -> None:
    scope: dict[str, Any] = {"s3queue": s3queue, "__name__": None}
    exec("@s3queue.task(queue='q')\ndef of_text() -> None: ...", scope)
    with pytest.raises(ConfigError, match="is in no module"):
        scope["of_text"].__reduce__()
