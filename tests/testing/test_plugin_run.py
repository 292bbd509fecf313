"""The plugin in a pytest of its own, with what users run beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = """
import asyncio, pytest, s3queue

charged = []

@s3queue.task("orders", "pay")
def pay(order: str) -> None:
    charged.append(order)

@pytest.mark.parametrize("number", range(6))
def test_each_is_charged_once(task_queue, number):
    charged.clear()
    pay.options(delay=3600).enqueue(str(number))
    assert task_queue.drain().check().done == 1
    assert charged == [str(number)]

def test_on_a_loop(task_queue):
    async def on_a_loop():
        charged.clear()
        await pay.aenqueue("loop")
        await task_queue.adrain(crash="")
    asyncio.run(on_a_loop())
    assert charged == ["loop"]
"""


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_orders.py").write_text(TESTS)
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    plugins = ["-p", "xdist", "-p", "s3queue.testing.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *args, "test_orders.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_works_in_several_processes_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, "-n", "2")
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


def test_option_ends_every_task_once_and_finds_those_that_are_not_idempotent(tmp_path: Path) -> None:
    done = run(tmp_path, "--s3queue-crash", "end")
    assert done.returncode == 1
    assert "6 failed, 1 passed" in done.stdout
    assert "assert ['0', '0'] == ['0']" in done.stdout


def test_it_is_an_entry_point_of_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"s3queue": "s3queue.testing.plugin"}
