"""What importing costs, counted in modules, since a clock would tell a different story on every machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import s3queue

ROOT = Path(__file__).parents[2]
SDKS = {"boto3", "botocore", "minio", "obstore", "urllib3", "requests", "s3queue_backends"}
HEAVY = {
    "asyncio",
    "click",
    "concurrent.futures",
    "hypothesis",
    "multiprocess",
    "multiprocessing",
    "rich",
    "sqlite3",
    "ssl",
}


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a statement, without those it starts with."""
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def test_the_library_loads_no_sdk_and_nothing_heavy() -> None:
    assert loaded_by("import s3queue") & (SDKS | HEAVY) == set()


DECLARE = "import s3queue\n@s3queue.task('q')\ndef f(n: int) -> None: ...\n"


def test_declaring_a_task_loads_no_more() -> None:
    declared = loaded_by(f"{DECLARE}f.encode((1,), {{}})")
    assert declared & (SDKS | HEAVY - {"concurrent.futures"}) == set(), "which a late thread could not import"


def test_the_first_enqueue_imports_nothing_of_ours_that_the_declaration_has_not() -> None:
    store = "import s3queue_backends.memory as memory\ns3queue.configure(store=memory.MemoryStore())\n"
    late = loaded_by(f"{DECLARE}{store}before |= set(sys.modules)\nf.enqueue(1)")
    assert late == set()


def test_only_its_command_imports_the_dashboard() -> None:
    imports = re.compile(r"^\s*(from|import) s3queue\.dashboard", re.M)
    package = ROOT / "s3queue"
    outside = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] != "dashboard"]
    assert [path.name for path in outside if imports.search(path.read_text("utf-8"))] == ["dashboard.py"]


def test_opening_the_embedded_store_loads_no_sdk() -> None:
    loaded = loaded_by("import s3queue; s3queue.open_store('sqlite:////tmp/never-created.db')")
    assert loaded & (SDKS - {"s3queue_backends"}) == set()


def test_help_loads_no_command() -> None:
    loaded = loaded_by("from s3queue.cli import main\ntry: main(['--help'])\nexcept SystemExit: print()")
    assert loaded & (SDKS | HEAVY - {"click"}) == set()
    assert {name for name in loaded if name.startswith("s3queue.cli.")} == set()


@pytest.mark.parametrize("name", s3queue.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(s3queue, name)
    assert (value.__doc__ or "").strip(), "and says what it is"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = s3queue.nothing


@pytest.mark.parametrize("name", s3queue.__all__)
def test_public_names_are_those_of_one_place(name: str) -> None:
    assert getattr(s3queue, name).__module__.startswith("s3queue.")
