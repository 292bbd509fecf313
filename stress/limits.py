"""``python -m stress limits``: limits, rates and turns on real hosts, counted by the tasks themselves."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click

import s3queue
from s3queue import Queue
from s3queue.store import ObjectStore
from stress.limited import LOG, RECORD, fair, keyed, limited, paced, waiting
from stress.stores import HELP, store_url

#: What was said, by command.
KEPT = Path("docs/assets/benchmarks/limits.json")
#: Of all deaths, how many are of whole hosts; and seconds between two of them.
_WHOLE, _KILLS_S = 0.3, 1.0
#: Seconds without progress after which a run is given up.
_PATIENCE_S = 30.0


class Ran(NamedTuple):
    """Whose message ran, when it was sent, began and ended."""

    whom: str
    sent: float
    began: float
    ended: float


class Hosts:
    """Supervisors as processes of their own, and what their tasks have noted."""

    def __init__(self, url: str, many: int, slots: int, queue: str, folder: Path) -> None:
        self._log = folder / "ran"
        self._log.touch()
        os.environ[LOG] = str(self._log)
        arguments = ["run", "stress.limited", "--queue", queue, "--store", url, "--workers", str(slots)]
        run = [sys.executable, "-c", "from s3queue.cli import main; main()"]
        self._command = [*run, *arguments, "--concurrency", "1", "--log-level", "ERROR"]
        self.processes = [subprocess.Popen(self._command) for _ in range(many)]
        self.killed = 0

    def kill(self, at: random.Random) -> None:
        """Kill a worker or an agent, or a whole host, which is replaced."""
        number = at.randrange(len(self.processes))
        process = self.processes[number]
        with contextlib.suppress(OSError, IndexError):
            if at.random() < _WHOLE:
                process.kill()
                process.wait()
                self.processes[number] = subprocess.Popen(self._command)
            else:
                os.kill(at.choice(list(_children(process.pid))), signal.SIGKILL)
            self.killed += 1

    def ran(self) -> list[Ran]:
        body = self._log.read_bytes()
        whole = len(body) - len(body) % RECORD.size
        return [Ran(one[0].rstrip(b"\0").decode(), *one[1:]) for one in RECORD.iter_unpack(body[:whole])]

    @property
    def many(self) -> int:
        return self._log.stat().st_size // RECORD.size

    def until(self, holds: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Raises `TimeoutError`: nothing ran for long."""
        seen, since = self.many, time.monotonic()
        while not holds():
            meanwhile()
            time.sleep(0.05)
            if any(process.poll() is not None for process in self.processes):
                raise RuntimeError("a host has ended")
            if self.many != seen:
                seen, since = self.many, time.monotonic()
            if time.monotonic() - since > _PATIENCE_S:
                raise TimeoutError(f"{seen} messages ran, and none for {_PATIENCE_S:g} s")

    def memory(self) -> list[int]:
        """Resident kilobytes of the agent of the first host, which starts before its workers, and of those."""
        sizes = (Path(f"/proc/{child}/status").read_text() for child in sorted(_children(self.processes[0].pid)))
        return [int(status.split("VmRSS:")[1].split()[0]) for status in sizes]

    def end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)


@contextmanager
def _running(store: str, many: int, slots: int, queue: str) -> Iterator[tuple[ObjectStore, Hosts]]:
    with tempfile.TemporaryDirectory() as folder, store_url(store, Path(folder)) as place:
        url = place.replace("{n}", "limits")
        opened = s3queue.open_store(url)
        s3queue.configure(store=opened)
        hosts = Hosts(url, many, slots, queue, Path(folder))
        try:
            yield opened, hosts
        finally:
            hosts.end()


def _busy(ran: list[Ran]) -> tuple[int, float]:
    """The most at once; and how many on average, from the first start to the last one."""
    steps = sorted([(one.began, 1) for one in ran] + [(one.ended, -1) for one in ran])
    until = max(one.began for one in ran)
    most = now = 0
    area = 0.0
    for (at, step), (then, _) in pairwise(steps):
        now += step
        most = max(most, now)
        area += now * max(0.0, min(then, until) - min(at, until))
    return most, area / (until - steps[0][0])


def _quantile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


