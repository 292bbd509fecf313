"""``llms.txt`` at the root of the site: every page by section, with its source in Markdown (https://llmstxt.org)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_SECTIONS = {
    "tutorial": "Tutorial",
    "how-to": "How to",
    "migrate": "Coming from another queue",
    "reference": "Reference",
    "explanation": "Explanation",
    "": "More",
}
_ABOUT = """# s3queue

> A work queue for Python whose only infrastructure is a bucket: S3, GCS, Azure, or SQLite on one machine. Every message is
> committed exactly once. Its code runs once, unless a process dies or a host falls silent; then what was running runs
> again.

Declare tasks with `@s3queue.task(queue="mail")`, enqueue with `send.enqueue(7)`, run with `s3queue run MODULE`, where
`S3QUEUE_STORE_URL` names the store. Test with the pytest fixture `task_queue`.
"""


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}


def _write(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None or app.builder.name != "html":
        return
    titles = {name: title.astext() for name, title in app.env.titles.items()}
    lines = [_ABOUT]
    for folder, heading in _SECTIONS.items():
        pages = sorted(name for name in titles if name.rpartition("/")[0] == folder and name != "index")
        if pages:
            lines += [f"## {heading}", "", *(f"- [{titles[name]}](_sources/{name}.md.txt)" for name in pages), ""]
    Path(app.outdir, "llms.txt").write_text("\n".join(lines), "utf-8")
