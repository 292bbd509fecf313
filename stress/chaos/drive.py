"""One run, from empty to empty: start all parties, cause faults, repair them, wait until all is done, judge."""

from __future__ import annotations

import os
import random
import secrets
import select
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import s3queue
from s3queue.config import Config, redact_url
from s3queue.core import operate
from s3queue.core.keys import Layout
from s3queue.core.ops import Unknown, get, list_all
from s3queue.core.records import Board, DeadLetter, decode
from s3queue.errors import ConfigError, QueueError
from s3queue.io.clock import clock
from s3queue.io.drive import Driver
from s3queue.store import Found, open_store
from s3queue.testing.faultproxy import FaultProxy
from stress.chaos import calls, faults, featured, notes, shares, ticking
from stress.chaos.accounts import gather
from stress.chaos.crew import Crew, Failed, Host, Producer, can_be_far
from stress.chaos.history import Verdict, judge
from stress.chaos.plan import BEATS, KINDS, LARGEST, OVERSIZE, OWN_QUEUES, QUEUES, Mishap, Order, mishaps, portion
from stress.chaos.stores import clean_up, endpoint, proxied

#: After so long without a start of a task, in seconds, something else goes wrong.
_STALL_S = 6.0
#: Seconds for which a network that is disturbed may keep one object from being read.
_UNREAD_S = 20.0


class Wanted(NamedTuple):
    """The arguments of a run. Times in seconds; ``store`` is empty for a fresh SQLite file."""

    store: str = ""
    hosts: int = 2
    workers: int = 2
    concurrency: int = 1
    producers: int = 2
    messages: int = 5000
    kinds: tuple[str, ...] = tuple(KINDS)
    seed: int = 0
    mishaps: int | None = None
    visibility_s: float = 3.0
    lease_s: float = 2.0
    timeout_s: float = 300.0
    evidence: Path | None = None
    schedules: int = 0
    features: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """
    Attributes:
        skipped: kinds of faults that were asked for and cannot be had here, and why.
        folder: the evidence.
    """

    wanted: Wanted
    store: str
    verdict: Verdict
    faults: dict[str, int]
    skipped: dict[str, str]
    requests: dict[str, int]
    seconds: float
    folder: Path

    @property
    def passed(self) -> bool:
        verdict = self.verdict
        return not (verdict.lost or verdict.committed_twice or verdict.unexplained or verdict.violations)

    def report(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "messages": verdict.messages,
            "done": verdict.done,
            "dead": verdict.dead,
            "cancelled": verdict.cancelled,
            "redriven": verdict.redriven,
            "lost": len(verdict.lost),
            "committed_twice": verdict.committed_twice,
            "ran_twice": sum(verdict.ran_twice.values()),
            "ran_twice_unexplained": len(verdict.unexplained),
            "fences": verdict.fences,
            "takeovers": verdict.takeovers,
            "faults": self.faults,
            "recovery_s": verdict.recovery,
            "requests": self.requests,
            "explained": {why: many for why, many in verdict.ran_twice.items() if why != "unexplained"},
            "finished_again": verdict.finished_again,
            "violations": verdict.violations,
            "skipped": self.skipped,
            "seed": self.wanted.seed,
            "store": self.store,
            "seconds": round(self.seconds, 1),
        }


