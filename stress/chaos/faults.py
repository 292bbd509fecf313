"""The faults, and how they are repaired."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from s3queue.io.clock import clock
from s3queue.testing.faultproxy import FaultProxy
from stress.chaos.crew import Crew, Host, signalled
from stress.chaos.notes import Claimed, Ending, read_on
from stress.chaos.plan import Mishap

#: How far a wall clock may be off, in seconds, either way. What is delayed by a clock that is ahead waits that much longer.
SKEW_S = 15.0


@dataclass
class Trouble:
    """Something that went wrong and is to be put right.

    Attributes:
        over: whether it has lasted for long enough.
        starts: after that, how many tasks are to start first.
        until: by `clock`, when it ends whatever happens.
        mend: puts it right.
        wakes: a host that is missed till then. It is not while nobody else is there.
    """

    over: Callable[[], bool]
    starts: int
    until: float
    mend: Callable[[], None]
    wakes: bool = False


class Sessions:
    """Who is in which session, and whose was ended: read from what the stores of the parties write down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "store"
        self._read: dict[Path, int] = {}
        self._current: dict[str, str] = {}
        self._joined: set[str] = set()
        self._ended: set[str] = set()

    def current(self, party: str) -> str:
        self._look()
        return self._current.get(party, "")

    def has_joined(self, party: str) -> bool:
        self._look()
        return party in self._joined

    def is_over(self, session: str) -> bool:
        self._look()
        return session in self._ended

    def _look(self) -> None:
        for file in self._folder.glob("*.jsonl"):
            records, self._read[file] = read_on(file, self._read.get(file, 0))
            for record in records:
                if isinstance(record, Claimed):
                    self._current[record.party] = record.session
                    if record.stored:
                        self._joined.add(record.party)
                elif isinstance(record, Ending) and record.outcome == "stored":
                    self._ended.add(record.session)


