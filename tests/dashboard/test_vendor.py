"""What is served is in the wheel: nothing is fetched from elsewhere, and files of others are as they were published."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).parents[2] / "s3queue" / "dashboard"
VENDOR = DASHBOARD / "static" / "vendor"
#: SHA-256 of the files in the packages, as npm has them.
DIGESTS = {
    "htmx.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "idiomorph.min.js": "4cbd535caf7663a51eda9bce6595371c384fc430d54b8d414e29a61167f19f96",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_file_of_others_is_as_it_was_published(name: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == DIGESTS[name]


def test_every_file_of_others_is_named_with_its_version_and_licence() -> None:
    readme = (VENDOR / "README.md").read_text("utf-8")
    served = {path.name for path in VENDOR.iterdir() if path.suffix in (".js", ".css")}
    assert served == set(DIGESTS)
    for name in served:
        line = next(line for line in readme.splitlines() if f"`{name}`" in line)
        licence = re.findall(r"`([^`]*LICENSE)`", line)
        assert re.search(r"\| \d+\.\d+\.\d+ \|", line)
        assert licence
        assert (VENDOR / licence[0]).stat().st_size > 300


TEMPLATES = sorted((DASHBOARD / "templates").rglob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(DASHBOARD / "templates")))
def test_a_template_has_no_inline_script_or_style_and_names_no_other_site(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|hx-vals=.js|hx-ext", text)
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", text)
    assert "| safe" not in text
    assert "autoescape false" not in text


def test_our_script_makes_no_html_of_what_it_was_told_but_in_a_template() -> None:
    script = (DASHBOARD / "static" / "app.js").read_text("utf-8")
    assert not re.search(r"\beval\(|new Function|document\.write|insertAdjacentHTML", script)
    assert re.findall(r"(\w+)\.innerHTML =", script) == ["parsed"]