@click.group("limits")
@click.option("--keep", is_flag=True, help=f"Keep what it says in {KEPT}, for docs/benchmarks.md.")
@click.pass_context
def command(context: click.Context, keep: bool) -> None:
    """Limits, rates, turns, and messages that wait; each figure counted by the tasks."""
    context.obj = keep


def _say(*lines: str) -> None:
    """Print the figures, and keep them if that is wanted."""
    for line in lines:
        click.echo(line)
    context = click.get_current_context()
    if context.obj:
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        kept[f"python -m stress limits {context.info_name}"] = "; ".join(lines)
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")


def section() -> str:
    """The section of docs/benchmarks.md; empty if no figures are kept."""
    if not KEPT.exists():
        return ""
    rows = "\n".join(f"| `{command}` | {told} |" for command, told in json.loads(KEPT.read_text()).items())
    return f"""## Limits, turns, and messages that wait

Several hosts in separate processes on SQLite. The tasks themselves count. Targets:

- With `max_running=5`, never 6 run at once, and at least 4.5 on average.
- `rate=100/s` is within 2 % over a minute.
- 50 tenants enqueue one message each beside a large backlog. Their p95 is at most 3 times that on an empty queue.
- While 100,000 messages are delayed and 100,000 wait for a retry, a new message starts within two cycles.

| command | output |
|---|---|
{rows}"""


_STORE = click.option("--store", default="sqlite", show_default=True, help=HELP)


@command.command("running")
@_STORE
@click.option("--hosts", "many", default=4, show_default=True)
@click.option("--slots", default=4, show_default=True, help="Slots of each host.")
@click.option("--messages", default=10_000, show_default=True)
@click.option("--seconds", default=0.02, show_default=True, help="Seconds of each task.")
@click.option("--kill", is_flag=True, help="Kill workers, agents and hosts meanwhile.")
def running(store: str, many: int, slots: int, messages: int, seconds: float, kill: bool) -> None:
    """``max_running=5``: how many ran at once at most, and on average."""
    at, last = random.Random(1), time.monotonic()
    with _running(store, many, slots, "limited") as (_, hosts):

        def meanwhile() -> None:
            nonlocal last
            if kill and time.monotonic() - last > _KILLS_S:
                last = time.monotonic()
                hosts.kill(at)

        limited.enqueue_many([(seconds,)] * messages)
        hosts.until(lambda: hosts.many >= messages, meanwhile)
        most, mean = _busy(hosts.ran())
    what = f"{messages:,} messages of {seconds:g} s on {many} hosts of {slots}"
    deaths = f", {hosts.killed} killed" if kill else ""
    _say(f"{what}{deaths}: at most {most} at once, {mean:.2f} on average")
    sys.exit(most > 5)


@command.command("keys")
@_STORE
@click.option("--hosts", "many", default=2, show_default=True)
@click.option("--slots", default=4, show_default=True, help="Slots of each host.")
@click.option("--tenants", default=20, show_default=True)
@click.option("--messages", default=100, show_default=True, help="Messages of each tenant.")
def keys(store: str, many: int, slots: int, tenants: int, messages: int) -> None:
    """``per_key=Limit(max_running=1)``: how many of one key ran at once at most."""
    with _running(store, many, slots, "keyed") as (_, hosts):
        for number in range(tenants):
            keyed.options(key=f"t{number}").enqueue_many([(f"t{number}", 0.005)] * messages)
        hosts.until(lambda: hosts.many >= tenants * messages)
        ran = hosts.ran()
    most = max(_busy([one for one in ran if one.whom == f"t{number}"])[0] for number in range(tenants))
    _say(
        f"{tenants} keys with {messages} messages: at most {most} of a key at once, "
        f"{_busy(ran)[1]:.2f} busy of {many * slots}"
    )
    sys.exit(most > 1)


