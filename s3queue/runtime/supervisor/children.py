"""One child process of a supervisor: how it is started, heard, killed and reaped."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Sequence
from typing import Any, Literal

from s3queue.io.clock import clock
from s3queue.observe.beside import quiet
from s3queue.runtime.child import Sealed, enter, libraries_first, signals_held
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.wire import Note, pack, unpack
from s3queue.runtime.supervisor import causes
from s3queue.runtime.supervisor.leftovers import Leftovers
from s3queue.runtime.supervisor.processes import process_class
from s3queue.runtime.supervisor.watch import Verdict

#: Seconds that a fork waits for a subscriber of events that is being called. One that takes longer is forked with what it
#: has locked.
_QUIET_S = 0.1
#: What a child may be.
Role = Literal["agent", "worker", "metrics"]


class Child:
    """One process and the pipe to it.

    Attributes:
        up: it said `Started`.
        waiting: it said that it waits for the store.
        verdict: why we killed it; None if we did not.
        status: once it was reaped, as in `causes.death`.
    """

    def __init__(
        self,
        context: Any,
        role: Role,
        name: str,
        fields: dict[str, Any],
        life: Life,
        ours: Sequence[Any],
    ) -> None:
        """Start it.

        Args:
            ours: what a forked child must close: all descriptors that are the supervisor's alone.

        Raises:
            OSError, MemoryError: the system has no room for a process or its pipes. Nothing is left of the attempt.
        """
        self.role, self.name = role, name
        self.up = self.waiting = False
        self.verdict: Verdict | None = None
        self.status = causes.UNKNOWN
        self.started = clock()
        mark = f"{life.rundir.name}/{secrets.token_hex(4)}"
        method = context.get_start_method()
        self.conn, theirs = context.Pipe()
        others = (*ours, self.conn) if method == "fork" else ()
        arguments = (role, Sealed(fields), theirs, life, others, mark)
        still = quiet(_QUIET_S) if method == "fork" else contextlib.nullcontext()
        try:
            self.process = process_class(method)(target=enter, name=name, args=arguments)
            with signals_held(), libraries_first(method), still:
                self.process.start()
        except BaseException:
            self.conn.close()
            raise
        finally:
            theirs.close()
        self.pid: int = self.process.pid
        self._open = True
        self._pidfd = -1
        if method != "forkserver" and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(self.pid)
        self._left = Leftovers(self.pid, mark)

    def watched(self) -> list[Any]:
        """Objects that become readable when the child sends a note or ends. Its pidfd where the system has one, since a
        process that a task has forked may hold the sentinel open."""
        end = self.process.sentinel if self._pidfd < 0 else self._pidfd
        return [end, self.conn] if self._open else [end]

    @property
    def is_dead(self) -> bool:
        """Whether it has ended; it is reaped then. Asks the system each time."""
        return self.process.exitcode is not None

    def hear(self) -> list[Note]:
        notes: list[Note] = []
        try:
            while self._open and self.conn.poll(0):
                notes.append(unpack(self.conn.recv_bytes()))
        except (EOFError, OSError):
            self._open = False
        return notes

    def tell(self, note: Note) -> None:
        with contextlib.suppress(OSError):
            self.conn.send_bytes(pack(note))

    def kill(self, verdict: Verdict) -> None:
        if self.verdict is None:
            self.verdict = verdict
            self._left.hold()
        if self._pidfd < 0:
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def reap(self) -> bool:
        """Reap the child and kill the programs that it leaves behind. False: one of them cannot be killed."""
        self.process.join()
        self.status = self.process.exitcode
        self.process.close()
        self.conn.close()
        self._open = False
        if self._pidfd >= 0:
            os.close(self._pidfd)
        return self._left.end(in_session_only=self.status == 0)

    @property
    def age_s(self) -> float:
        return clock() - self.started

    def death(self, *, out_of_memory: bool) -> tuple[str, str]:
        """Cause (as in `s3queue.core.records.Failure`) and text, after it was reaped."""
        who = f"{self.name} (process {self.pid})"
        if self.verdict is None:
            return causes.death(who, self.status, out_of_memory=out_of_memory)
        cause, text, _ = self.verdict
        return cause, f"{who} was killed: {text}" if text else f"{who} was killed"
