"""``python -m stress redrive``: what it costs to run dead messages again, and whether cycles take longer meanwhile.

The letters are stored by hand, as a coordinator stores them. One host serves their queue and another one with messages of
its own, so that its coordinator has something to do anyway. Then all letters are redriven, and the requests of the
operator and of the coordinator are counted from then until each letter is a tombstone. What the host and its workers ask
is told by itself: it is what messages cost that were enqueued one by one. Cycles are timed in the agent, from survey to
commit, while the other queue is worked on: before, and during the redrive. Of each is told how long its requests took, and
how much it computed: the rest is what it waited for its turn in the event loop.

After that new messages, which were enqueued one by one, are worked off, and cycles are timed again: this is what any other
work costs the coordinator.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import click
import msgspec

import s3queue
from s3queue import Queue, Supervisor
from s3queue.core.cycle import Cycled, Lead
from s3queue.core.keys import Layout, source_path
from s3queue.core.ops import List, Put, Step
from s3queue.core.records import DeadLetter, Failure, encode
from s3queue.operate.redriving import Decided
from s3queue.store import ObjectStore
from stress.stores import HELP, store_url

#: Where figures are kept.
KEPT = Path("docs/assets/benchmarks/redrive.json")
_QUEUE, _OTHER = "redriven", "other"
_PAYLOAD = msgspec.msgpack.encode({"number": 7, "text": "x" * 100})
_STAMP = struct.Struct("5d")


@s3queue.task(_QUEUE, "again")
def again(number: int, text: str) -> None:
    """Ends at once."""


@s3queue.task(_OTHER, "hum")
def hum(seconds: float) -> None:
    time.sleep(seconds)


def _bury(store: ObjectStore, layout: Layout, letters: int) -> None:
    """Letters as a coordinator leaves them."""
    now_ms = time.time_ns() // 1_000_000
    failure = Failure(3, "error", "Traceback (most recent call last):\nValueError: not today", now_ms)

    def bury(numbers: range) -> None:
        for number in numbers:
            path = source_path(_QUEUE, sent_ms=now_ms - letters + number, batch=f"{number:x}", count=1)
            message = layout.message_id(path, 0)
            letter = DeadLetter(
                f"{number:x}", message, _QUEUE, "again", 3, (failure,), _PAYLOAD, sent_ms=now_ms, died_ms=now_ms
            )
            store.put(layout.dead(_QUEUE, message), encode(letter), if_version=None)

    threads = [threading.Thread(target=bury, args=(range(first, letters, 8),)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve(url: str, times: str, workers: int) -> None:
    """A host whose coordinator notes when each cycle began and how long it took."""
    cycle, fd = Lead.cycle, os.open(times, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def timed(lead: Lead, **more: Any) -> Any:
        began, spent = time.monotonic(), dict.fromkeys((None, List, Put), 0.0)
        outcome = yield from _metered(cycle(lead, **more), spent)
        if isinstance(outcome, Cycled) and outcome.committed:
            os.write(fd, _STAMP.pack(began, time.monotonic() - began, spent[None], spent[List], spent[Put]))
        return outcome

    Lead.cycle = timed  # type: ignore[method-assign,assignment]
    Supervisor(s3queue.open_store(url), queues=[_QUEUE, _OTHER], workers=workers).run()


def _metered(step: Step[Any], spent: dict[Any, float]) -> Any:
    """The step, and what it spends: seconds of CPU under None, seconds of waiting under the kind of operation."""
    sent: Any = None
    fault: Exception | None = None
    while True:
        from_s = time.thread_time()
        try:
            op = step.send(sent) if fault is None else step.throw(fault)
        except StopIteration as end:
            return end.value
        finally:
            spent[None] += time.thread_time() - from_s
        asked_s, sent, fault = time.monotonic(), None, None
        try:
            sent = yield op
        except Exception as raised:  # noqa: BLE001 - it is the step's
            fault = raised
        spent[type(op)] = spent.get(type(op), 0.0) + time.monotonic() - asked_s


def _work_off(queue: Queue, messages: int, before: int) -> tuple[float, float]:
    """Enqueue messages one by one into a paused queue, and have them worked off. Returns when that began and ended.

    Args:
        before: messages that were done before.
    """
    queue.pause()
    for _ in range(messages):
        again.enqueue(7, "x" * 100)
    began = time.monotonic()
    queue.resume()
    for _ in _quiet(queue, before + messages):
        pass
    return began, time.monotonic()


def _cycles(times: Path) -> list[tuple[float, ...]]:
    return list(_STAMP.iter_unpack(times.read_bytes())) if times.exists() else []


def _usage(queue: Queue) -> dict[str, dict[str, int]]:
    """Requests of each role so far."""
    roles: dict[str, dict[str, int]] = {}
    for host in s3queue.stats(queue.store).hosts:
        for role, usage in host.usage.items():
            for kind in ("put", "get", "list", "delete"):
                roles.setdefault(role, {}).setdefault(kind, 0)
                roles[role][kind] += usage.get(kind, 0)
    return roles


def _sum(roles: dict[str, dict[str, int]]) -> int:
    """Of the coordinator."""
    return sum(roles.get("coordinator", {}).values())


def _quiet(queue: Queue, wanted: int) -> Iterator[None]:
    """Until so many letters are tombstones."""
    while True:
        seen = queue.stats()
        if seen.done >= wanted and not (seen.ready or seen.running or seen.waiting):
            return
        yield
        time.sleep(0.5)


def _told(name: str, cycles: list[tuple[float, ...]]) -> dict[str, float]:
    _, took, cpu, listed, put = zip(*cycles, strict=True)
    p95 = quantiles(took, n=20)[18] if len(took) > 1 else took[0]
    means = (f"{mean(part) * 1e3:.2f}" for part in (took, cpu, listed, put))
    click.echo(
        "{}: {} cycles, mean {} ms (computing {}, listing {}, the board's put {}), median {:.2f}, p95 {:.2f}".format(
            name, len(took), *means, median(took) * 1e3, p95 * 1e3
        )
    )
    return {
        "cycles": len(took),
        "mean_s": mean(took),
        "median_s": median(took),
        "p95_s": p95,
        "cpu_s": mean(cpu),
        "list_s": mean(listed),
        "put_s": mean(put),
    }


@click.command("redrive")
@click.option("--store", default="sqlite", show_default=True, help=HELP)
@click.option("--letters", default=100_000, show_default=True)
@click.option("--rate", type=float, help="Letters per second at most.")
@click.option("--workers", default=2, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="Of the measurement before.")
@click.option("--load", default=50.0, show_default=True, help="Messages per second of the other queue.")
@click.option("--plain", default=10_000, show_default=True, help="New messages afterwards; 0: none.")
@click.option("--keep", is_flag=True, help=f"Keep the figures in {KEPT}, for docs/benchmarks.md.")
def command(
    store: str, letters: int, rate: float | None, workers: int, seconds: float, load: float, plain: int, keep: bool
) -> None:
    """Count the requests of a redrive of many letters, its memory, and the times of the coordinator's cycles."""
    with tempfile.TemporaryDirectory() as folder, store_url(store, Path(folder)) as named:
        url = named.format(n=0)
        at = s3queue.open_store(url)
        s3queue.configure(store=at)
        layout, times, stop = Layout(), Path(folder) / "cycles", threading.Event()
        began = time.monotonic()
        _bury(at, layout, letters)
        click.echo(f"{letters:,} letters stored in {time.monotonic() - began:.0f} s")
        queue = Queue(_QUEUE, at)

        def hums() -> None:
            while not stop.wait(1.0 / load):
                hum.enqueue(0.01)

        host = multiprocessing.get_context("fork").Process(target=_serve, args=(url, str(times), workers))
        host.start()
        feeder = threading.Thread(target=hums, daemon=True)
        feeder.start()
        try:
            time.sleep(5.0)
            first, from_s = _usage(queue), time.monotonic()
            time.sleep(seconds)
            until_s = time.monotonic()
            before, memory = _usage(queue), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            told: list[Decided] = []
            began = time.monotonic()
            decided = queue.redrive(rate=rate, timeout=600.0, progress=told.append)
            asked_s = time.monotonic() - began
            own = queue.meter.as_dict()
            for _ in _quiet(queue, letters):
                pass
            over = time.monotonic()
            time.sleep(3.0)  # the host tells its requests with its next write
            after = _usage(queue)
            working = _work_off(queue, plain, letters) if plain else (0.0, 0.0)
        finally:
            stop.set()
            assert host.pid is not None
            os.kill(host.pid, signal.SIGTERM)
            host.join(60)
        cycles = _cycles(times)
        alone = [one for one in cycles if from_s <= one[0] < until_s]
        with_it = [one for one in cycles if began <= one[0] < over]
        spent = {
            role: {kind: many - before.get(role, {}).get(kind, 0) for kind, many in kinds.items()}
            for role, kinds in after.items()
        }
        # What the coordinator asks for the other queue, in as much time.
        hum_per_s = (_sum(before) - _sum(first)) / (until_s - from_s)
        asked = sum(own.values()) + _sum(spent)
        requests = asked - hum_per_s * (over - began)
        others = sum(sum(kinds.values()) for role, kinds in spent.items() if role != "coordinator")
        click.echo(f"redriven {decided.done:,} in {asked_s:.0f} s, all done after {over - began:.0f} s")
        click.echo(f"operator {own}; {spent}")
        click.echo(
            f"operator and coordinator: {requests / letters:.3f} requests a letter, {asked / letters:.3f} with what the "
            f"other queue costs; host and workers {others / letters:.3f}, as for messages that were enqueued one by one"
        )
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        click.echo(f"the operator's peak of memory grew by {grown / 1024:.1f} MB")
        figures: dict[str, Any] = {
            "letters": letters,
            "requests_per_letter": requests / letters,
            "with_other_queue": asked / letters,
            "operator": own,
            "roles": spent,
            "grown_mb": grown / 1024,
            "alone": _told("without", alone),
            "redriving": _told("with the redrive", with_it),
        }
        figures["cycle_ratio"] = figures["redriving"]["mean_s"] / figures["alone"]["mean_s"]
        click.echo(f"cycles are {figures['cycle_ratio']:.2f} times as long, by the mean")
        if timed := [one for one in cycles if working[0] <= one[0] < working[1]]:
            figures["plain_per_s"] = plain / (working[1] - working[0])
            figures["plain"] = _told(f"with {figures['plain_per_s']:,.0f} new messages a second instead", timed)
            ratio = figures["redriving"]["mean_s"] / figures["plain"]["mean_s"]
            click.echo(f"cycles with the redrive are {ratio:.2f} times as long as these, by the mean")
        if keep:
            paced = "" if rate is None else f" --rate {rate:g}"
            figures["command"] = (
                f"python -m stress redrive --store {store} --letters {letters} --seconds {seconds:g} --load {load:g}{paced}"
            )
            figures["seconds"] = over - began
            KEPT.write_text(json.dumps(figures, indent=1) + "\n")


