"""``llms.txt`` at the root of the site: every page by section, with its source in Markdown (https://llmstxt.org)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_SECTIONS = {
    "tutorial": "Tutorial",
    "how-to": "How-to guides",
    "migrate": "Migration guides",
    "reference": "Reference",
    "explanation": "Explanation",
    "": "More",
}
#: Characters of the line about a page.
_MOST = 160
_ABOUT = """# s3queue

> A work queue for Python whose only infrastructure is a bucket: S3, GCS, Azure, or SQLite on one machine. Every message is
> committed exactly once. Its code runs once, unless a process dies or a host falls silent. Then the messages that were
> running run again.

Declare tasks with `@s3queue.task(queue="mail")`, enqueue with `send.enqueue(7)`, run with `s3queue run MODULE`, where
`S3QUEUE_STORE_URL` names the store. Test with the pytest fixture `task_queue`.
"""


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}


def _link(app: Sphinx, name: str) -> str:
    """Its source, or the page where that has only directives: what they make is in the page alone."""
    source = Path(app.env.doc2path(name)).read_text("utf-8")
    made = any(mark in source for mark in ("```{eval-rst}", "```{include}"))
    return f"{name}.html" if made else f"_sources/{name}.md.txt"


def _about(app: Sphinx, name: str) -> str:
    """The first sentence of the page."""
    first = next(iter(app.env.get_doctree(name).findall(nodes.paragraph)), None)
    if first is None:
        return ""
    sentence = " ".join(first.astext().split()).split(". ")[0].rstrip(".:")
    return f": {sentence[:_MOST]}" if sentence else ""


def _write(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None or app.builder.name != "html":
        return
    titles = {name: title.astext() for name, title in app.env.titles.items()}
    lines = [_ABOUT]
    for folder, heading in _SECTIONS.items():
        pages = sorted(name for name in titles if name.rpartition("/")[0] == folder and name != "index")
        if pages:
            lines += [
                f"## {heading}",
                "",
                *(f"- [{titles[name]}]({_link(app, name)}){_about(app, name)}" for name in pages),
                "",
            ]
    Path(app.outdir, "llms.txt").write_text("\n".join(lines), "utf-8")
