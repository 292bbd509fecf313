"""The tasks. Each start and each end is written down before anything follows from it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

from s3queue.context import Context
from s3queue.decorators import task
from s3queue.errors import Reject, Retry, Snooze
from s3queue.io.clock import clock
from s3queue.options.limits import Limit
from s3queue.options.policies import Backoff
from stress.chaos.notes import Beat, Bell, End, Notebook, Start
from stress.chaos.plan import BATCH, BEATS, BUNCH, FEW, LATEST, MAX_ATTEMPTS, MOST_RUNNING, PACED, RATE, SHARED

_SOON = Backoff(base=0.05, cap=0.5)


class Desk:
    """Where the tasks of this host write."""

    def __init__(self, folder: Path, party: str) -> None:
        self.folder, self.party = folder, party
        self.runs = Notebook(folder / "runs", party)
        self.bell = Bell(folder / "bell")

    def start(self, ctx: Context, number: int, call: str = "") -> None:
        self.runs.write(
            Start(
                clock(),
                self.party,
                machine_pid(),
                os.getpid(),
                ctx.session,
                ctx.message_id,
                number,
                ctx.attempt,
                ctx.fencing_token,
                call,
                threading.get_ident(),
            )
        )
        self.bell.ring(b".")

    def end(self, ctx: Context, how: str) -> None:
        self.runs.write(End(clock(), how, ctx.message_id, ctx.fencing_token))

    def is_first(self, what: str, message: str) -> bool:
        """Whether nobody has asked this of this message before, in any process."""
        try:
            os.close(os.open(self.folder / "once" / f"{what} {message}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def machine_pid() -> int:
    """This process as the whole machine sees it, from within a process space of its own."""
    try:
        return int(os.readlink("/proc/self"))
    except OSError:
        return os.getpid()


_desk: Desk | None = None


def write_in(folder: Path, party: str) -> None:
    """Before workers are forked: where their tasks write."""
    global _desk
    _desk = Desk(folder, party)


def _at_desk(ctx: Context, number: int) -> Desk:
    assert _desk is not None
    _desk.start(ctx, number)
    return _desk


def _work(ctx: Context, number: int, does: str) -> None:
    desk = _at_desk(ctx, number)
    time.sleep(0.3 if does == "slow" else random.uniform(0.0, 0.006))
    raised: Exception | None = None
    if does in ("retry", "error", "snooze") and desk.is_first(does, ctx.message_id):
        raised = {
            "retry": Retry("asked for", after=random.uniform(0.0, 0.5)),
            "error": RuntimeError("failed, as it should"),
            "snooze": Snooze(random.uniform(0.05, 0.5)),
        }[does]
    elif does == "reject":
        raised = Reject("rejected, as it should be")
    desk.end(ctx, "ok" if raised is None else does)
    if raised is not None:
        raise raised


def _doomed(ctx: Context, number: int, does: str) -> None:
    desk = _at_desk(ctx, number)
    desk.end(ctx, "error")
    raise RuntimeError(f"this one fails always: {does}")


def _poison(ctx: Context, number: int, does: str) -> None:
    desk = _at_desk(ctx, number)
    desk.end(ctx, does)
    os.kill(os.getpid(), signal.SIGKILL)


def _keyed(ctx: Context, number: int, does: str) -> None:
    desk = _at_desk(ctx, number)
    time.sleep(random.uniform(0.0, 0.05))
    desk.end(ctx, "ok")


def _brisk(ctx: Context, number: int, does: str) -> None:
    desk = _at_desk(ctx, number)
    time.sleep(random.uniform(0.0, 0.006))
    desk.end(ctx, "ok")


def _bunch(ctx: Context, messages: list[tuple[int, str]]) -> list[Exception | None]:
    """One in ten fails, once."""
    assert _desk is not None
    call = f"{ctx.fencing_token} {ctx.message_id}"
    for one, (number, _) in zip(ctx.batch, messages, strict=True):
        _desk.start(one, number, call)
    time.sleep(random.uniform(0.0, 0.02))
    outcomes: list[Exception | None] = []
    for one, (number, _) in zip(ctx.batch, messages, strict=True):
        fails = number % 10 == 0 and _desk.is_first("bunch", one.message_id)
        _desk.end(one, "error" if fails else "ok")
        outcomes.append(RuntimeError("failed, as it should") if fails else None)
    return outcomes


def _kept(ctx: Context, number: int, does: str) -> list[int]:
    """The message, and by which ticket it ran."""
    desk = _at_desk(ctx, number)
    time.sleep(random.uniform(0.0, 0.006))
    desk.end(ctx, "ok")
    return [number, ctx.fencing_token]


def _beat(ctx: Context) -> None:
    assert _desk is not None
    assert ctx.tick is not None
    time.sleep(random.uniform(0.0, 0.006))
    _desk.runs.write(Beat(clock(), ctx.message_id, round(ctx.tick.timestamp() * 1000)))


def _declare(name: str, function: Any) -> Any:
    return {
        queue: task(queue, name=name, max_attempts=MAX_ATTEMPTS[name], backoff=_SOON)(function)
        for queue in ("single", "bulk")
    }


def _alike(name: str, queue: str, function: Any, **options: Any) -> dict[str, Any]:
    attempts = MAX_ATTEMPTS[name]
    return {queue: task(queue, name=name, max_attempts=attempts, backoff=_SOON, **options)(function)}


TASKS = {
    "work": _declare("work", _work),
    "doomed": _declare("doomed", _doomed),
    "poison": _declare("poison", _poison),
    "keyed": {
        FEW: task(
            FEW,
            name="keyed",
            max_attempts=MAX_ATTEMPTS["keyed"],
            backoff=_SOON,
            max_running=MOST_RUNNING,
            per_key=Limit(max_running=1),
        )(_keyed)
    },
    "paced": _alike("paced", PACED, _brisk, rate=RATE),
    "shared": _alike("shared", SHARED, _brisk, fair=True),
    "alone": _alike("alone", "single", _brisk, unique=True),
    "brief": _alike("brief", "single", _brisk, unique="waiting"),
    "latest": _alike("latest", LATEST, _brisk),
    "bunch": _alike("bunch", BUNCH, _bunch, batch=BATCH, wait=0.05),
    "kept": {
        "single": task("single", name="kept", max_attempts=MAX_ATTEMPTS["kept"], backoff=_SOON, result_ttl=3600)(_kept)
    },
}
BEAT = task(BEATS, name="beat", max_attempts=MAX_ATTEMPTS["beat"], backoff=_SOON)(_beat)
