from __future__ import annotations

import pytest

from s3queue.testing.plugin import task_queue
from tests.testing import shop

__all__ = ["task_queue"]


@pytest.fixture(autouse=True)
def _empty() -> None:
    shop.sent.clear()
    shop.ticks.clear()
    shop.charged.clear()
