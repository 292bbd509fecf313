"""The documentation names modules and other pages that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tests.simulation.test_mutants  # noqa: F401 - it has all of them registered
from s3queue.testing.simulate.checkers import CHECKERS
from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ROOTS = (ROOT, ROOT / "s3queue", ROOT / "backends" / "s3queue_backends")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_module_map_names_modules_that_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    text = text[text.index("## Where it is in the code") :]
    missing = []
    for line in text.splitlines():
        folders = {Path()}  # a name without a folder is beside one that stands before it in its line
        for name in re.findall(r"`([a-z0-9_/]+(?:\.py|/))`", line):
            if not any((root / folder / name).exists() for root in ROOTS for folder in folders):
                missing.append(name)
            folders.add(Path(name) if name.endswith("/") else Path(name).parent)
    assert missing == []


def test_the_module_map_names_every_package() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    packages = {path.parent.relative_to(ROOT / "s3queue") for path in (ROOT / "s3queue").glob("*/*/__init__.py")}
    assert {str(path) for path in packages if f"`{path}/" not in text} <= {"testing/simulate"}


def test_every_checker_is_explained_with_a_mutant_that_it_catches() -> None:
    text = (ROOT / "docs" / "explanation" / "zero-duplication.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\w-]+) \| .+ \| `(\w+)`, `([\w-]+)` \|$", text, re.MULTILINE)
    assert [(name, function) for name, function, _ in rows] == [
        (name, check.__name__) for name, check in CHECKERS.items()
    ]
    caught_by = {mutant.name: mutant.caught_by for mutant in MUTANTS}
    assert [name for name, _, mutant in rows if name not in caught_by[mutant]] == []
