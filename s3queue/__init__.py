"""A distributed work queue whose only infrastructure is a bucket. Every public name, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3queue.config import Config, configure
from s3queue.context import Context
from s3queue.decorators import handler, task, use
from s3queue.errors import (
    Cancelled,
    ConfigError,
    CorruptRecord,
    EnqueueUncertain,
    Fenced,
    OutcomeUnknown,
    QueueError,
    Reject,
    ResultGone,
    Retry,
    Snooze,
    SoftTimeLimit,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    StoreUnsupported,
    TaskCancelled,
    TaskFailed,
)
from s3queue.ids import MessageId
from s3queue.observe.subscribing import on
from s3queue.options.limits import Breaker, Limit
from s3queue.options.policies import Backoff
from s3queue.options.resources import given, resource
from s3queue.payloads.types import payload_type
from s3queue.store import ObjectStore, open_store
from s3queue.tasks import Task
from s3queue.version import __version__ as __version__

if TYPE_CHECKING:
    from s3queue import events as events
    from s3queue.messages import MessageHandle, message
    from s3queue.observe.stats import Stats
    from s3queue.operate.details import MessageDetails
    from s3queue.operate.inspection import stats
    from s3queue.operate.letters import DeadGroup, DeadLetter
    from s3queue.operate.looking import QueuedMessage
    from s3queue.operate.schedules import ScheduleInfo, Schedules
    from s3queue.operate.status import MessageProgress
    from s3queue.operate.views import FailedAttempt
    from s3queue.producer import Producer
    from s3queue.queue import Queue
    from s3queue.supervisor import Summary, Supervisor

__all__ = [
    "Backoff",
    "Breaker",
    "Cancelled",
    "Config",
    "ConfigError",
    "Context",
    "CorruptRecord",
    "DeadGroup",
    "DeadLetter",
    "EnqueueUncertain",
    "FailedAttempt",
    "Fenced",
    "Limit",
    "MessageDetails",
    "MessageHandle",
    "MessageId",
    "MessageProgress",
    "ObjectStore",
    "OutcomeUnknown",
    "Producer",
    "Queue",
    "QueueError",
    "QueuedMessage",
    "Reject",
    "ResultGone",
    "Retry",
    "ScheduleInfo",
    "Schedules",
    "Snooze",
    "SoftTimeLimit",
    "Stats",
    "StoreDenied",
    "StoreError",
    "StoreUnavailable",
    "StoreUnsupported",
    "Summary",
    "Supervisor",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "configure",
    "given",
    "handler",
    "message",
    "on",
    "open_store",
    "payload_type",
    "resource",
    "stats",
    "task",
    "use",
]

#: Imported when they are first asked for: a module that only declares tasks need not load the event loop, thread pools
#: and process machinery that producers and workers need.
_LATER = {
    "DeadGroup": "s3queue.operate.letters",
    "ScheduleInfo": "s3queue.operate.schedules",
    "Schedules": "s3queue.operate.schedules",
    "DeadLetter": "s3queue.operate.letters",
    "FailedAttempt": "s3queue.operate.views",
    "MessageHandle": "s3queue.messages",
    "MessageDetails": "s3queue.operate.details",
    "MessageProgress": "s3queue.operate.status",
    "Producer": "s3queue.producer",
    "Queue": "s3queue.queue",
    "QueuedMessage": "s3queue.operate.looking",
    "Stats": "s3queue.observe.stats",
    "events": "s3queue.events",
    "message": "s3queue.messages",
    "stats": "s3queue.operate.inspection",
    "Summary": "s3queue.supervisor",
    "Supervisor": "s3queue.supervisor",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = importlib.import_module(module)
    if module != f"{__name__}.{name}":
        value = getattr(value, name)
    globals()[name] = value
    return value
