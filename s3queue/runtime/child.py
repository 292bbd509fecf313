"""The start of every child process, and its report if it cannot start."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, Literal

from multiprocess.reduction import ForkingPickler

from s3queue import errors
from s3queue.config import configure
from s3queue.errors import QueueError
from s3queue.runtime.local.life import Life, die_with_parent
from s3queue.runtime.local.spec import AgentSpec, MetricsSpec, WorkerSpec
from s3queue.runtime.local.wire import CannotStart, pack

#: Signals that a terminal or a service manager sends to the whole process group. Only the supervisor acts on them.
GROUP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
#: In the environment of a worker, and of every program that its tasks start: which worker that is.
MARK = "_S3QUEUE_WORKER"
#: The variable that keeps the working directory out of the Python path, and the value by which we know our own.
_SAFE_PATH, _OURS = "PYTHONSAFEPATH", "s3queue"


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Start processes only in here: a forked child must not act on a signal before it has handlers of its own (it would
    write to the supervisor's wake-up socket), and a helper that `multiprocess` starts must not be ended by one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def libraries_first(method: str) -> Iterator[None]:
    """Start processes only in here: a fresh interpreter would look for modules in the working directory first, and take a
    user's ``queue.py`` for the standard library's. `enter` takes it back, so that programs of tasks do not inherit it.

    Args:
        method: how the process is started.
    """
    if method == "fork" or os.environ.get(_SAFE_PATH):
        yield
        return
    os.environ[_SAFE_PATH] = _OURS
    try:
        yield
    finally:
        del os.environ[_SAFE_PATH]


class Sealed:
    """A value for a child that the child's own code unpacks, so that what fails there (a module that cannot be
    imported) can be told to the supervisor. A forked child gets the value itself."""

    def __init__(self, value: Any = None, body: bytes | None = None) -> None:
        self._value, self._body = value, body

    def open(self) -> Any:
        return self._value if self._body is None else ForkingPickler.loads(self._body)

    def __reduce__(self) -> tuple[Any, ...]:
        # While a process is being started; shared memory and descriptors in the value go along.
        return Sealed, (None, bytes(ForkingPickler.dumps(self._value)))


def enter(
    role: Literal["agent", "worker", "metrics"],
    sealed: Sealed,
    conn: Any,
    life: Life,
    others: tuple[Any, ...],
    mark: str = "",
) -> None:
    """Run one child to its end.

    Args:
        sealed: fields of the role's spec, without ``conn`` and ``life``.
        others: what a forked child must not keep: the supervisor's ends of all pipes. While one child holds the end of
            another's, that one does not learn that the supervisor is gone.
        mark: for the environment, see `MARK`.
    """
    for other in others:
        other.close()
    if others:
        signal.set_wakeup_fd(-1)
    # A session of its own: what a terminal sends to its foreground reaches neither us nor what our tasks start, and what
    # they leave behind can be told from everything else.
    with contextlib.suppress(PermissionError):  # it leads one already
        os.setsid()
    if mark:
        os.environ[MARK] = mark
    if os.environ.get(_SAFE_PATH) == _OURS:
        del os.environ[_SAFE_PATH]
    for number in GROUP_SIGNALS:
        # A handler, not SIG_IGN: what a task starts with exec would inherit that, and could not be terminated.
        signal.signal(number, _leave_it_to_the_supervisor)
    if signal.getsignal(signal.SIGCHLD) not in (signal.SIG_DFL, None):
        # The program's own handler is for the program's own children; it would take the status of ours.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    try:
        fields = sealed.open()
        configure(store=fields["store"], config=fields["config"])
        if role == "agent":
            from s3queue.runtime.agent import main as agent

            agent.main(AgentSpec(**fields, conn=conn, life=life))
        elif role == "metrics":
            from s3queue.runtime.metrics import main as metrics

            metrics.main(MetricsSpec(**fields, conn=conn, life=life))
        else:
            from s3queue.runtime.worker import main as worker

            worker.main(WorkerSpec(**fields, conn=conn, life=life))
    except (QueueError, ImportError) as fault:
        # Anything else may be bad luck: the child ends with a traceback, and the supervisor tries again.
        with contextlib.suppress(OSError):
            conn.send_bytes(pack(told(fault)))
        sys.exit(1)


def child_name(role: Literal["agent", "worker", "metrics"], number: int) -> str:
    """The name of a child process, also shown to people."""
    return f"{role} {number}" if role == "worker" else role


def is_child(name: str) -> bool:
    """Whether a process of this name is a child of a supervisor."""
    role, _, number = name.partition(" ")
    return name in ("agent", "metrics") or (role == "worker" and number.isdigit())


def told(fault: QueueError | ImportError) -> CannotStart:
    """The fault that stops a child, as a note: the supervisor raises it."""
    name, reduced = type(fault).__name__, fault.__reduce__()
    if isinstance(fault, QueueError) and getattr(errors, name, None) is type(fault) and isinstance(reduced, tuple):
        return CannotStart(name, tuple(str(arg) for arg in reduced[1]))
    return CannotStart("ConfigError", (str(fault) or type(fault).__name__,))


def heard(note: CannotStart) -> QueueError:
    """The fault in such a note, in the supervisor."""
    fault: QueueError = getattr(errors, note.error)(*note.args)
    return fault


def _leave_it_to_the_supervisor(*_: object) -> None: ...
