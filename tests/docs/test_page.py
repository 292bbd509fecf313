"""An example that does not do what its page says is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from s3queue.config import configured, current_config
from s3queue.testing.plugin.desk import TaskQueue
from tests.docs.page import Failed, Reader
from tests.docs.pages import ROOT, Example, examples, indented

PAGE = ROOT / "README.md"


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3QUEUE_PACING", "")  # which a test exports: it is taken back
    config = current_config().replace(history=None)
    queue = TaskQueue(config)
    with configured(queue.store, config), queue.shown():
        reader = Reader(tmp_path, queue)
        yield reader
        reader.close()


def example(language: str, source: str) -> Example:
    return Example(PAGE, 1, language, source, None)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("pycon", ">>> 1 + 1\n3\n"),
        ("pycon", ">>> 1 / 0\n1\n"),
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ s3queue config show\nno settings\n"),
        ("console", "$ s3queue nonsense\n"),
        ("console", "no command\n"),
        ("sh", "false\n"),
        ("toml", "[queue\n"),
        ("json", "{\n"),
        ("fortran", "END\n"),
    ],
)
def test_example_that_does_something_else_is_noticed(reader: Reader, language: str, source: str) -> None:
    with pytest.raises(Failed):
        reader.run(example(language, source))


def test_python_that_raises_is_noticed(reader: Reader) -> None:
    with pytest.raises(ZeroDivisionError):
        reader.run(example("python", "1 / 0\n"))
    with pytest.raises(ZeroDivisionError):
        reader.run(example("python", "import asyncio\nawait asyncio.sleep(0)\n1 / 0\n"))


def test_ids_and_times_may_differ_and_dots_stand_for_anything(reader: Reader) -> None:
    shown = "2026-01-01 00:00:00 … p00~in~mail~5~1-1-1~0"
    printed = "2030-12-31 23:59:59 stored as p03~in~mail~5~1795-000ab-7~12"
    reader.run(example("console", f"$ echo '{printed}'\n{shown}\n"))


def test_what_a_block_defines_and_exports_stays_for_the_next(reader: Reader) -> None:
    reader.run(example("python", "answer = 42\n"))
    reader.run(example("pycon", ">>> answer\n42\n"))
    reader.run(example("sh", "export S3QUEUE_PACING=frugal\n"))
    reader.run(example("console", "$ echo $S3QUEUE_PACING\nfrugal\n"))


def test_mark_without_a_reason_or_an_example_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!--- not run: -->\n```python\n1\n```\n", "utf-8")
    with pytest.raises(ValueError, match="without a reason"):
        examples(page)
    page.write_text("<!--- not run: no need -->\n\n```python\n1\n```\n", "utf-8")
    with pytest.raises(ValueError, match="above no example"):
        examples(page)
    page.write_text("Text\n\n    code\n\n```python\n    more\n```\n", "utf-8")
    assert indented(page) == [3]