def run(wanted: Wanted, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """One run. Its evidence stays in a folder, which the caller removes."""
    folder = wanted.evidence or Path(tempfile.mkdtemp(prefix="s3q-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            drive = Drive(wanted, folder, stack, say)
        except ConfigError:
            remove(folder)
            raise
        return drive.run()


class Drive:
    def __init__(self, wanted: Wanted, folder: Path, stack: ExitStack, say: Callable[[str], None]) -> None:
        self._wanted, self._folder, self._say = wanted, folder, say
        self._draw = random.Random(f"{wanted.seed}/places")
        self._far = can_be_far()
        self._namespace = f"chaos-{secrets.token_hex(4)}"
        self._violations: list[str] = []
        self._orders: dict[int, Order] = {}
        #: Whether hosts may end by themselves.
        self._ending = False
        for name in ("once", "history", "refuse"):
            (folder / name).mkdir()
        os.mkfifo(folder / "bell", 0o600)
        # Both ends, so that neither opening it nor a quiet moment of everybody ends it.
        self._bell = os.open(folder / "bell", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, self._bell)
        self.kinds, self.skipped = self._possible(wanted)
        self._disk = stack.enter_context(faults.small_disk(folder / "disk")) if "disk" in self.kinds else None
        place = self._disk.folder if self._disk is not None else folder
        if wanted.store.startswith("memory:"):
            raise ConfigError("a store in memory cannot be shared among hosts", "leave --store out for a SQLite file")
        self._url = wanted.store or f"sqlite:///{place}/queue.db?durable=false"
        self._store = open_store(self._url)
        stack.callback(self._store.close)
        names = [chr(ord("a") + number) for number in range(wanted.hosts)] + ["z"]
        producers = [f"p{number}" for number in range(wanted.producers)]
        self._proxies: dict[str, FaultProxy] = {}
        urls = dict.fromkeys((*names, *producers), self._url)
        if "net" in self.kinds:
            for name in (*names[:-1], *producers):
                urls[name], self._proxies[name] = stack.enter_context(proxied(self._url, f"{wanted.seed}/{name}"))
        self._crew = Crew(folder, urls, self._settings(), {"PYTHONPATH": os.pathsep.join(sys.path)})
        stack.callback(self._crew.end)
        self._faults = faults.Faults(
            self._crew,
            self._proxies,
            self._disk,
            visibility_s=wanted.visibility_s,
            lease_s=wanted.lease_s,
            far=self._is_far,
        )

    def _settings(self) -> dict[str, str | int | float]:
        wanted = self._wanted
        return {
            "namespace": self._namespace,
            "visibility_timeout": wanted.visibility_s,
            "leader_lease": wanted.lease_s,
            "drain_timeout": 10.0,
            "enqueue_deadline": 20.0,
            "workers": wanted.workers,
            "concurrency": wanted.concurrency,
            "max_message_bytes": LARGEST,
        }

    @staticmethod
    def _possible(wanted: Wanted) -> tuple[tuple[str, ...], dict[str, str]]:
        skipped = {}
        if "net" in wanted.kinds and endpoint(wanted.store) is None:
            skipped["net"] = "there is no network to disturb: the store has no http:// endpoint"
        if "disk" in wanted.kinds and wanted.store:
            skipped["disk"] = "only the disk of the run's own SQLite file is filled: leave out the store"
        elif "disk" in wanted.kinds and not faults.can_mount():
            skipped["disk"] = "mounting a small file system needs root, on Linux"
        return tuple(kind for kind in wanted.kinds if kind not in skipped), skipped

    def _is_far(self) -> bool:
        return self._far and self._draw.random() < 0.6

    # ---- the run -------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        wanted, crew = self._wanted, self._crew
        began = time.monotonic()
        self._until = clock() + wanted.timeout_s
        if wanted.schedules:
            ticking.begin(self._store, self._namespace, wanted.schedules)
        own = [queue for feature, queue in OWN_QUEUES.items() if feature in wanted.features]
        crew.queues = (*QUEUES, *([BEATS] if wanted.schedules else ()), *own)
        for name in list(crew.urls)[: wanted.hosts]:
            crew.hosts.append(Host(crew, name))
            crew.hosts[-1].start(far=self._is_far())
        crew.producers += [
            Producer(crew, f"p{number}", wanted.seed, poison="poison" in self.kinds, features=wanted.features)
            for number in range(wanted.producers)
        ]
        try:
            self._disturb()
            self._finish()
        except Failed as failed:
            self._violations.append(str(failed))
        crew.end()
        self._faults.counts.update({"net": sum(sum(proxy.faults.values()) for proxy in self._proxies.values())})
        verdict = self._judge()
        if wanted.store:
            clean_up(self._store, self._namespace)
        counts = {kind: self._faults.counts[kind] for kind in wanted.kinds if kind in self.kinds}
        return Outcome(
            wanted,
            redact_url(self._store.url),
            verdict,
            counts,
            self.skipped,
            notes.requests(self._folder),
            time.monotonic() - began,
            self._folder,
        )

    def _disturb(self) -> None:
        """Send portion after portion, with a fault after each."""
        wanted = self._wanted
        many = wanted.mishaps
        if many is None:
            many = max(2 * len(self.kinds), wanted.messages // 200)
        if not self.kinds:
            many = 0
        size = -(-wanted.messages // (many + 1))
        plan = mishaps(wanted.seed, self.kinds, many, size)
        first = 0
        for number, mishap in enumerate([*plan, None]):
            count = max(0, min(size, wanted.messages - first))
            if count:
                self._send(number, first, count)
            first += count
            if mishap is not None:
                self._go_wrong(mishap)
        for producer in self._crew.producers:
            producer.finish()

    def _send(self, number: int, first: int, count: int) -> None:
        wanted = self._wanted
        for sending in portion(wanted.seed, first, count, poison="poison" in self.kinds, features=wanted.features):
            self._orders.update((order.number, order) for order in sending.orders)
        self._crew.producers[number % len(self._crew.producers)].send(first, count)

    def _go_wrong(self, mishap: Mishap) -> None:
        goal, stalled = self._faults.starts + mishap.after, clock() + _STALL_S
        self._wait(lambda: self._faults.starts >= goal or clock() >= stalled, stalled)
        self._say(f"{mishap.kind:10} after {self._faults.starts} starts")
        # A host that has just been started has no workers yet.
        self._wait(lambda: self._faults.do(mishap), self._until)

    def _finish(self) -> None:
        """Repair everything, and wait until nothing is left to do."""
        wanted = self._wanted
        producers = [producer.process for producer in self._crew.producers]
        self._wait(lambda: not self._faults.open, self._until)
        self._say("healing")
        self._faults.heal()
        if "operate" in self.kinds:
            self._wait(lambda: all(operator.poll() is not None for operator in self._crew.operators), self._until)
            self._go_on()
        self._wait(lambda: all(process.poll() is not None for process in producers), self._until)
        for process, producer in zip(producers, self._crew.producers, strict=True):
            if process.returncode != 0:
                raise producer.failed()
        if wanted.schedules:
            ticking.end(self._store, self._namespace)
        self._say("draining")
        closer = Host(self._crew, "z")
        self._crew.hosts.append(closer)
        closer.start(far=False, until_empty=True)
        if (status := self._end_of(closer, self._until)) != 0:
            raise Failed(f"the host that was to drain ended with status {status}")
        for host in self._crew.hosts:
            host.ask_to_end()
        for host in self._crew.hosts:
            if (status := self._end_of(host, self._until)) != 0:
                self._violations.append(f"host {host.party} ended with status {status}")

    def _go_on(self) -> None:
        """Resume what operators have paused who were killed."""
        layout, driver = Layout(self._namespace), Driver(self._store)
        while isinstance(
            driver.run(operate.change(layout, operate.resume(*QUEUES), secrets.token_hex(8))), Unknown
        ):  # as an operator does
            pass

    def _end_of(self, host: Host, until: float) -> int:
        """Wait for a host to end; its status. 0 if it is down."""
        process = host.process
        if process is None:
            return 0
        self._ending = True
        self._wait(lambda: process.poll() is not None, until)
        host.process = None
        return process.returncode

    def _wait(self, look: Callable[[], bool], until: float) -> None:
        """Wait for a party, and repair faults that are over meanwhile.

        Raises:
            Failed: the run has taken too long.
        """
        while not look():
            now = clock()
            if now >= self._until:
                raise Failed(f"not done after {self._wanted.timeout_s:g} s: {self._left()}")
            with _watched(self._crew) as processes:
                timeout = max(0.0, min(until - now, self._faults.next_s(), 1.0))
                select.select([self._bell, *processes], [], [], timeout)
            self._hear()
            self._faults.tend()
            self._look_after()

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while heard := os.read(self._bell, 65536):
                self._faults.started(heard.count(b"."))

    def _look_after(self) -> None:
        """A host that ends by itself has given up, which it never may; save one that never came to a store that was out
        of reach. A service manager would start it again."""
        for host in self._crew.hosts:
            process = host.process
            if process is not None and process.poll() is not None and not self._ending:
                if self._faults.joined(host.party):
                    self._violations.append(f"host {host.party} ended by itself with status {process.returncode}")
                self._crew.note("end", "by itself", host.party)
                host.process, host.stopped = None, []
                host.start(far=self._is_far())

    def _left(self) -> str:
        with suppress(QueueError):
            layout = Layout(self._namespace)
            listed = Driver(self._store).run(list_all(layout.home))
            sources = [item.key for item in listed if item.key.startswith((layout.inbox, layout.later))]
            return f"{len(sources)} batches are left, such as {sources[:3]}"
        return "the store does not answer"

    # ---- the end -------------------------------------------------------------------------------------------

    def _judge(self) -> Verdict:
        layout = Layout(self._namespace)
        accounts = gather(self._folder, layout)
        driver = Driver(self._store)
        found = driver.run(get(layout.board))
        if isinstance(found, Found):
            (self._folder / "board.json").write_bytes(found.body)
            accounts.board = decode(Board, layout.board, found.body)
        listed = driver.run(list_all(f"{layout.root}/"))
        (self._folder / "keys.txt").write_text("".join(f"{item.key}\n" for item in listed))
        for item in listed:
            if item.key.startswith(f"{layout.root}/dead/"):
                letter = driver.run(get(item.key))
                if isinstance(letter, Found):
                    record = decode(DeadLetter, item.key, letter.body)
                    place = accounts.stones if record.tombstone else accounts.letters
                    place[item.key.rpartition("/")[2]] = record
            elif item.key.startswith((layout.inbox, layout.later)):
                accounts.left.add(layout.path(item.key))
                if item.size < OVERSIZE:
                    self._violations.append(f"left in the store: {item.key}")
        if many := self._wanted.schedules:
            self._violations += ticking.judge(accounts, self._folder, many)
        checks: dict[str, Callable[[], Iterable[str]]] = {
            "limits": lambda: featured.limits(accounts),
            "rates": lambda: shares.rates(accounts),
            "fair": lambda: shares.turns(accounts),
            "results": lambda: featured.results(accounts, self._orders, self._result),
            "once": lambda: calls.once(accounts, self._orders),
            "unique": lambda: calls.unique(accounts, self._orders),
            "debounce": lambda: calls.debounce(accounts, self._orders, _UNREAD_S * ("net" in self.kinds)),
            "expiry": lambda: featured.expiry(accounts, self._orders, faults.SKEW_S * 2 * ("clock" in self.kinds)),
            "batches": lambda: featured.batches(accounts),
        }
        for feature in self._wanted.features:
            self._violations += checks[feature]()
        verdict = judge(accounts, self._orders, self._wanted.concurrency)
        verdict.violations = [*self._violations, *verdict.violations]
        return verdict

    def _result(self, message: str) -> object:
        """What a reader is told; None: nothing."""
        with suppress(QueueError):
            return s3queue.message(message, self._store, config=Config(namespace=self._namespace)).result(timeout=5.0)
        return None


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _watched(crew: Crew) -> Iterator[list[int]]:
    """Becomes readable when a process ends that has not been seen to have ended. Empty where the system has no such
    thing; then it is seen a little later."""
    with ExitStack() as stack:
        found = []
        processes = [host.process for host in crew.hosts] + [producer.process for producer in crew.producers]
        for process in processes:
            if process is not None and process.returncode is None and hasattr(os, "pidfd_open"):
                with suppress(ProcessLookupError):
                    found.append(os.pidfd_open(process.pid))
                    stack.callback(os.close, found[-1])
        yield found
