"""A supervisor in a process of its own, for tests to kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from s3queue_backends.sqlite import SqliteStore

from s3queue.config import Config, configure
from s3queue.core.keys import Layout, batch_id
from s3queue.core.produce import Accepted, enqueue, new_batch
from s3queue.core.records import Board, Failure, Message, decode, encode_message
from s3queue.io.drive import Driver
from s3queue.store import Found, ObjectStore
from s3queue.supervisor import Summary, Supervisor
from tests.deadline import DEADLINE_S
from tests.processes import jobs
from tests.runtime.desk import Pipe

#: Short enough that a test need not wait where nothing but time can tell.
IMPATIENT: dict[str, Any] = {"visibility_timeout": 2.0, "leader_lease": 1.0}


class Host:
    def __init__(self, url: str, until_empty: bool, settings: dict[str, Any], wrapper: Sequence[str] = ()) -> None:
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root), str(root / "backends"), os.environ.get("PYTHONPATH", "")])
        # A group of its own, as under a terminal or a service manager.
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "tests.processes.host", json.dumps([url, until_empty, settings])],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.process.pid

    def children(self) -> list[psutil.Process]:
        """Oldest first: the agent, then the workers."""
        return sorted(psutil.Process(self.pid).children(), key=lambda child: (child.create_time(), child.pid))

    def kill_tree(self) -> None:
        """Everything at once: nobody gets to see anybody else die."""
        supervisor = psutil.Process(self.pid)
        supervisor.suspend()  # from here on it starts nobody, and reaps nobody
        tree = [supervisor, *supervisor.children(recursive=True)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in tree:
                with contextlib.suppress(psutil.NoSuchProcess):  # of a child of a child
                    process.send_signal(number)
        psutil.wait_procs(tree, DEADLINE_S)

    def signal(self, number: int, *, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.pid, number)

    def interrupt(self) -> None:
        """Ask until it ends: within a second all of it is one wish."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.signal(signal.SIGINT)
            time.sleep(0.05)

    def summary(self) -> Summary:
        """What it came to, when it has ended."""
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0
        return Summary(*json.loads(out))

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill_tree()
        self.process.communicate()


@contextmanager
def host(
    store: ObjectStore, *, until_empty: bool = False, wrapper: Sequence[str] = (), **settings: Any
) -> Iterator[Host]:
    """``wrapper``: a command that runs it."""
    it = Host(store.url, until_empty, settings, wrapper)
    try:
        yield it
    finally:
        it.close()


def drain(store: ObjectStore, **settings: Any) -> Summary:
    """Run a supervisor in this process until nothing is left."""
    return Supervisor(store, config=Config(), **settings).run(until_empty=True)


def send(store: ObjectStore, messages: list[Message]) -> list[str]:
    """Store messages of several tasks in one object, after all others; their ids."""
    encoded = [encode_message(message) for message in messages]
    outgoing = new_batch(jobs.QUEUE, encoded, sent_ms=9_000_000_000_000, batch=batch_id(1, 1))
    assert Driver(store).run(enqueue(Layout(), outgoing)) == Accepted()
    return [Layout().message_id(outgoing.path, number) for number in range(len(messages))]


def board(store: ObjectStore) -> Board:
    """As it is stored now."""
    found = store.get(Layout().board)
    assert isinstance(found, Found)
    return decode(Board, "board", found.body)


def failures(store: ObjectStore) -> list[Failure]:
    """The error history that the board has, of all messages that are not settled."""
    sources = board(store).sources.values()
    return [one for source in sources for history in source.failures.values() for one in history]


class Line(Pipe):
    """A fifo that is read line by line."""

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self._rest: list[str] = []

    def word(self) -> list[str]:
        """The words of the next line."""
        if not self._rest:
            self._rest = self.line().splitlines()
        return self._rest.pop(0).split()


def main() -> None:
    url, until_empty, settings = json.loads(sys.argv[1])
    store = SqliteStore.from_url(url)
    configure(store=store)
    summary = Supervisor(store, queues=[jobs.QUEUE, jobs.BATCHES], config=Config(), **settings).run(
        until_empty=until_empty
    )
    store.close()
    print(json.dumps(summary))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that comes after the run is not to end us
    main()
