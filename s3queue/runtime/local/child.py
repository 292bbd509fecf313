"""The first steps of every child process, and its last words if they are all it gets to say."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any, Literal

from multiprocess.reduction import ForkingPickler

from s3queue.config import configure
from s3queue.errors import ConfigError, QueueError, StoreUnsupported
from s3queue.runtime.local.life import Life, die_with_parent
from s3queue.runtime.local.spec import AgentSpec, WorkerSpec
from s3queue.runtime.local.wire import CannotStart, pack

#: What a terminal or a service manager sends to the whole process group. The supervisor decides what follows from it.
GROUP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
#: Exit status of an agent whose session was fenced: its workers may be running what is somebody else's now.
FENCED = 75
#: Exit status of a worker whose agent or supervisor is gone.
ORPHANED = 76


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Start processes only in here: a forked child must not act on a signal before it has handlers of its own (it would
    write to the supervisor's wake-up socket), and a helper that `multiprocess` starts must not be ended by one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def enter(role: Literal["agent", "worker"], sealed: Sealed, conn: Any, life: Life, others: tuple[Any, ...]) -> None:
    """Run one child to its end.

    Args:
        sealed: fields of the role's spec, without ``conn`` and ``life``.
        others: what a forked child must not keep: the supervisor's ends of all pipes. While one child holds the end of
            another's, that one does not learn that the supervisor is gone.
    """
    for other in others:
        other.close()
    if others:
        signal.set_wakeup_fd(-1)
    for number in GROUP_SIGNALS:
        # A handler, not SIG_IGN: what a task starts with exec would inherit that, and could not be terminated.
        signal.signal(number, _leave_it_to_the_supervisor)
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    try:
        fields = sealed.open()
        configure(store=fields["store"], config=fields["config"])
        if role == "agent":
            from s3queue.runtime.agent import main as agent

            agent.main(AgentSpec(**fields, conn=conn, life=life))
        else:
            from s3queue.runtime.worker import main as worker

            worker.main(WorkerSpec(**fields, conn=conn, life=life))
    except (QueueError, ImportError) as fault:
        # Anything else may be bad luck: the child ends with a traceback, and the supervisor tries again.
        match fault:
            case ConfigError():
                note = CannotStart(fault.message, fault.hint)
            case StoreUnsupported():
                note = CannotStart(fault.why, lacks=fault.capability)
            case _:
                note = CannotStart(str(fault) or type(fault).__name__)
        with contextlib.suppress(OSError):
            conn.send_bytes(pack(note))
        sys.exit(1)


def _leave_it_to_the_supervisor(*_: object) -> None: ...
