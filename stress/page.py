"""``docs/benchmarks.md`` from kept figures."""

from __future__ import annotations

from typing import Any

from stress import against, cron, limits, redrive
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
        _sweep(sweep),
        _by_target(by_target),
        _dashboard(dashboard or {}),
        against.section(),
        cron.section(),
        limits.section(),
        redrive.section(),
        _FOOT,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_HEAD = """# Benchmarks

<!-- Written by `python -m stress report`. Edit stress/page.py instead. -->

Every figure here was printed by a command in the repository, which is named beside it. Ratios and counts are what to look
at; times and rates depend on the machine, which here was {machine}. A figure
is the median of its repetitions; in brackets the lowest and the highest. Simulated figures say so: they are the
production coordinator and pacing in virtual time, with assumed latencies (see [How far it goes](explanation/scale.md)).

To do it all again: `nox -s bench`."""

_FOOT = """## How it is measured

- **Drain**: from the first start of a task, in any worker, to the moment at which the board counts every message as done.
  A message that ran and is not committed yet does not count. For the peers it ends with the last task, or where they
  acknowledge in groups, with the last group.
- **No-op task**: it writes its time into a page of shared memory (0.3 µs), the same for every queue. That is how the parent
  process sees progress; it asks nothing of the store before all tasks have run.
- **Requests** are counted where they are made, by every process, for its whole life, start and end included.
- **CPU** is read from the kernel, per thread, between the first message and the last commit. The supervisor counts with
  the agent. The task itself is in the worker's share; it is empty.
- **Raw** rates are the same client object on the same server: creations of objects of the same size one after the other,
  reads with eight in flight from one process.
- Nothing here fails a build by being slow. What is guarded are counts (`tests/bench`): requests and bytes per message, the
  size of the board."""


def _dashboard(found: dict[str, Any]) -> str:
    if not found:
        return ""
    times, asked = found["page_ms"], found["requests"]
    kinds = ", ".join(f"{many:,} {kind.upper()}" for kind, many in asked.items())
    rows = [
        ("looks at the summary, for all viewers together", "≤ 0.5 a second", f"{found['looks_per_s']:.2f} a second"),
        (
            "time of a page, median / p99 / longest",
            "< 300 ms",
            f"{times['p50']:g} / {times['p99']:g} / {times['max']:g} ms",
        ),
        ("resident memory of the server, peak", "< 100 MiB", f"{found['peak_rss_mib']:g} MiB"),
        ("CPU of the server", "", f"{100 * found['cpu_s'] / found['seconds']:.1f} % of a core"),
    ]
    return f"""## The dashboard

{table(("", "target", "measured"), rows)}

{found["viewers"]} viewers with open streams over {found["messages"]:,} waiting messages, which one host works on, for
{found["seconds"]:g} s, on {found["store"]}; another client loads {found["pages"]:,} pages meanwhile. In its whole life the
server asked its store for {kinds}: `{found["command"]}`."""


def _machine(real: dict[str, Any], peers: dict[str, Any]) -> str:
    known = peers.get("machine") or next((run["machine"] for run in real.values()), None)
    return f"{known['cpus']} CPUs, {known['system']}, Python {known['python']}" if known else "unknown"


def _peers(peers: dict[str, Any]) -> str:
    if not peers:
        return ""
    rows = []
    for name, row in peers["queues"].items():
        if "skipped" in row:
            rows.append((name, "left out: " + row["skipped"].splitlines()[0][:120], "", ""))
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
        f"- **{name} {one['version']}.** {' '.join(one['why'].split())}" for name, one in sorted(peers["about"].items())
    )
    return f"""## Beside other queues

![Drain rates](assets/peers.svg)

{table(("queue", "drained per second", "enqueued per second", "worker CPU, µs per message"), rows)}

No-op task, two worker processes each, all in one run, one after the other, {peers["repetitions"]} times over:
`python -m stress peers`. Redis keeps nothing on disk here and SQLite under Huey does not sync; s3queue's messages are
durable when `enqueue` returns, in both of its stores, and its CPU counts agent and workers. What was chosen for each, and
where its documentation says so:

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
    return "## What a thousand busy hosts cost\n\nSimulated on S3, at list prices.\n\n" + table(head, rows)


def _bill(scale: dict[str, Any]) -> str:
    rows = [
        (name, f"${one['dollars_per_day']:.2f}", *(f"{_per_hour(one, kind):,.0f}" for kind in ("put", "list", "get")))
        for name, one in scale.items()
        if name.startswith("idle-")
    ]
    if not rows:
        return ""
    return (
        "## What an idle namespace costs\n\n10 queues, 10 hosts, nothing to do; simulated, at list prices.\n\n"
        + table(("scenario", "a day", "PUT per hour", "LIST per hour", "GET per hour"), rows)
    )


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

One host on simulated S3 (`python -m stress sweep`), tickets sized by the coordinator, or fixed by hand at 1, 2, 4, 16, 64,
256 or 1,024 messages per slot. **{met}** points are within 10 % of the best fixed size; the lowest ratio is
{worst["ratio"]:.2f} ({where}). "First ever" is the same before anything was measured: the first messages of a queue are its
measurement, and cost a round trip more.

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
    return f"""The same question asked of real runs: SQLite, batches of 100, `ticket_target` at its default of 1 s
and set by hand; messages per second, medians of runs in turn.

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
