"""One supervisor as a host of its own: ``python -m stress.chaos.host SPEC``.

A host that is *far* lives in a process space and with temporary files of its own, so that others cannot see whether its
processes live and cannot wake it: to them it is another machine, and only time-outs tell of its end.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

from s3queue.config import Config, configure
from s3queue.runtime.local.life import die_with_parent
from s3queue.store import open_store
from s3queue.supervisor import Supervisor
from stress.chaos import jobs
from stress.chaos.clocks import Clock
from stress.chaos.plan import QUEUES
from stress.chaos.watch import WatchedStore

_CLONE_NEWPID = 0x20000000


class HostSpec(Struct, frozen=True):
    """
    Attributes:
        party: name and number of life, ``a.1``.
        folder: of the run.
        settings: of `s3queue.Config`.
        clock: file of its `Clock`.
        tempdir: of its own, where it is far; empty for one that is near.
        until_empty: it ends when nothing is left.
        queues: those that it serves.
    """

    party: str
    store: str
    folder: str
    settings: dict[str, str | int | float]
    clock: str
    tempdir: str = ""
    until_empty: bool = False
    queues: tuple[str, ...] = QUEUES


def main(spec: HostSpec) -> int:
    die_with_parent()
    if spec.tempdir:
        tempfile.tempdir = spec.tempdir
        enter_process_space()
    Clock(Path(spec.clock)).install()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)-7s %(name)s: %(message)s")
    folder = Path(spec.folder)
    config = Config(**spec.settings, history=str(folder / "history" / spec.party))  # type: ignore[arg-type]
    store = WatchedStore(open_store(spec.store), config.namespace, folder, spec.party)
    configure(store=store, config=config)
    jobs.write_in(folder, spec.party)
    summary = Supervisor(store, spec.queues, config=config).run(until_empty=spec.until_empty)
    return 0 if summary.drained else 3


def enter_process_space() -> None:
    """Go on as the first process of a new process space. Needs root.

    The process that called this waits for it, and ends as it did.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWPID) != 0:
        raise OSError(ctypes.get_errno(), "cannot make a process space")
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    die_with_parent()


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=HostSpec)))
