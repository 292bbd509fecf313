"""One producer process: ``python -m stress.chaos.producer SPEC``. Sends a portion for each line that it is given."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from s3queue.config import Config, configure
from s3queue.core.keys import Layout, batch_id, parse_message_id, parse_source, source_path
from s3queue.core.ops import Put, Unknown
from s3queue.errors import EnqueueUncertain, StoreUnavailable
from s3queue.io.clock import clock
from s3queue.io.drive import Driver
from s3queue.runtime.local.life import die_with_parent
from s3queue.store import open_store
from stress.chaos import jobs
from stress.chaos.clocks import Clock
from stress.chaos.notes import Notebook, Sent, Uncertain
from stress.chaos.plan import DEBOUNCE_S, OVERSIZE, Order, Sending, portion
from stress.chaos.watch import WatchedStore


class ProducerSpec(Struct, frozen=True):
    """
    Attributes: as of `stress.chaos.host.HostSpec`.
        seed: of the plan. poison: whether it has messages that could harm others. features: what its messages are to show.
    """

    party: str
    store: str
    folder: str
    settings: dict[str, str | int | float]
    clock: str
    seed: int
    poison: bool = False
    features: tuple[str, ...] = ()


class Line(Struct, frozen=True):
    """Send messages ``first`` to ``first + count``."""

    first: int
    count: int


#: Seconds for which a dedup id counts: longer than any run.
_WINDOW_S = 3600.0


def main(spec: ProducerSpec) -> None:
    die_with_parent()
    Clock(Path(spec.clock)).install()
    folder = Path(spec.folder)
    config = Config(**spec.settings, history=str(folder / "history" / spec.party))  # type: ignore[arg-type]
    store = WatchedStore(open_store(spec.store), config.namespace, folder, spec.party)
    configure(store=store, config=config)
    notes = Notebook(folder / "sent", spec.party)
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line, type=Line)
        for sending in portion(spec.seed, asked.first, asked.count, poison=spec.poison, features=spec.features):
            if sending.orders[0].does == "corrupt":
                _send_junk(sending.orders[0].number, Driver(store), Layout(config.namespace), notes)
            else:
                _send(sending, notes)


def _send(sending: Sending, notes: Notebook) -> None:
    first = sending.orders[0]
    sender = jobs.TASKS[first.task][sending.queue].options(
        delay=first.delay_s or None,
        priority=first.priority,
        group=first.group or None,
        key=first.key or None,
        expires_in=first.expires_s or None,
        **_once(first),
    )
    numbers = tuple(order.number for order in sending.orders)
    calls: list[tuple[Any, ...]]
    calls = [(order.shown, order.does + " " * (OVERSIZE * (order.does == "oversized"))) for order in sending.orders]
    if first.does == "bunch":
        calls = [(call,) for call in calls]
    began = clock()
    while True:
        try:
            if len(calls) == 1 and sending.queue != "bulk":
                ids = [sender.enqueue(*calls[0])]
            else:
                ids = sender.enqueue_many(calls)
        except StoreUnavailable:
            continue  # certainly not stored; each try takes as long as an enqueue may
        except EnqueueUncertain as fault:
            notes.write(Uncertain(clock(), _all_of(fault.message_id), numbers, began))
        else:
            notes.write(Sent(clock(), tuple(map(str, ids)), numbers, began))
        return


def _once(order: Order) -> dict[str, Any]:
    """Options of what is to be there once."""
    if order.does == "latest":
        return {"dedup_id": order.dedup, "debounce": DEBOUNCE_S}
    if not order.dedup or order.shown != order.number:  # those say so at their tasks
        return {}
    return {"dedup_id": order.dedup, "dedup_window": _WINDOW_S}


def _send_junk(number: int, driver: Driver, layout: Layout, notes: Notebook) -> None:
    """An object where a batch ought to be."""
    path = source_path("single", sent_ms=time.time_ns() // 1_000_000, batch=batch_id(number, 0), count=1)
    outcome: object = Unknown()
    while isinstance(outcome, Unknown):
        with suppress(StoreUnavailable):
            outcome = driver.perform(Put(layout.source(path), b"junk %d" % number, None))
    notes.write(Sent(clock(), (layout.message_id(path, 0),), (number,)))


def _all_of(message: str) -> tuple[str, ...]:
    """The ids of all messages of the batch of this one."""
    count = parse_source(parse_message_id(message).path).count
    stem = message.rpartition("~")[0]
    return tuple(f"{stem}~{index}" for index in range(count))


if __name__ == "__main__":
    main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ProducerSpec))
