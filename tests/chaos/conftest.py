from __future__ import annotations

from tests.processes.conftest import fifo, store

__all__ = ["fifo", "store"]