@command.command("rate")
@_STORE
@click.option("--hosts", "many", default=3, show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
def rate(store: str, many: int, seconds: float) -> None:
    """``rate=100/s``: how many began within a minute."""
    with _running(store, many, 4, "paced") as (_, hosts):
        paced.enqueue_many([()] * int(seconds * 100 * 1.2 + 500))
        hosts.until(lambda: hosts.many > 200)
        first = min(one.began for one in hosts.ran())
        hosts.until(lambda: time.time() > first + seconds + 2.0)
        began = sorted(one.began for one in hosts.ran())
    counts = [sum(begin <= at < begin + seconds for at in began) for begin in (first, first + 1.0)]
    off = max(abs(count / (100 * seconds) - 1) for count in counts)
    _say(
        f"{counts[0]:,} began within {seconds:g} s from the first on, {counts[1]:,} from a second later: {off:.2%} off"
    )
    sys.exit(off > 0.02)


@command.command("fair")
@_STORE
@click.option("--hosts", "many", default=1, show_default=True)
@click.option("--slots", default=4, show_default=True)
@click.option("--backlog", default=200_000, show_default=True, help="Messages of one tenant.")
@click.option("--tenants", default=50, show_default=True, help="Tenants with one message each.")
@click.option("--seconds", default=0.02, show_default=True, help="Seconds of each task.")
def fair_turns(store: str, many: int, slots: int, backlog: int, tenants: int, seconds: float) -> None:
    """p95 from enqueue to end of tenants with one message each, on an empty queue and during another one's backlog."""

    def arrive(hosts: Hosts, name: str) -> list[float]:
        for number in range(tenants):
            fair.options(key=f"{name}{number}").enqueue(f"{name}{number}", time.time(), seconds)
            time.sleep(0.1)
        hosts.until(lambda: sum(one.whom.startswith(name) for one in hosts.ran()) == tenants)
        return [one.ended - one.sent for one in hosts.ran() if one.whom.startswith(name)]

    with _running(store, many, slots, "fair") as (_, hosts):
        arrive(hosts, "warm")
        alone = arrive(hosts, "alone")
        began = time.monotonic()
        fair.options(key="large").enqueue_many([("large", time.time(), seconds)] * backlog)
        stored_s = time.monotonic() - began
        time.sleep(2.0)
        among = arrive(hosts, "among")
        large = sum(one.whom == "large" for one in hosts.ran())
    first, then = _quantile(alone, 0.95), _quantile(among, 0.95)
    _say(
        f"{tenants} tenants with a message each: {_told(alone)} on an empty queue; {_told(among)}, p95 {then / first:.2f} "
        f"times, during {backlog:,} messages of another (stored in {stored_s:.0f} s, {large:,} of them done)"
    )
    sys.exit(then > 3 * first)


@command.command("waiting")
@_STORE
@click.option(
    "--messages", default=100_000, show_default=True, help="Delayed messages, and as many that wait for a retry."
)
def waiting_many(store: str, messages: int) -> None:
    """How long a new message takes, and what agent and worker hold in memory, while many wait."""
    with _running(store, 1, 2, "waiting") as (opened, hosts):
        queue = Queue("waiting", opened)

        def new_ones() -> list[float]:
            before = hosts.many
            for number in range(20):
                waiting.enqueue(time.time(), False)
                hosts.until(lambda: hosts.many > before + number)  # noqa: B023 - called at once
                time.sleep(0.2)
            return [one.ended - one.sent for one in hosts.ran()[before:]]

        new_ones()
        alone = new_ones()
        said = [f"nothing waits: a new message takes {_told(alone)}; {_megabytes(hosts)}"]
        waiting.options(delay=3600).enqueue_many([(0.0, False)] * messages)
        began = time.monotonic()
        waiting.enqueue_many([(0.0, True)] * messages)
        while (counts := queue.stats(exact=True)).ready or counts.running:
            time.sleep(2.0)
        after_s = time.monotonic() - began
        said.append(f"{counts.scheduled:,} scheduled and {counts.waiting:,} waiting after {after_s:.0f} s")
        among = new_ones()
        said.append(f"meanwhile: {_told(among)}; {_megabytes(hosts)}")
        _say(*said)


def _told(times: list[float]) -> str:
    return (
        f"p50 {_quantile(times, 0.5) * 1e3:.0f}, p95 {_quantile(times, 0.95) * 1e3:.0f}, max {max(times) * 1e3:.0f} ms"
    )


def _megabytes(hosts: Hosts) -> str:
    agent, *workers = (size // 1024 for size in hosts.memory())
    return f"agent {agent} MB, worker {max(workers)} MB"
