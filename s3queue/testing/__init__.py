"""Tools for tests: the pytest fixture ``task_queue``, conformance checks of stores, servers to run them on, a simulator.

`TaskQueue` and `Drained` are the types of the fixture and of what it returns, for annotations. Nothing here is imported by
the queue itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3queue.testing.plugin.desk import Drained, TaskQueue

__all__ = ["Drained", "TaskQueue"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import s3queue.testing.plugin.desk

    return getattr(s3queue.testing.plugin.desk, name)
