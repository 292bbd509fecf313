"""The table of targets: what was wanted, what was measured, and the command that measures it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stress.bench.figures import median, told
from stress.bench.rows import RUNS

_MISSING = "not measured"
_S3_QUEUES = ("buquet", "pail (pailq)", "pawn-queue", "jqueue")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in rows)]
    )


def _writes(requests: dict[str, Any]) -> float:
    """PUT, LIST, and the POST that deletes many objects."""
    return sum(median(requests[kind]) for kind in ("put", "list", "delete"))


def _try(figure: Callable[[], str]) -> str:
    try:
        return figure()
    except (KeyError, ZeroDivisionError, StopIteration, TypeError):
        return _MISSING


def _mark(value: float, target: float, *, most: bool, text: str) -> str:
    met = value <= target if most else value >= target
    return f"{text} {'✓' if met else '✗'}"


def _rate(peers: dict[str, Any], name: str) -> float:
    return median(peers["queues"][name]["drain_per_s"])


def _ratio(peers: dict[str, Any], ours: str, others: dict[str, float]) -> str:
    parts = []
    for name, target in others.items():
        if name == "the fastest other S3 queue":
            theirs = max(_rate(peers, one) for one in _S3_QUEUES if "drain_per_s" in peers["queues"].get(one, {}))
        else:
            theirs = _rate(peers, name)
        value = _rate(peers, ours) / theirs
        parts.append(_mark(value, target, most=False, text=f"{value:,.1f} × {name}"))
    return "; ".join(parts)


def targets(real: dict[str, Any], peers: dict[str, Any], scale: dict[str, Any]) -> str:
    def command(name: str) -> str:
        return f"`{real[name]['command']}`" if name in real else ""

    def simulated(*names: str) -> str:
        return f"`python -m stress scale {' '.join(names)}`"

    def requests(name: str) -> dict[str, Any]:
        found: dict[str, Any] = real[name]["requests_per_message"]
        return found

    def writes(name: str, target: float) -> str:
        value = _writes(requests(name))
        return _mark(value, target, most=True, text=f"{value:.3f}")

    def reads(name: str, target: float) -> str:
        value = median(requests(name)["get"])
        return _mark(value, target, most=True, text=f"{value:.3f}")

    def all_of(name: str, target: float) -> str:
        value = sum(median(one) for one in requests(name).values())
        return _mark(value, target, most=True, text=f"{value:.4f}")

    def share(name: str, figure: str, raw: str, target: float) -> str:
        value = median(real[name][figure]) / median(real[name]["raw"][raw])
        return _mark(
            value,
            target,
            most=False,
            text=f"{value:.2f} × ({told(real[name][figure])} / {told(real[name]['raw'][raw])})",
        )

    def cpu(*names: str) -> str:
        texts = []
        for name in names:
            agent, worker = (median(real[name]["cpu_us_per_message"][role]) for role in ("agent", "worker"))
            text = f"{name.partition('-')[2]}: {agent + worker:.1f} µs (agent {agent:.1f}, worker {worker:.1f})"
            texts.append(_mark(agent + worker, 40.0, most=True, text=text))
        return "; ".join(texts)

    def latency(name: str, target: float) -> str:
        found = {key: median(value) for key, value in real[name]["latency_ms"].items()}
        text = f"p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f}"
        return _mark(found["p50"], target, most=True, text=text) + _mark(
            found["p99"], 5 * found["p50"], most=True, text=f" (p99 {found['p99'] / found['p50']:.1f} × p50"
        ) + ")"  # fmt: skip

    def bill() -> str:
        balanced = scale["idle-balanced"]["dollars_per_day"]
        others = ", ".join(f"{one} ${scale[f'idle-{one}']['dollars_per_day']:.2f}" for one in ("latency", "frugal"))
        return _mark(balanced, 0.25, most=True, text=f"${balanced:.2f}") + f"; {others}"

    def woken() -> str:
        waits = scale["wake-balanced"]["latency_s"]
        return _mark(waits["p50"], 3.0, most=True, text=f"{waits['p50']:.1f} s") + _mark(
            waits["max"], 8.0, most=True, text=f", longest {waits['max']:.1f} s"
        )

    def recovered() -> str:
        texts = []
        for store in ("sqlite", "seaweedfs"):
            found = real[f"recovery-{store}"]
            again, lost, twice = (median(found[key]) for key in ("again_s", "lost", "twice"))
            after = told(found["again_s"], ".2f")
            text = f"{store}: its message runs again after {after} s, {lost:.0f} lost, {twice:.0f} twice"
            texts.append(_mark(again + 1e3 * (lost + twice), 1.0, most=True, text=text))
        return "; ".join(texts)

    def busy(name: str) -> str:
        found = scale[name]
        text = f"{found['utilisation']:.1%} busy"
        dollars = found["dollars_per_million"]
        every_put = found["dollars_per_day"] / 86_400 / found["done_per_s"] * 1e6
        return (
            _mark(found["utilisation"], 0.95, most=False, text=text)
            + " "
            + _mark(dollars, 6.5, most=True, text=f"${dollars:.2f}")
            + f"; ${every_put:.2f} with the puts of messages that still wait"
        )

    def cycles() -> str:
        value = scale["backlog-million"]["cycle_s"]["p50"] / scale["backlog-none"]["cycle_s"]["p50"]
        return _mark(value, 1.5, most=True, text=f"{value:.2f} ×")

    def fail_over() -> str:
        far, near = scale["fail-over"], scale["fail-over-same-host"]
        limit = 15 + far["cycle_s"]["max"]
        return (
            _mark(far["fail_over_s"], limit, most=True, text=f"{far['fail_over_s']:.1f} s (allowed {limit:.1f})")
            + f"; same host {near['fail_over_s']:.1f} s after a restart of 0.5 s"
        )

    def many_hosts() -> str:
        found = scale["parts-10000"]
        return f"{found['done_per_s']:,.0f} messages/s, {found['utilisation']:.1%} busy, {found['fenced']} hosts fenced"

    def memory() -> str:
        found = real["memory-sqlite"]
        grows = [
            f"{role} {median(found[f'{role}_tenth']):.0f} → {median(found[f'{role}_end']):.0f} MiB"
            for role in ("agent", "worker")
        ]
        return ", ".join(grows) + " from a tenth of a million messages to all"

    rows = [
        (
            "write-class requests per message, one by one, 1,000 waiting",
            "≤ 1.2",
            lambda: writes("singles-seaweedfs", 1.2),
            command("singles-seaweedfs"),
        ),
        ("read-class requests per message, same", "≤ 1.3", lambda: reads("singles-seaweedfs", 1.3), "same"),
        (
            "all requests per message, batches of 100",
            "≤ 0.04",
            lambda: all_of("batches-seaweedfs", 0.04),
            command("batches-seaweedfs"),
        ),
        (
            "write-class per message, 1 s tasks, one host, 16 slots, remote, `balanced`",
            "≤ 2.0",
            lambda: writes("slots-16-far", 2.0),
            command("slots-16-far"),
        ),
        (
            "the same, simulated",
            "≤ 2.0",
            lambda: _mark(
                scale["one-balanced"]["write_class_per_message"],
                2.0,
                most=True,
                text=f"{scale['one-balanced']['write_class_per_message']:.2f}",
            ),
            simulated("one-balanced"),
        ),
        (
            "drain, no-op, batches of 100, SeaweedFS, 2 workers",
            "≥ 4 × Dramatiq, ≥ 15 × Celery, ≥ 60 × the fastest other S3 queue",
            lambda: _ratio(
                peers,
                "s3queue, SeaweedFS, batches of 100",
                {"Dramatiq": 4, "Celery": 15, "the fastest other S3 queue": 60},
            ),
            "`python -m stress peers`",
        ),
        (
            "the same, SQLite",
            "≥ 6 × Dramatiq, ≥ 8 × Huey on SQLite",
            lambda: _ratio(peers, "s3queue, SQLite, batches of 100", {"Dramatiq": 6, "Huey (SQLite)": 8}),
            "`python -m stress peers`",
        ),
        (
            "drain, no-op, one message per object, SeaweedFS, against raw GET, 8 at a time",
            "≥ 0.6 ×",
            lambda: share("singles-long-seaweedfs", "drain_per_s", "get_per_s", 0.6),
            command("singles-long-seaweedfs"),
        ),
        (
            "enqueue one by one, durable when it returns, against raw conditional PUT",
            "≥ 0.8 ×",
            lambda: share("singles-long-seaweedfs", "enqueue_per_s", "put_per_s", 0.8),
            "same",
        ),
        (
            "CPU of agent and worker, no-op, batches of 100",
            "≤ 40 µs per message",
            lambda: cpu("batches-sqlite", "batches-seaweedfs"),
            command("batches-sqlite"),
        ),
        (
            "latency, idle queue, enqueue → start, SQLite",
            "p50 ≤ 10 ms, p99 ≤ 5 × p50",
            lambda: latency("latency-sqlite", 10),
            command("latency-sqlite"),
        ),
        (
            "the same, SeaweedFS",
            "p50 ≤ 40 ms, p99 ≤ 5 × p50",
            lambda: latency("latency-seaweedfs", 40),
            command("latency-seaweedfs"),
        ),
        (
            "idle bill of 10 queues and 10 hosts at S3 prices, `balanced`, a day (simulated)",
            "≤ $0.25",
            bill,
            simulated("idle-balanced", "idle-latency", "idle-frugal"),
        ),
        (
            "first message from another machine on an idle namespace, `balanced` (simulated)",
            "median ≤ 3 s, longest ≤ 8 s",
            woken,
            simulated("wake-balanced"),
        ),
        (
            "recovery after SIGKILL of one of 4 busy workers",
            "≤ 1 s, 0 lost, 0 twice",
            recovered,
            command("recovery-sqlite"),
        ),
        (
            "simulated S3, 1,000 hosts × 4 slots, 1 s tasks, singles: one board, defaults",
            "≥ 95 % busy, ≤ $6.5 per million",
            lambda: busy("board-1000"),
            simulated("board-1000"),
        ),
        (
            "the same on 8 boards",
            "≥ 95 % busy, ≤ $6.5 per million",
            lambda: busy("parts-1000"),
            simulated("parts-1000"),
        ),
        (
            "10,000 hosts on 64 boards, defaults",
            "works; the limit is stated",
            many_hosts,
            simulated("parts-10000"),
        ),
        (
            "a cycle with 10⁶ messages waiting against none (simulated)",
            "≤ 1.5 ×",
            cycles,
            simulated("backlog-million", "backlog-none"),
        ),
        (
            "leader killed → next ticket (simulated)",
            "≤ lease + 1 cycle; at once on the same host",
            fail_over,
            simulated("fail-over", "fail-over-same-host"),
        ),
        ("memory over a million messages", "stated, and constant", memory, command("memory-sqlite")),
    ]
    lines_ = [(what, target, _try(figure), how) for what, target, figure, how in rows]
    page = "## Targets\n\n" + table(("what", "target", "measured", "command"), lines_)
    run = real.get("singles-long-seaweedfs")
    return page + "\n\n" + _SINGLES.format(**_per_request(run)) if run and "list_per_s" in run["raw"] else page


def _per_request(run: dict[str, Any]) -> dict[str, str]:
    """Milliseconds of one raw request, and how many listings the run took."""
    ms = {kind: f"{1000 / median(run['raw'][f'{kind}_per_s']):.2f}" for kind in ("get", "list", "delete")}
    lists = median(run["requests_per_message"]["list"]) * RUNS["singles-long-seaweedfs"].setting.messages
    return {**ms, "lists": f"{lists:.0f}", "agent": f"{median(run['cpu_us_per_message']['agent']) / 1000:.2f}"}


_SINGLES = """With one message per object on SeaweedFS, the limit is the two cores that server, agent and workers
share. Raw GETs ({get} ms each, eight at a time) use both cores. A message needs such a GET, {agent} ms of the agent,
the deletion of its object ({delete} ms), and its share of about {lists} listings ({list} ms each for a thousand
keys). Two things would bring it closer to the raw rate: a server with its own cores, and surveys that skip pages
with only batches that are already on the board."""
