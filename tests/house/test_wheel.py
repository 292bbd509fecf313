"""The wheel has what it promises, and no more; whoever builds it gets the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Bytes. A third above what it has; more of it would be something that has slipped in.
LARGEST = 1_150_000
#: Modules that ``import s3queue`` loads, the standard library's included; twenty above what it does.
MOST_MODULES = 170


def _build(folder: Path, source: Path = ROOT) -> Path:
    """Build without an environment of its own, which would have to be downloaded."""
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1900000000"}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, env=environ, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("wheel"))


def test_two_builds_make_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Also from a copy, whose files are younger."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("s3queue", "backends"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copy
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    for file in copy.rglob("*"):
        os.utime(file, (time.time(), time.time()))
    assert _build(tmp_path / "again", copy).read_bytes() == wheel.read_bytes()


def test_wheel_has_the_types_and_the_two_packages_only(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"s3queue", "s3queue_backends"}
    assert {"s3queue/py.typed", "s3queue_backends/py.typed"} <= set(names)
    assert [name for name in names if name.endswith((".pyc", ".db", ".orig"))] == []


def test_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST


def test_metadata_says_what_the_project_is(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    (name,) = (name for name in files.namelist() if name.endswith("/METADATA"))
    metadata = Parser().parsestr(files.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == "s3queue"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Requires-Python"] == ">=3.11"
    versions = [one for one in metadata.get_all("Classifier", []) if re.search(r":: 3\.\d+$", one)]
    assert [one.rpartition(" ")[2] for one in versions] == ["3.11", "3.12", "3.13"]
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    import s3queue

    assert metadata["Version"] == s3queue.__version__


def test_importing_loads_few_modules() -> None:
    code = "import sys; before = set(sys.modules); import s3queue; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) < MOST_MODULES
