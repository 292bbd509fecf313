"""The core takes time, randomness and identity as arguments, and touches nothing. Two guards: what ruff bans, which says
why to whoever tries, and what may be imported at all, which leaves nothing to think of."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "s3queue" / "core"
MODULES = sorted(CORE.rglob("*.py"))

ALLOWED = {
    "__future__",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "msgspec",
    "operator",
    "re",
    "typing",
    "urllib.parse",
    "s3queue.core",
    "s3queue.errors",
    "s3queue.store",
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would hide what is imported"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_a_core_module_imports_only_what_is_pure(path: Path) -> None:
    foreign = {name for name in imported(path) if not any(name == ok or name.startswith(f"{ok}.") for ok in ALLOWED)}
    assert foreign == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_a_core_module_neither_prints_nor_opens_nor_imports_by_name(path: Path) -> None:
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert calls & {"print", "open", "input", "exec", "eval", "__import__", "id", "breakpoint"} == set()


def ruff(snippet: str, file: str) -> str:
    """What ruff, with the project's own configuration, says of a file that does not exist."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", "--stdin-filename", file, "-"],
        input=snippet,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


BANNED = sorted(
    tomllib.loads((CORE / "ruff.toml").read_text("utf-8"))["lint"]["flake8-tidy-imports"]["banned-api"].keys()
    - {"datetime.datetime.now", "datetime.datetime.today", "datetime.datetime.utcnow", "datetime.date.today"}
)


def test_the_ban_names_every_way_to_the_world() -> None:
    world = "asyncio boto3 botocore concurrent logging minio multiprocess multiprocessing obstore os pathlib random "
    world += (
        "secrets signal socket sqlite3 subprocess sys threading time uuid s3queue.io s3queue.runtime s3queue_backends"
    )
    assert set(world.split()) <= set(BANNED)


@pytest.mark.parametrize("name", BANNED)
def test_the_ban_bites_in_the_core(name: str) -> None:
    assert "TID251" in ruff(f"import {name}\n", "s3queue/core/tempted.py")


@pytest.mark.parametrize(
    "snippet",
    [
        "from time import monotonic\n",
        "import os.path\n",
        "from concurrent.futures import ThreadPoolExecutor\n",
        "import datetime\n\nNOW = datetime.datetime.now()\n",
        "from datetime import datetime\n\nNOW = datetime.now()\n",
        "from s3queue.io.drive import Driver\n",
        "from s3queue import tasks\n",
        "def late():\n    import random\n\n    return random.random()\n",
    ],
)
def test_the_ban_bites_however_it_is_written(snippet: str) -> None:
    assert "TID251" in ruff(snippet, "s3queue/core/tempted.py")


@pytest.mark.parametrize("file", ["s3queue/runtime/fine.py", "backends/s3queue_backends/fine.py", "stress/fine.py"])
def test_outside_of_the_core_the_world_may_be_touched(file: str) -> None:
    assert "TID251" not in ruff("import os\nimport time\n", file)


def test_a_payload_is_never_pickled_anywhere() -> None:
    for file in ("s3queue/queue.py", "backends/s3queue_backends/fine.py", "s3queue/core/records/board.py"):
        assert "TID251" in ruff("import pickle\n", file)
