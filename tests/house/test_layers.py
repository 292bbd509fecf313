"""The packages have an order, and import only what is below them: see ``[tool.importlinter]`` in pyproject.toml.

The imports that are allowed against it are named there, and one that is not found is an error, too. So this also fails if
it no longer sees what is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("contract", ["library", "runtime", "core"])
def test_a_package_imports_only_what_is_below_it(contract: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which it adds
    assert lint_imports(limit_to_contracts=(contract,), no_cache=True) == EXIT_STATUS_SUCCESS
