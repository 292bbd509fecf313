"""``python -m stress dashboard``: many viewers over a long backlog, while a host works on it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec
from msgspec import Raw

import s3queue
from s3queue.testing.programs import python
from stress.bench import work
from stress.bench.command import machine
from stress.bench.figures import percentile
from stress.stores import HELP, store_url

NAMESPACE, QUEUE = "dashboard", "bench"
#: Pages that show only the summary, and so cost no request of their own.
PAGES = ("/", "/queues", f"/queues/{QUEUE}", "/hosts", "/coordinator", "/dead")
#: Seconds between two page loads.
_PAUSE_S = 0.2


@click.command("dashboard")
@click.option("--store", default="seaweedfs", show_default=True, help=HELP)
@click.option("--viewers", default=50, show_default=True)
@click.option("--messages", default=1_000_000, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="Seconds that the viewers watch.")
@click.option("--json", "as_json", is_flag=True)
def command(store: str, viewers: int, messages: int, seconds: float, as_json: bool) -> None:
    """Requests, page times and memory of a dashboard with many viewers, while a host works on the backlog."""
    found = run(store, viewers, messages, seconds)
    click.echo(
        json.dumps(found, indent=1) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items())
    )


def run(
    store: str = "seaweedfs", viewers: int = 50, messages: int = 1_000_000, seconds: float = 60.0
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, store_url(store, Path(name)) as template:
        url = template.replace("{n}", "0")
        _fill(url, messages)
        hosting, serving = ("stress.bench.host", _host(url)), ("stress.dashboard.server", url, NAMESPACE)
        stamps = {work.STAMPS: name}
        with python(*hosting, env=stamps), python(*serving, env=stamps) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            asyncio.run(_until_counted(port, messages // 2))
            at_rest = _rss_mib(server.pid)
            looked = asyncio.run(_look(port, viewers, seconds))
            peak = _rss_mib(server.pid, "VmHWM")
            cpu_s = _cpu_s(server.pid)
            server.send_signal(signal.SIGINT)
            out, _ = server.communicate(timeout=30)
            asked = json.loads(out.strip().splitlines()[-1])
    return {
        "command": f"python -m stress dashboard --store {store} --viewers {viewers} --messages {messages}",
        "store": store,
        "viewers": viewers,
        "messages": messages,
        "machine": machine(),
        **looked,
        "requests": asked,
        "cpu_s": round(cpu_s, 2),
        "rss_mib": round(at_rest, 1),
        "peak_rss_mib": round(peak, 1),
    }


def _fill(url: str, messages: int) -> None:
    store = s3queue.open_store(url)
    queue = s3queue.Queue(QUEUE, store, namespace=NAMESPACE)
    payload = Raw(msgspec.msgpack.encode({"task_s": 0.05}))
    for first in range(0, messages, 20_000):
        queue.send("noop", [payload] * min(20_000, messages - first))
    store.close()


def _host(url: str) -> str:
    return json.dumps(
        {"store": url, "namespace": NAMESPACE, "workers": 2, "concurrency": 1, "settings": {}, "until_empty": False}
    )


async def _until_counted(port: int, messages: int) -> None:
    """Wait until the page shows the whole backlog, which takes a census."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            page = (await client.get("/")).text
            backlog = re.search(
                r'label">Backlog</div><div class="value[^"]*">(?:<span[^>]*>≥</span>&#8239;)?([\d,]+)', page
            )
            if backlog is not None and int(backlog[1].replace(",", "")) >= messages:
                return
            await asyncio.sleep(1)
    raise click.ClickException("the coordinator did not count the backlog within five minutes")


async def _look(port: int, viewers: int, seconds: float) -> dict[str, Any]:
    base = f"http://127.0.0.1:{port}"
    limits = httpx.Limits(max_connections=viewers + 10)
    times: list[float] = []
    looks: list[list[float]] = [[] for _ in range(viewers)]
    async with httpx.AsyncClient(base_url=base, timeout=None, limits=limits) as client:
        until, connected = time.monotonic() + seconds, asyncio.Event()

        async def view(number: int) -> None:
            target = ("overview", "queues", f"queue&queue={QUEUE}", "hosts")[number % 4]
            async with client.stream("GET", f"/events?view={target}") as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("event: look"):
                        looks[number].append(time.monotonic())
                        if all(looks):
                            connected.set()
                    if time.monotonic() >= until:
                        return

        async def load() -> None:
            number = 0
            await connected.wait()  # this client is busy connecting, which is no time of the server
            while time.monotonic() < until:
                began = time.perf_counter()
                answer = await client.get(PAGES[number % len(PAGES)])
                times.append(time.perf_counter() - began)
                answer.raise_for_status()
                number += 1
                await asyncio.sleep(_PAUSE_S)

        await asyncio.gather(*(view(number) for number in range(viewers)), load())
    return {
        "seconds": seconds,
        "looks_per_s": round(max((len(one) - 1) / (one[-1] - one[0]) for one in looks if len(one) > 1), 3),
        "pages": len(times),
        "page_ms": {
            "p50": round(percentile(times, 0.5) * 1000, 1),
            "p99": round(percentile(times, 0.99) * 1000, 1),
            "max": round(max(times) * 1000, 1),
        },
    }


def _rss_mib(pid: int, name: str = "VmRSS") -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
