"""Pages that are made from the code: settings, errors, metrics, keys, modules."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from s3queue import config, errors
from s3queue.core import keys

FOLDER = Path(__file__).parents[1] / "_generated"


def setup(app: Sphinx) -> dict[str, Any]:
    FOLDER.mkdir(exist_ok=True)
    for name, text in (
        ("settings", _settings()),
        ("errors", _errors()),
        ("metrics", _metrics()),
        ("keys", _keys()),
        ("modules", _modules()),
    ):
        path = FOLDER / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return {"parallel_read_safe": True}


def _settings() -> str:
    """Each setting with the comment above it."""
    source = inspect.getsource(config)
    lines, (made,) = (
        source.splitlines(),
        (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Config"),
    )
    rows = []
    for node in made.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        said, at = [], node.lineno - 2
        while lines[at].strip().startswith("#:"):
            said.insert(0, lines[at].strip()[2:].strip())
            at -= 1
        default = ast.unparse(node.value) if node.value is not None else ""
        name = node.target.id
        text = " ".join(said).replace("``", "`")
        rows.append(f"## `{name}`\n\nDefault `{default}` · environment `S3QUEUE_{name.upper()}`\n\n{text}\n")
    return "\n".join(rows)


def _errors() -> str:
    """Each class with the first paragraph of its docstring, as a tree."""
    rows = ["| error | is a | when |", "|---|---|---|"]
    for name, made in vars(errors).items():
        if inspect.isclass(made) and issubclass(made, BaseException) and made.__module__ == errors.__name__:
            said = re.split(r"\n\s*\n", inspect.getdoc(made) or "")[0].replace("\n", " ").replace("``", "`")
            bases = ", ".join(f"`{base.__name__}`" for base in made.__bases__)
            rows.append(f"| `{name}` | {bases} | {said} |")
    return "\n".join(rows) + "\n"


def _metrics() -> str:
    """Each metric with its help text and labels, as the module names them."""
    from s3queue.observe import metrics

    source = inspect.getsource(metrics)
    rows = ["| metric | says | labels |", "|---|---|---|"]
    seen = set()
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or len(call.args) < 2:
            continue
        name, text = call.args[0], call.args[1]
        if isinstance(name, ast.Constant) and isinstance(text, ast.Constant) and str(name.value).startswith("s3queue_"):
            if name.value in seen:
                continue
            seen.add(name.value)
            given = [word.value for word in call.keywords if word.arg == "labels"] + list(call.args[2:3])
            labels = [one.value for one in given[0].elts] if given and isinstance(given[0], ast.List) else []
            rows.append(f"| `{name.value}` | {text.value} | {', '.join(f'`{label}`' for label in labels)} |")
    return "\n".join(rows) + "\n"


def _keys() -> str:
    """The keys of a namespace, as the one module that builds them lists them."""
    block = re.search(r"::\n\n((?:    .*\n|\n)+)", inspect.getdoc(keys) or "")
    assert block is not None
    return "```text\n" + inspect.cleandoc(block.group(1)) + "\n```\n"


def _modules() -> str:
    """Each module with the first paragraph of its docstring, by package."""
    root = Path(keys.__file__).parents[2]
    packages: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        if said is not None:
            first = re.split(r"\n\s*\n", said)[0].replace("\n", " ").replace("``", "`").replace("|", r"\|")
            package = str(path.parent.relative_to(root.parent))
            packages.setdefault(package, []).append(f"| `{path.name}` | {first} |")
    tables = (f"## `{package}/`\n\n| module | |\n|---|---|\n" + "\n".join(rows) for package, rows in packages.items())
    return "\n\n".join(tables) + "\n"
