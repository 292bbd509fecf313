"""``docs/benchmarks.md`` from kept figures."""

from __future__ import annotations

from typing import Any

from stress import against, cron, limits, metrics, redrive
from stress.bench.figures import median, told
from stress.charts import lines
from stress.targets import table, targets


def page(
    real: dict[str, Any],
    peers: dict[str, Any],
    scale: dict[str, Any],
    sweep: dict[str, Any],
    by_target: dict[str, Any],
    dashboard: dict[str, Any] | None = None,
) -> str:
    parts = [
        _HEAD.format(machine=_machine(real, peers)),
        targets(real, peers, scale),
        _peers(peers),
        _real(real),
        _bill(scale),
        _thousand(scale),
        _dashboard(dashboard or {}),
        against.section(),
        metrics.section(),
        cron.section(),
        limits.section(),
        redrive.section(),
        _sweep(sweep),
        _by_target(by_target),
        _FOOT,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_HEAD = """# Benchmarks

<!-- Written by `python -m stress report`. Edit stress/page.py instead. -->

A command of the repository printed every figure on this page. The command stands beside its figures; `nox -s bench`
runs most of them. The machine had {machine}. Times and rates depend on the machine, so look at ratios and counts first.

A figure is the median of its repetitions, with the lowest and the highest in brackets. *Simulated* figures come from the
production coordinator and pacing in virtual time, with assumed latencies: see [How far it goes](explanation/scale.md). The
[last section](#how-it-is-measured) says how each quantity is measured."""

_FOOT = """## How it is measured

- **Drain**: from the first start of a task in any worker until the board counts every message as done. A message that ran
  but is not committed does not count. For other queues it ends with the last task, or with the last group if they
  acknowledge in groups.
- **No-op task**: it writes the time into a page of shared memory (0.3 µs). It is the same for every queue. The parent
  process reads that page to see progress, and makes no request to the store before all tasks have run.
- **Requests**: every process counts its own, from its start to its end.
- **CPU**: as the kernel reports it for each thread, between the first message and the last commit. The supervisor
  counts with the agent. The worker's share includes the task, which is empty.
- **Raw** rates: the same client object on the same server. It creates objects of the same size one after the other,
  and reads with eight requests at a time from one process.
- A slow run fails no build. Tests guard counts only (`tests/bench`): requests and bytes per message, and the size of the
  board."""


def _dashboard(found: dict[str, Any]) -> str:
    if not found:
        return ""
    times, asked = found["page_ms"], found["requests"]
    kinds = ", ".join(f"{many:,} {kind.upper()}" for kind, many in asked.items())
    rows = [
        ("reads of the summary, for all viewers together", "≤ 0.5 a second", f"{found['looks_per_s']:.2f} a second"),
        (
            "time to load a page, median / p99 / longest",
            "< 300 ms",
            f"{times['p50']:g} / {times['p99']:g} / {times['max']:g} ms",
        ),
        ("resident memory of the server, peak", "< 100 MiB", f"{found['peak_rss_mib']:g} MiB"),
        ("CPU of the server", "", f"{100 * found['cpu_s'] / found['seconds']:.1f} % of a core"),
    ]
    return f"""## The dashboard

{table(("", "target", "measured"), rows)}

`{found["command"]}`: {found["viewers"]} viewers have open streams for {found["seconds"]:g} s. {found["messages"]:,}
messages wait on {found["store"]}, and one host works on them. Another client loads {found["pages"]:,} pages. In all,
the server made {kinds} requests to its store."""


def _machine(real: dict[str, Any], peers: dict[str, Any]) -> str:
    known = peers.get("machine") or next((run["machine"] for run in real.values()), None)
    return f"{known['cpus']} CPUs, {known['system']}, Python {known['python']}" if known else "unknown"


def _peers(peers: dict[str, Any]) -> str:
    if not peers:
        return ""
    rows = []
    for name, row in peers["queues"].items():
        if "skipped" in row:
            rows.append((name, "not measured: " + row["skipped"].splitlines()[0][:120], "", ""))
        else:
            rows.append(
                (
                    name,
                    told(row["drain_per_s"]),
                    told(row["enqueue_per_s"]),
                    f"{median(row['cpu_us_per_message']):,.0f}",
                )
            )
    about = "\n".join(
        f"- **{name} {one['version']}.** {' '.join(one['why'].replace('``', '`').split())}"
        for name, one in sorted(peers["about"].items())
    )
    return f"""## Beside other queues

![Drain rates](assets/peers.svg)

{table(("queue", "drained per second", "enqueued per second", "worker CPU, µs per message"), rows)}

`python -m stress peers`: a no-op task, and two worker processes for each queue. The queues run one after the other,
and all of this is repeated {peers["repetitions"]} times. In this comparison Redis writes nothing to disk, and SQLite
under Huey does not sync. Messages of s3queue are durable when `enqueue` returns, in both stores. The CPU of s3queue
includes its agent. Each queue is set up as its documentation advises:

{about}"""


def _real(real: dict[str, Any]) -> str:
    rows = []
    for name in (
        "batches-sqlite",
        "singles-sqlite",
        "batches-seaweedfs",
        "singles-long-seaweedfs",
        "singles-seaweedfs",
    ):
        if name not in real:
            continue
        run = real[name]
        requests = run["requests_per_message"]
        used = run["cpu_us_per_message"]
        rows.append(
            (
                name,
                told(run["enqueue_per_s"]),
                told(run["drain_per_s"]),
                " / ".join(f"{median(requests[kind]):.3g}" for kind in ("put", "get", "list", "delete")),
                " / ".join(f"{median(used[role]):.1f}" for role in ("producer", "agent", "worker")),
                " / ".join(f"{median(run['rss_mib'][role]):.0f}" for role in ("agent", "worker")),
            )
        )
    if not rows:
        return ""
    head = (
        "run", "enqueued per second", "drained per second", "put / get / list / delete per message",
        "CPU µs: producer / agent / worker", "MiB: agent / worker",
    )  # fmt: skip
    return "## s3queue by itself\n\n" + table(head, rows)


_THOUSAND = {
    "board-1000": "one board",
    "board-1000-soon": "one board, `ack_interval` 0.2 s",
    "board-1000-tuned": "one board, `ticket_target` 3 s, `ack_interval` 1 s",
    "parts-1000": "8 boards",
    "board-1000-batches": "one board, batches of 100",
}


def _thousand(scale: dict[str, Any]) -> str:
    rows = [
        (
            what,
            f"{one['utilisation']:.1%}",
            f"{one['by_role']['host']['put'] / one['setting']['measure_s'] / one['setting']['hosts']:.2f}",
            f"{one['write_class_per_message']:.3f}",
            f"{one['cycle_s']['p50']:.2f}",
            f"{one['board_bytes']['p50'] / 1e6:.1f}",
            f"${one['dollars_per_million']:.2f}",
        )
        for name, what in _THOUSAND.items()
        if (one := scale.get(name))
    ]
    if not rows:
        return ""
    head = (
        "1,000 hosts × 4 slots, 1 s tasks", "slots busy", "ledger writes per second and host",
        "write-class per message", "cycle, s", "board, MB", "per million",
    )  # fmt: skip
    how = "Simulated on S3, at list prices: `python -m stress scale board-1000`, and so on."
    return f"## What a thousand busy hosts cost\n\n{how}\n\n{table(head, rows)}"


def _bill(scale: dict[str, Any]) -> str:
    rows = [
        (name, f"${one['dollars_per_day']:.2f}", *(f"{_per_hour(one, kind):,.0f}" for kind in ("put", "list", "get")))
        for name, one in scale.items()
        if name.startswith("idle-")
    ]
    if not rows:
        return ""
    how = "10 queues and 10 hosts without work. Simulated, at list prices: `python -m stress scale SCENARIO`."
    head = ("scenario", "a day", "PUT per hour", "LIST per hour", "GET per hour")
    return f"## What an idle namespace costs\n\n{how}\n\n{table(head, rows)}"


def _per_hour(told_: dict[str, Any], kind: str) -> float:
    requests = sum(int(kinds[kind]) for kinds in told_["by_role"].values())
    return requests / float(told_["setting"]["measure_s"]) * 3600


def _sweep(sweep: dict[str, Any]) -> str:
    if not sweep:
        return ""
    rows = [
        (
            f"{row['task_ms']:g}",
            f"{row['waiting']:,}",
            str(row["slots"]),
            f"{row['adaptive_per_s']:,.4g}",
            f"{row['best_per_s']:,.4g} ({row['best_size']})",
            f"{row['worst_per_s']:,.4g}",
            f"{row['ratio']:.2f}",
            f"{row['cold_ratio']:.2f}",
        )
        for row in sweep["rows"]
    ]
    worst = min(sweep["rows"], key=lambda row: float(row["ratio"]))
    short = [row for row in sweep["rows"] if row["ratio"] < 0.9]
    head = (
        "task, ms", "waiting", "slots", "adaptive, per second", "best fixed (messages per slot)", "worst fixed", "ratio",
        "first ever",
    )  # fmt: skip
    where = f"{worst['task_ms']:g} ms, {worst['waiting']:,} waiting, {worst['slots']} slots"
    met = f"{len(rows) - len(short)} of {len(rows)}"
    return f"""## Adaptive tickets against fixed ones

`python -m stress sweep`: one host on simulated S3. The coordinator decides the size of tickets, or the size is fixed
at 1, 2, 4, 16, 64, 256 or 1,024 messages per slot. In **{met}** cases the coordinator reaches at least 90 % of the
best fixed size; the lowest ratio is {worst["ratio"]:.2f} ({where}). "First ever" is the ratio for a new queue. There
the coordinator does not know yet how long a task takes, and learns it from the first messages, which costs one round
trip more.

{table(head, rows)}"""


def _by_target(by_target: dict[str, Any]) -> str:
    if not by_target:
        return ""
    rows = [
        (
            f"{row['task_ms']:g}",
            str(row["slots"]),
            *(f"{value:,.4g}" for value in row["per_s"].values()),
            f"{row['ratio']:.2f}",
        )
        for row in by_target["rows"]
    ]
    targets_s = [f"{float(target):g} s" for target in by_target["rows"][0]["per_s"]]
    return f"""The same with real runs on SQLite, in batches of 100: messages per second with the default
`ticket_target` of 1 s and with other values, as medians of alternating runs.

{table(("task, ms", "slots", *targets_s, "default / best"), rows)}"""


def scale_charts(scale: dict[str, Any]) -> dict[str, str]:
    """Utilisation of one board by the number of hosts."""
    sizes = (50, 100, 250, 500, 1000)

    def busy(suffix: str) -> list[tuple[float, float]]:
        known = [(hosts, scale[f"board-{hosts}{suffix}"]) for hosts in sizes if f"board-{hosts}{suffix}" in scale]
        return [(float(hosts), 100 * float(one["utilisation"])) for hosts, one in known]

    series = [(name, busy(suffix)) for name, suffix in (("defaults", ""), ("target 3 s, ack 1 s", "-tuned"))]
    series = [(name, points) for name, points in series if len(points) > 1]
    if not series:
        return {}
    title = "Slots busy on one board, %; 4 slots per host, 1 s tasks, one message per object, simulated S3"
    return {"board": lines(title, "hosts", series, top_y=100.0)}
