"""Each test that ``docs/reference/faults.md`` names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "faults.md"
_ID = re.compile(r"`(tests/[^`]*)`")


def named() -> list[str]:
    return _ID.findall(PAGE.read_text("utf-8"))


def defined_in(file: Path) -> set[str]:
    """The ids of the tests in a file, without their parameters."""
    found: set[str] = set()
    where = file.relative_to(ROOT).as_posix()

    def walk(body: list[ast.stmt], path: str) -> None:
        for one in body:
            match one:
                case ast.ClassDef(name=name) if name.startswith("Test"):
                    walk(one.body, f"{path}::{name}")
                case ast.FunctionDef(name=name) if name.startswith("test_"):
                    found.add(f"{path}::{name}")
                case _:
                    pass

    walk(ast.parse(file.read_text("utf-8")).body, where)
    return found


def test_each_test_that_the_page_names_exists() -> None:
    files = {one.partition("::")[0] for one in named()}
    missing = [file for file in files if not (ROOT / file).is_file()]
    assert not missing
    known = {test for file in files for test in defined_in(ROOT / file)}
    assert sorted(set(named()) - known) == []


def test_each_row_of_the_page_names_a_test() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| (?!what )", line)]
    assert rows
    assert [row for row in rows if not _ID.search(row)] == []


@pytest.mark.parametrize("gone", ["test_that_was_renamed", "TestGone::test_each_test_that_the_page_names_exists"])
def test_a_test_that_is_gone_is_noticed(gone: str) -> None:
    assert f"tests/house/test_faults_page.py::{gone}" not in defined_in(Path(__file__))
    assert "tests/house/test_faults_page.py::test_each_row_of_the_page_names_a_test" in defined_in(Path(__file__))
