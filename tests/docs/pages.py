"""The pages that users read, and the examples in them.

Sybil reads the fences; of an example it is known where it stands, so a failure names page and line. One that cannot run
where the tests run has a comment above it, which no reader of the page sees::

    <!--- not run: needs Docker -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sybil.document import Document
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, FencedCodeBlockLexer

__all__ = ["PAGES", "ROOT", "Example", "examples", "indented"]

ROOT = Path(__file__).parents[2]

#: Languages of blocks that are no examples: drawings, outputs, directives of Sphinx.
PROSE = ("text", "mermaid")


def _pages() -> Iterator[Path]:
    yield from (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if not any(part.startswith("_") or part == "assets" for part in page.relative_to(ROOT).parts):
            yield page


class Example(NamedTuple):
    """One fenced block.

    Attributes:
        line: where its fence stands in the page.
        not_run: why it cannot run, or None.
    """

    page: Path
    line: int
    language: str
    source: str
    not_run: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


PAGES = tuple(_pages())

_fences = FencedCodeBlockLexer(language=r"[a-z]+")
_marks = DirectiveInHTMLCommentLexer(directive="not run")


def examples(page: Path) -> list[Example]:
    """The examples of a page, in their order.

    Raises:
        ValueError: a mark stands above no example, or gives no reason.
    """
    document = Document(page.read_text("utf-8"), str(page))
    marks = {}
    for mark in _marks(document):
        reason = mark.lexemes["arguments"].strip()
        if not reason:
            raise ValueError(f"{page}: {document.line_column(mark.start)}: a mark without a reason")
        after = re.compile(r"[^\n]*\n").match(document.text, mark.end)
        marks[after.end() if after else mark.end] = reason
    found = []
    for fence in _fences(document):
        language = fence.lexemes["language"]
        if language in PROSE:
            continue
        line = document.text.count("\n", 0, fence.start) + 1
        found.append(Example(page, line, language, str(fence.lexemes["source"]), marks.pop(fence.start, None)))
    if marks:
        raise ValueError(f"{page}: a mark stands above no example: {sorted(marks.values())}")
    return found


def indented(page: Path) -> list[int]:
    """Lines of code that is only indented: no fence says what it is, so nothing runs it."""
    lines, inside, found = page.read_text("utf-8").splitlines(), False, []
    for number, line in enumerate(lines, 1):
        if re.match(r" *(```|~~~|:::)", line):
            inside = not inside
        previous = lines[number - 2] if number > 1 else ""
        if not inside and re.match(r" {4}\S", line) and not previous.strip() and not re.match(r" {4}[-*] ", line):
            found.append(number)
    return found
