"""Memory while a million messages pass, and with a million waiting."""

from __future__ import annotations

from stress.bench import work
from stress.bench.measure import Bench, wait_for
from stress.bench.procs import Host


def memory(bench: Bench) -> dict[str, float]:
    """Resident MiB of the agent and of the largest worker: after a tenth, after half, and at the end."""
    messages = bench.setting.messages
    bench.enqueue(messages)
    stamps = work.Stamps(bench.folder)
    told: dict[str, float] = {}
    with bench.host(until_empty=False) as process:
        for name, share in (("tenth", 0.1), ("half", 0.5), ("end", 1.0)):
            wait_for(lambda share=share: stamps.read().many >= messages * share, process, 0.01)  # type: ignore[misc]
            told[f"agent_{name}"], told[f"worker_{name}"] = Host(process.pid, stamps.read().pids).rss()
    return told
