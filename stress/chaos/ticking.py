"""Schedules beside the messages of a run: each ticks every second from its beginning to its end, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from s3queue.config import Config
from s3queue.core.keys import parse_message_id, parse_source, schedule_in
from s3queue.core.records import Board
from s3queue.operate.schedules import Schedules
from s3queue.store import ObjectStore
from stress.chaos import jobs
from stress.chaos.accounts import Accounts
from stress.chaos.notes import Beat, read
from stress.chaos.plan import BEATS

_STEP_MS = 1000


def begin(store: ObjectStore, namespace: str, many: int) -> None:
    of = Schedules(store, namespace=namespace, config=Config())
    for number in range(many):
        of.set(f"beat-{number}", jobs.BEAT, every=1, catch_up="all")


def end(store: ObjectStore, namespace: str) -> None:
    of = Schedules(store, namespace=namespace, config=Config())
    for one in of.all():
        of.remove(one.name)


def judge(accounts: Accounts, folder: Path, many: int) -> Iterator[str]:
    """What is wrong with ticks. Takes them out of what coordinators have told, which the rest of the verdict is about."""
    told = {one: accounts.told.pop(one) for one in [*accounts.told] if _is_tick(one)}
    yield from (f"committed twice: {one}" for one, those in told.items() if len(those) > 1)
    ran: dict[str, set[int]] = {f"beat-{number}": set() for number in range(many)}
    for file in sorted((folder / "runs").glob("*.jsonl")):
        for record in read(file):
            if isinstance(record, Beat):
                ran[schedule_in(parse_message_id(record.message).path)].add(record.tick_ms)
    board = accounts.board or Board("", 0)
    for name, ticks in ran.items():
        ticked = board.schedules.get(name)
        if ticked is None or not ticks:
            yield f"schedule {name} has never ticked"
            continue
        missing = set(range(min(ticks), ticked.last_ms + 1, _STEP_MS)) - ticks
        yield from (f"never ran, of schedule {name}: {tick_ms}" for tick_ms in sorted(missing))
        yield from (f"ran, and the board is not there yet, of {name}: {one}" for one in ticks if one > ticked.last_ms)
    done = board.totals[BEATS].done if BEATS in board.totals else 0
    if done != sum(map(len, ran.values())):
        yield f"the board has {done} ticks done; {sum(map(len, ran.values()))} ran"


def _is_tick(message: str) -> bool:
    return parse_source(parse_message_id(message).path).kind == "tick"