def section() -> str:
    """Of docs/benchmarks.md; empty where nothing was kept."""
    if not KEPT.exists():
        return ""
    kept = json.loads(KEPT.read_text())
    timed = {"without a redrive": kept["alone"], "with it": kept["redriving"]}
    if "plain" in kept:
        timed[f"with {kept['plain_per_s']:,.0f} new messages a second instead"] = kept["plain"]
    rows = "\n".join(
        f"| {name} | {told['cycles']:,} | {told['mean_s'] * 1e3:.2f} | {told['median_s'] * 1e3:.2f} "
        f"| {told['p95_s'] * 1e3:.2f} | {told['cpu_s'] * 1e3:.2f} | {told['put_s'] * 1e3:.2f} |"
        for name, told in timed.items()
    )
    return f"""## Redriving {kept["letters"]:,} dead letters

`{kept["command"]}`: it took {kept["seconds"]:.0f} s. Operator and coordinator made {kept["requests_per_letter"]:.3f}
requests per letter (target: at most 2.1). The memory of the operator grew by {kept["grown_mb"]:.1f} MB. The
coordinator also serves another queue. Its mean cycle was {kept["cycle_ratio"]:.2f} times as long as without the
redrive (target: at most 1.2):

| cycles, ms | number | mean | median | p95 | computing, mean | PUT of the board, mean |
|---|---|---|---|---|---|---|
{rows}"""
