from __future__ import annotations

from tests.processes.conftest import store

__all__ = ["store"]