class Faults:
    """Does what the plan says, to whoever is there.

    Args:
        proxies: by party; none where there is no network to disturb.
        disk: the file system of the store, if it is one of its own.
        far: whether a host that starts next is a far one.

    Attributes:
        counts: how often each kind was done. open: what is yet to be put right.
    """

    def __init__(
        self,
        crew: Crew,
        proxies: dict[str, FaultProxy],
        disk: Disk | None,
        *,
        visibility_s: float,
        lease_s: float,
        far: Callable[[], bool],
    ) -> None:
        self._crew, self._proxies, self._disk, self._far = crew, proxies, disk, far
        self._visibility_s, self._lease_s = visibility_s, lease_s
        self._sessions = Sessions(crew.folder)
        self._starts = 0
        self.counts: Counter[str] = Counter()
        self.open: list[Trouble] = []

    def do(self, mishap: Mishap) -> bool:
        """Whether there was anybody to hit. It is noted before it is hit: nobody can die of it before that."""
        before = self.counts[mishap.kind]
        {
            "kill": self._kill,
            "stop": self._stop,
            "agent": self._agent,
            "supervisor": self._supervisor,
            "net": self._net,
            "clock": self._clock,
            "disk": self._fill,
            "operate": self._operate,
            "poison": self._refuse,
        }[mishap.kind](mishap)
        return self.counts[mishap.kind] > before

    def joined(self, party: str) -> bool:
        """Whether this host ever stored a ledger."""
        return self._sessions.has_joined(party)

    def started(self, many: int) -> None:
        """So many tasks have started since this was last said."""
        self._starts += many

    def tend(self) -> None:
        """Put right what has lasted for long enough."""
        for trouble in list(self.open):
            if clock() >= trouble.until or (trouble.wakes and not self._awake()):
                self._mend(trouble)
            elif trouble.over():
                if trouble.starts > 0:
                    trouble.over, trouble.starts = _after(self, trouble.starts), 0
                else:
                    self._mend(trouble)

    def next_s(self) -> float:
        """Seconds to the next time at which something is put right whatever happens."""
        return max(0.0, min((trouble.until for trouble in self.open), default=float("inf")) - clock())

    def heal(self) -> None:
        """Put everything right."""
        for trouble in list(self.open):
            self._mend(trouble)
        for proxy in self._proxies.values():
            proxy.rate = 0.0
            proxy.come_back()
        for party in self._crew.parties:
            party.clock.set(0.0)
        for host in self._crew.hosts:
            if host.process is None:
                host.start(far=self._far())

    def _mend(self, trouble: Trouble) -> None:
        self.open.remove(trouble)
        trouble.mend()

    @property
    def starts(self) -> int:
        return self._starts

    # ---- processes -----------------------------------------------------------------------------------------

    def _hosts(self, mishap: Mishap) -> Iterator[Host]:
        """Those that are there, beginning with the one whose turn it is."""
        hosts = self._crew.hosts
        for offset in range(len(hosts)):
            host = hosts[(mishap.host + offset) % len(hosts)]
            if host.process is not None and host.process.poll() is None:
                yield host

    def _did(self, kind: str, what: str, party: str, pids: tuple[int, ...] = ()) -> None:
        self.counts[kind] += 1
        self._crew.note(kind, what, party, pids)

    def _kill(self, mishap: Mishap) -> None:
        for host in self._hosts(mishap):
            workers = host.workers()
            if workers:
                victim = workers[int(mishap.variant * len(workers))]
                self._did("kill", "worker", host.party, (victim.pid,))
                signalled([victim], signal.SIGKILL)
                return

    def _agent(self, mishap: Mishap) -> None:
        for host in self._hosts(mishap):
            agent = host.agent()
            if agent is not None:
                # Its workers die of it, by the supervisor's hand.
                pids = tuple(process.pid for process in host.children())
                self._did("agent", "agent", host.party, pids)
                signalled([agent], signal.SIGKILL)
                return

    def _supervisor(self, mishap: Mishap) -> None:
        for host in self._hosts(mishap):
            supervisor = host.supervisor()
            if supervisor is not None:
                self._end_host(host, supervisor, mishap)
                return

    def _end_host(self, host: Host, supervisor: psutil.Process, mishap: Mishap) -> None:
        session = self._sessions.current(host.party)
        pids = tuple(process.pid for process in host.tree())
        if mishap.variant < 0.6:
            self._did("supervisor", "tree", host.party, pids)
        else:
            self._did("supervisor", "supervisor", host.party, pids)
            signalled([supervisor], signal.SIGKILL)
        host.kill_tree()
        if mishap.later < 0.5 or not session:
            host.start(far=self._far())
            return
        until = clock() + 4 * self._visibility_s + self._lease_s

        def restart() -> None:
            host.start(far=self._far())

        starts = int(mishap.length * 40)
        self.open.append(Trouble(lambda: self._sessions.is_over(session), starts, until, restart, True))

    def _awake(self) -> bool:
        """Whether there is anybody who could end a session of another."""
        return any(host.process is not None and not host.stopped for host in self._crew.hosts)

    def _stop(self, mishap: Mishap) -> None:
        for host in self._hosts(mishap):
            children = host.children()
            if children and not host.stopped:
                self._stop_host(host, children, mishap)
                return

    def _stop_host(self, host: Host, children: list[psutil.Process], mishap: Mishap) -> None:
        session = self._sessions.current(host.party)
        if mishap.variant < 0.5:
            what, victims = "tree", host.tree()
        elif mishap.variant < 0.75 or len(children) == 1:
            what, victims = "agent", children[:1]
        else:
            what, victims = "worker", [children[1 + int(mishap.later * len(children[1:]))]]
        self._did("stop", what, host.party, tuple(victim.pid for victim in victims))
        host.stop(victims)
        short = mishap.length < 0.25 or what == "worker" or not session
        length_s = self._visibility_s * (0.3 + 2.4 * mishap.length if short else 4.0) + self._lease_s
        self.open.append(
            Trouble(
                (lambda: False) if short else (lambda: self._sessions.is_over(session)),
                int(mishap.later * 40),
                clock() + length_s,
                lambda: self._resume(host),
                wakes=True,
            )
        )

    def _resume(self, host: Host) -> None:
        party = host.party
        if pids := host.resume():
            self._crew.note("stop", "go on", party, pids, begins=False)

    # ---- the rest of the world -----------------------------------------------------------------------------

    def _net(self, mishap: Mishap) -> None:
        names = sorted(self._proxies)
        name = names[mishap.host % len(names)]
        proxy = self._proxies[name]
        party = next((host.party for host in self._crew.hosts if host.name == name), name)
        length_s = self._visibility_s * (0.2 + 1.8 * mishap.length)
        if mishap.variant < 0.6:
            self._did("net", f"gone for {length_s:.1f} s", party)
            proxy.go_away()
            mend = proxy.come_back
        else:
            before = proxy.rate
            self._did("net", f"bad for {length_s:.1f} s", party)
            proxy.rate = 0.4

            def mend() -> None:
                proxy.rate = before

        self.open.append(Trouble(lambda: False, 0, clock() + length_s, mend))

    def _clock(self, mishap: Mishap) -> None:
        parties = self._crew.parties
        party = parties[mishap.host % len(parties)]
        skew_s = random.Random(mishap.variant).uniform(-SKEW_S, SKEW_S)
        self._did("clock", f"{skew_s:+.1f} s", party.party)
        party.clock.set(skew_s)

    def _refuse(self, mishap: Mishap) -> None:
        """The store refuses some objects of one kind."""
        what = "letters" if mishap.variant < 0.5 else "batches"
        length_s = self._visibility_s * (0.5 + 2.5 * mishap.length)
        refusal = self._crew.folder / "refuse" / what
        self._did("poison", f"{what} refused for {length_s:.1f} s", "")
        refusal.touch()
        self.open.append(Trouble(lambda: False, 0, clock() + length_s, lambda: refusal.unlink(missing_ok=True)))

    def _operate(self, mishap: Mishap) -> None:
        """An operator does something. Some are killed before they have seen what came of it."""
        self._did("operate", "operator", "")
        operator = self._crew.operate(mishap.variant)
        if mishap.later < 0.3:
            length_s = 0.5 + mishap.length
            self.open.append(Trouble(lambda: False, 0, clock() + length_s, operator.kill))

    def _fill(self, mishap: Mishap) -> None:
        assert self._disk is not None
        length_s = self._visibility_s * (0.2 + 1.3 * mishap.length)
        self._did("disk", f"full for {length_s:.1f} s", "")
        self._disk.fill()
        self.open.append(Trouble(lambda: False, 0, clock() + length_s, self._disk.free))


def _after(faults: Faults, starts: int) -> Callable[[], bool]:
    goal = faults.starts + starts
    return lambda: faults.starts >= goal


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as full:
                    if full.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size_mb: int = 64) -> Iterator[Disk]:
    """A file system in memory, mounted on ``folder``. Needs root, on Linux."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "none", str(folder)], check=True)
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        yield Disk(folder)


def can_mount() -> bool:
    return os.geteuid() == 0 and os.uname().sysname == "Linux" and shutil.which("mount") is not None
