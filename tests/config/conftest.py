from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def clean_process(unconfigured: None) -> None:
    """Each test begins without settings."""
