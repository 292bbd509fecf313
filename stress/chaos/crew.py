"""The parties, and how they are started, stopped and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec
import psutil

from s3queue.errors import QueueError
from s3queue.io.clock import clock
from stress.chaos.clocks import Clock
from stress.chaos.host import HostSpec
from stress.chaos.notes import Done, Notebook
from stress.chaos.operator import OperatorSpec
from stress.chaos.plan import QUEUES
from stress.chaos.producer import Line, ProducerSpec


class Failed(QueueError):
    """The run did not end."""


class Crew:
    """All of them, and the book of what was done to them.

    Args:
        folder: of the run.
        urls: of the store, by the name of a party; the same for all unless there is a proxy for each.
        settings: of `s3queue.Config`, for all.
    """

    def __init__(
        self, folder: Path, urls: dict[str, str], settings: dict[str, str | int | float], environ: dict[str, str]
    ) -> None:
        self.folder, self.urls, self.settings, self.environ = folder, urls, settings, environ
        self.book = Notebook(folder, "faults")
        self.hosts: list[Host] = []
        self.producers: list[Producer] = []
        self.operators: list[subprocess.Popen[bytes]] = []
        #: Those that hosts serve.
        self.queues = QUEUES

    @property
    def parties(self) -> list[Host | Producer]:
        return [*self.hosts, *self.producers]

    def note(self, kind: str, what: str, party: str = "", pids: tuple[int, ...] = (), *, begins: bool = True) -> None:
        self.book.write(Done(clock(), kind, what, party, pids, begins))

    def start(self, party: str, module: str, spec: Any, **more: Any) -> subprocess.Popen[bytes]:
        path = self.folder / "specs" / f"{party}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.encode(spec))
        log = self.folder / "logs" / f"{party}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", module, str(path)],
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environ},
                start_new_session=True,
                **more,
            )

    def operate(self, draw: float) -> subprocess.Popen[bytes]:
        """Start an operator. It comes to the store by the way of the last host, which is never disturbed."""
        party = f"o{len(self.operators)}"
        url = list(self.urls.values())[-1] if "z" not in self.urls else self.urls["z"]
        spec = OperatorSpec(party, url, str(self.folder), self.settings, str(self.folder / f"{party}.clock"), draw)
        Clock(Path(spec.clock))
        self.operators.append(self.start(party, "stress.chaos.operator", spec))
        return self.operators[-1]

    def end(self) -> None:
        """Kill whatever still runs."""
        for operator in self.operators:
            operator.kill()
            operator.wait()
        for host in self.hosts:
            if host.process is not None:
                host.kill_tree()
        for producer in self.producers:
            producer.process.kill()
            producer.process.wait()


class Producer:
    def __init__(
        self, crew: Crew, party: str, seed: int, *, poison: bool = False, features: tuple[str, ...] = ()
    ) -> None:
        self.party = party
        # It does not know of the limits of hosts, as an older release would not.
        settings = {name: value for name, value in crew.settings.items() if name != "max_message_bytes"}
        clock_file = str(crew.folder / f"{party}.clock")
        spec = ProducerSpec(party, crew.urls[party], str(crew.folder), settings, clock_file, seed, poison, features)
        self.clock = Clock(Path(spec.clock))
        self._log = crew.folder / "logs" / f"{party}.log"
        self.process = crew.start(party, "stress.chaos.producer", spec, stdin=subprocess.PIPE)

    def send(self, first: int, count: int) -> None:
        """
        Raises:
            Failed: the process has ended.
        """
        pipe = self._pipe
        try:
            pipe.write(msgspec.json.encode(Line(first, count)) + b"\n")
            pipe.flush()
        except BrokenPipeError:
            self.process.wait()
            raise self.failed() from None

    def finish(self) -> None:
        """There is no more to send; the process ends when it has sent all."""
        with suppress(BrokenPipeError):  # its status tells
            self._pipe.close()

    def failed(self) -> Failed:
        """What became of it, with the end of what it said."""
        said = self._log.read_text(errors="replace").strip().splitlines()[-5:]
        return Failed("\n".join([f"producer {self.party} ended with status {self.process.returncode}:", *said]))

    @property
    def _pipe(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin


class Host:
    """A host, through all its lives.

    Attributes:
        lives: how often it was started.
        process: None while it is down.
        stopped: processes that are stopped now.
    """

    def __init__(self, crew: Crew, name: str) -> None:
        self._crew, self.name = crew, name
        self.lives = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.clock = Clock(crew.folder / f"{name}.clock")
        self.stopped: list[psutil.Process] = []
        self._far = False

    @property
    def party(self) -> str:
        return f"{self.name}.{self.lives}"

    def start(self, *, far: bool, until_empty: bool = False) -> None:
        self.lives += 1
        crew = self._crew
        tempdir = ""
        if far:
            tempdir = str(crew.folder / f"t{self.party}")
            os.mkdir(tempdir)
        spec = HostSpec(
            self.party,
            crew.urls[self.name],
            str(crew.folder),
            crew.settings,
            str(crew.folder / f"{self.name}.clock"),
            tempdir,
            until_empty,
            crew.queues,
        )
        self._far = far
        self.process = crew.start(self.party, "stress.chaos.host", spec)

    # ---- its processes -------------------------------------------------------------------------------------

    def supervisor(self) -> psutil.Process | None:
        """None while it is not up yet, or down."""
        if self.process is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            outer = psutil.Process(self.process.pid)
            if not self._far:
                return outer
            return next(iter(outer.children()), None)
        return None

    def children(self) -> list[psutil.Process]:
        """The agent and the workers, oldest first: no worker is started before its agent is up, and none outlives it."""
        supervisor = self.supervisor()
        if supervisor is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted(supervisor.children(), key=lambda child: child.create_time())
        return []

    def agent(self) -> psutil.Process | None:
        return next(iter(self.children()), None)

    def workers(self) -> list[psutil.Process]:
        return self.children()[1:]

    def tree(self) -> list[psutil.Process]:
        """Everything, the eldest first."""
        if self.process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            outer = psutil.Process(self.process.pid)
            return [outer, *outer.children(recursive=True)]
        return []

    # ---- what can be done to it ----------------------------------------------------------------------------

    def stop(self, processes: list[psutil.Process]) -> tuple[int, ...]:
        """SIGSTOP, whoever could start another first."""
        self.stopped = signalled(processes, signal.SIGSTOP)
        return tuple(process.pid for process in self.stopped)

    def resume(self) -> tuple[int, ...]:
        resumed = signalled(self.stopped, signal.SIGCONT)
        self.stopped = []
        return tuple(process.pid for process in resumed)

    def kill_tree(self) -> tuple[int, ...]:
        """SIGKILL to everything, and wait for its end."""
        assert self.process is not None
        killed: set[int] = set()
        while self.process.poll() is None:
            tree = self.tree()
            # Parents first: one that lives would start another child.
            killed |= {process.pid for process in signalled(tree, signal.SIGKILL)}
            psutil.wait_procs(tree[1:], timeout=10)
            self.process.wait()
        self.process, self.stopped = None, []
        return tuple(sorted(killed))

    def ask_to_end(self) -> None:
        supervisor = self.supervisor()
        if supervisor is not None:
            signalled([supervisor], signal.SIGTERM)


def signalled(processes: list[psutil.Process], number: signal.Signals) -> list[psutil.Process]:
    """Those that the signal could be sent to."""
    done = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            done.append(process)
    return done


def can_be_far() -> bool:
    """Whether this machine lets us make process spaces."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0
