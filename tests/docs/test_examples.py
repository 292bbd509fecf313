"""Every example of the documentation runs, and prints what its page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, examples, indented

#: Pages whose examples another test plays, and which.
PLAYED_ELSEWHERE = {
    "docs/how-to/operate-at-night.md": "python -m stress night plays the session, and prints the page",
}
#: How many examples cannot run, by reason. One more is a decision, not an accident.
NOT_RUN: dict[str, int] = {
    "a part of a program; the whole is in examples/, with tests": 14,
    "asks on a terminal": 1,
    "installs this project": 5,
    "needs a collector": 1,
    "needs Docker": 1,
    "needs a host that runs": 1,
    "needs a program that is not installed": 1,
    "needs the server": 1,
    "serves until it is told to end": 3,
    "starts a server for good": 1,
    "takes minutes, and runs as nox -s stress": 1,
    "tests/migrate runs it, with the library": 3,
    "what a failed simulation prints": 1,
}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


_OURS = [page for page in PAGES if _name(page) not in PLAYED_ELSEWHERE]
_WITH_EXAMPLES = [page for page in _OURS if any(one.not_run is None for one in examples(page))]


@pytest.mark.parametrize("page", _WITH_EXAMPLES, ids=_name)
def test_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("S3QUEUE_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "tests.docs.page", str(page), str(tmp_path)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]


def test_examples_that_cannot_run_are_marked_and_counted() -> None:
    reasons = Counter(one.not_run for page in _OURS for one in examples(page) if one.not_run is not None)
    assert dict(reasons) == NOT_RUN


@pytest.mark.parametrize("page", [page for page in PAGES if _name(page) not in PLAYED_ELSEWHERE], ids=_name)
def test_code_of_a_page_is_fenced_so_that_it_is_run(page: Path) -> None:
    assert indented(page) == []
