"""Tasks for the worker tests. They talk through files and pipes, since they run in other processes."""

from __future__ import annotations

from tests.runtime.jobs import acking, around, batches, failing, noting, plain, resources
from tests.runtime.jobs.plain import QUEUE

__all__ = ["QUEUE", "acking", "around", "batches", "failing", "noting", "plain", "resources"]
