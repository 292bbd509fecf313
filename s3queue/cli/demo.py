"""``s3queue demo``: real workers drain a real queue, some are killed in the middle of a message, and everything is
counted.

A message that was chosen for this holds its worker once, until this program has killed that worker. So a kill always
hits a running message, and does not depend on timing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from s3queue.cli.audit import Run, Verdict, audit, read_history, read_lines, read_runs
from s3queue.cli.common import console, reach_before_fork, show_json
from s3queue.cli.options import json_option, whole
from s3queue.config import Config, configure, load, redact_url
from s3queue.context import Context
from s3queue.core.keys import Layout
from s3queue.decorators import task
from s3queue.errors import ConfigError, QueueError
from s3queue.io.folder import temporary
from s3queue.store import ObjectStore, Shareable, open_store

QUEUE = "demo"
#: Seconds that a held message waits to be killed; after that it fails and is retried.
_HELD_S = 120.0
#: Seconds between two updates of a terminal.
_REDRAW_S = 0.1


@task(QUEUE, name="work")
def work(ctx: Context, number: int, path: str, hold: bool = False) -> None:
    """Record that this attempt started, and that it ended."""
    folder = Folder(Path(path))
    held = hold and not folder.released(ctx.message_id).exists()
    _note(folder, Run("start", ctx.message_id, ctx.attempt, os.getpid(), held))
    if held:
        threading.Event().wait(_HELD_S)
        raise TimeoutError("held in order to be killed, but not killed")
    _note(folder, Run("end", ctx.message_id, ctx.attempt, os.getpid()))


def _note(folder: Folder, run: Run) -> None:
    """Append one line, in one write, to the file of this process; for a held message also write a byte to the pipe on
    which the parent waits.
    """
    _write(folder.runs, msgspec.json.encode(run) + b"\n")
    if run.held:
        _write(folder.bell, b"!")


def _write(path: Path, line: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)


class Folder(NamedTuple):
    """The files of one demo."""

    path: Path

    def released(self, message: str) -> Path:
        """A file that exists once a worker was killed for this message: then the message holds no other worker."""
        return self.path / "released" / message

    @property
    def runs(self) -> Path:
        return self.path / "runs.jsonl"

    @property
    def bell(self) -> Path:
        return self.path / "bell"

    @property
    def history(self) -> Path:
        return self.path / "history"

    @property
    def log(self) -> Path:
        """The log of supervisor, agent and workers: mostly about workers that die, which is expected here."""
        return self.path / "log"


@click.command("demo")
@click.option(
    "--messages",
    type=whole(1),
    default=2000,
    show_default=True,
    help="Messages to send: half one by one, half in bulk.",
)
@click.option("--workers", type=whole(1), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--concurrency", type=whole(1), default=1, show_default=True, help="Messages that one worker runs at a time."
)
@click.option("--kill", "kills", type=whole(0), default=1, show_default=True, help="Workers to kill (SIGKILL).")
@click.option("--start-method", metavar="fork|spawn|forkserver", default="fork", show_default=True)
@click.option("--store", "store_url", metavar="URL", help="[default: a fresh SQLite file]")
@json_option
def command(
    messages: int, workers: int, concurrency: int, kills: int, start_method: str, store_url: str | None, as_json: bool
) -> int:
    """Watch workers drain a queue while some of them are killed, and audit the result from outside.

    Exit status 0: nothing was lost, nothing was committed twice, and no more messages ran twice than were running in the
    killed processes. The demo removes what it has stored.
    """
    if kills > messages:
        raise ConfigError(f"cannot kill {kills} workers in the middle of {messages} messages", "lower --kill")
    # A message may also die as the neighbour of one that is held.
    settings: dict[str, Any] = {
        "max_attempts": kills + 2,
        "workers": workers,
        "concurrency": concurrency,
        "start_method": start_method,
    }
    with tempfile.TemporaryDirectory(prefix="s3queue-demo-", dir=temporary()) as path:
        folder = Folder(Path(path))
        config = load(namespace=f"demo-{secrets.token_hex(4)}", history=str(folder.history), **settings).config
        store = open_store(store_url or f"sqlite:///{folder.path / 'demo.db'}")
        reach_before_fork(store)
        try:
            with _progress(messages, quiet=as_json) as show:
                outcome = Demo(store, config, folder, messages, kills, show).run()
        except QueueError:
            _show_log(folder)
            raise
        if not outcome.passed:
            _show_log(folder)
    report = outcome.report()
    if as_json:
        show_json(report)
    else:
        _tell(report, passed=outcome.passed)
    return 0 if outcome.passed else 1


class Outcome(NamedTuple):
    store: str
    messages: int
    concurrency: int
    killed: int
    seconds: float
    verdict: Verdict
    requests: dict[str, int]

    @property
    def passed(self) -> bool:
        return self.verdict.passes(killed=self.killed, concurrency=self.concurrency)

    def report(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "messages": self.messages,
            **self.verdict._asdict(),
            "killed": self.killed,
            "seconds": round(self.seconds, 3),
            "messages_per_s": round(self.messages / self.seconds, 1),
            "requests": self.requests,
        }


Show = Callable[[str, int], None]


class Demo:
    """One demo, from an empty namespace to an empty namespace."""

    def __init__(
        self, store: ObjectStore, config: Config, folder: Folder, messages: int, kills: int, show: Show
    ) -> None:
        self.store, self.config, self.folder, self.show = store, config, folder, show
        self.messages, self.kills = messages, kills
        self.layout = Layout(config.namespace)
        self.ids: list[str] = []
        self.requests: dict[str, int] = {}
        self.runs: list[Run] = []
        self.ended: set[str] = set()
        self._read = 0
        self.killed: set[int] = set()

    def run(self) -> Outcome:
        import multiprocess

        from s3queue.runtime.supervisor.helpers import helpers_end

        self.folder.runs.touch()
        self.folder.released("").mkdir()
        os.mkfifo(self.folder.bell, 0o600)
        if isinstance(self.store, Shareable):
            self.store.share()
        configure(store=self.store, config=self.config)
        started = time.monotonic()
        try:
            self._enqueue()
            with helpers_end():
                self._run(multiprocess.get_context(self.config.start_method))
            seconds = time.monotonic() - started
            verdict = audit(self.ids, self.runs, read_history(self.folder.history, self.layout))
        finally:
            self._clean_up()
        return Outcome(
            redact_url(self.store.url),
            self.messages,
            self.config.concurrency,
            len(self.killed),
            seconds,
            verdict,
            self.requests,
        )

    def _run(self, context: Any) -> None:
        ours, theirs = context.Pipe(duplex=False)
        supervisor = context.Process(target=_supervise, args=(self.store, self.config, str(self.folder.log), theirs))
        # Both ends of the bell, so that neither opening it nor a quiet moment of all workers ends it.
        bell = os.open(self.folder.bell, os.O_RDWR | os.O_CLOEXEC)
        supervisor.start()
        theirs.close()
        try:
            self._watch(bell, ours, supervisor)
        finally:
            _end(supervisor)
            os.close(bell)

    def _enqueue(self) -> None:
        """Enqueue half of the messages one by one, half in bulk. Some, spread evenly, hold their worker."""
        victims = {(2 * number + 1) * self.messages // (2 * self.kills) for number in range(self.kills)}
        calls = [(number, str(self.folder.path), number in victims) for number in range(self.messages)]
        half = self.messages // 2
        for number, call in enumerate(calls[:half]):
            self.ids.append(work.enqueue(*call))
            self.show("enqueue", number + 1)
        self.ids += work.enqueue_many(calls[half:])
        self.show("enqueue", self.messages)
        self.requests = work.queue_on(self.store).meter.as_dict()

    def _watch(self, bell: int, conn: Any, supervisor: Any) -> None:
        """Kill held workers until the supervisor reports that the queue is empty."""
        while True:
            heard, _, _ = select.select([bell, conn, supervisor.sentinel], [], [], _REDRAW_S)
            if bell in heard:
                os.read(bell, 4096)
            self._read_runs()
            if conn in heard:
                break
            if supervisor.sentinel in heard and not conn.poll():
                raise QueueError(f"the supervisor ended with status {supervisor.exitcode} before the queue was empty")
        try:
            outcome = conn.recv()
        except EOFError:
            supervisor.join()
            raise QueueError(f"the supervisor ended with status {supervisor.exitcode} without a summary") from None
        if isinstance(outcome, Exception):
            raise outcome
        supervisor.join()
        self._read_runs()
        self.requests = {kind: self.requests[kind] + outcome.get(kind, 0) for kind in self.requests}

    def _read_runs(self) -> None:
        lines, self._read = read_lines(self.folder.runs, self._read)
        for run in read_runs(lines):
            self.runs.append(run)
            if run.at == "end":
                self.ended.add(run.message)
            # The process wrote this line and waits for nothing but us, so the number is still its own.
            if run.held and run.pid not in self.killed:
                self.folder.released(run.message).touch()
                os.kill(run.pid, signal.SIGKILL)
                self.killed.add(run.pid)
        self.show("run", len(self.ended))

    def _clean_up(self) -> None:
        """Remove everything that the demo has stored; other objects in the store stay."""
        from s3queue.core.ops import delete, list_all
        from s3queue.io.drive import Driver

        driver = Driver(self.store)
        with contextlib.suppress(QueueError):
            keys = [item.key for item in driver.run(list_all(f"{self.layout.root}/"))]
            for start in range(0, len(keys), 1000):
                driver.run(delete(keys[start : start + 1000]))
        self.store.close()
        configure()


def _supervise(store: ObjectStore, config: Config, log: str, conn: Any) -> None:
    """The process of the supervisor: drain the queue, and send the cost."""
    from s3queue.runtime.local.life import die_with_parent
    from s3queue.supervisor import Supervisor

    die_with_parent()
    # The descriptor, since children by any start method inherit that, and settings of `logging` not by every one.
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    configure(store=store, config=config)
    try:
        summary = Supervisor(store, (QUEUE,), config=config).run(until_empty=True)
        conn.send(dict(summary.requests))
    except Exception as fault:  # noqa: BLE001 - told to the parent, who tells people
        conn.send(fault if isinstance(fault, QueueError) else QueueError(f"{type(fault).__name__}: {fault}"))


def _end(supervisor: Any) -> None:
    """End the process, unless it has ended: ask twice, which ends its children, too."""
    for _ in range(2):
        if supervisor.is_alive():
            supervisor.terminate()
            supervisor.join(10)
    if supervisor.is_alive():
        supervisor.kill()
    supervisor.join()


@contextlib.contextmanager
def _progress(messages: int, *, quiet: bool) -> Iterator[Show]:
    """Bars on a terminal; nothing elsewhere."""
    if quiet or not sys.stdout.isatty():
        yield lambda what, count: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Drawn from here, not from a thread, and without a hand on stderr: this process is going to fork.
    with Progress(
        *columns, console=console(), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        bars = {what: progress.add_task(what, total=messages, start=False) for what in ("enqueue", "run")}
        drawn = 0.0

        def show(what: str, count: int) -> None:
            nonlocal drawn
            progress.start_task(bars[what])
            progress.update(bars[what], completed=count)
            if count == messages or time.monotonic() - drawn > _REDRAW_S:
                progress.refresh()
                drawn = time.monotonic()

        yield show


def _show_log(folder: Folder) -> None:
    with contextlib.suppress(FileNotFoundError):
        click.echo(folder.log.read_text("utf-8", "replace"), err=True, nl=False)


def _tell(report: dict[str, Any], *, passed: bool) -> None:
    out = console()
    out.print(f"store     {report['store']}")
    out.print(
        f"messages  {report['messages']:,} in {report['seconds']:.1f} s, {report['messages_per_s']:,.0f} per second"
    )
    out.print(f"outcomes  {report['done']:,} done, {report['dead']:,} dead")
    workers = "1 worker" if report["killed"] == 1 else f"{report['killed']} workers"
    out.print(f"killed    {workers} in the middle of a message; started twice: {report['ran_twice']}")
    out.print(f"requests  {', '.join(f'{count:,} {kind}' for kind, count in report['requests'].items())}")
    verdict = f"lost: {report['lost']}, committed twice: {report['committed_twice']}"
    out.print(f"[bold green]{verdict}[/]" if passed else f"[bold red]{verdict}[/]")
