"""The scenarios of ``docs/explanation/scale.md``, by name. ``python -m stress scale list`` shows them."""

from __future__ import annotations

from dataclasses import replace

from stress.scale.simulation import Setting

#: A day of nothing, as an hour that begins when all hosts doze: everything in it repeats within minutes.
_IDLE = Setting(hosts=10, queues=10, load=0.0, warm_s=240, measure_s=3600, split="none", cpu=0.0)
#: One host, 16 slots, 1 s tasks, always something waiting.
_ONE = Setting(hosts=1, slots=16, backlog_s=15, warm_s=20, measure_s=120)
#: What large installations need: more work in front of each host, and outcomes stored in groups.
_LARGE = {"ticket_target": 3.0, "ack_interval": 1.0}
_THOUSAND = Setting(hosts=1000, queues=10, backlog_s=12, warm_s=30, measure_s=40)

SCENARIOS: dict[str, Setting] = {
    # What nothing costs.
    "idle-latency": replace(_IDLE, settings={"pacing": "latency"}),
    "idle-balanced": _IDLE,
    "idle-frugal": replace(_IDLE, settings={"pacing": "frugal"}),
    "idle-balanced-gcs": replace(_IDLE, model="gcs"),
    "idle-balanced-r2": replace(_IDLE, model="r2"),
    # A message from another machine every 307 seconds, for a day.
    "wake-balanced": replace(_IDLE, load=1 / 307 / 40, measure_s=86_400),
    "wake-frugal": replace(_IDLE, load=1 / 307 / 40, measure_s=86_400, settings={"pacing": "frugal"}),
    # One host under load.
    "one-latency": replace(_ONE, settings={"pacing": "latency"}),
    "one-balanced": _ONE,
    "one-frugal": replace(_ONE, settings={"pacing": "frugal"}),
    # Every store, 20 hosts.
    **{
        f"twenty-{model}": Setting(model=model, hosts=20, queues=4, backlog_s=12, warm_s=20, measure_s=60)
        for model in ("s3", "s3-express", "gcs", "r2", "minio-lan")
    },
    # How far one board goes: 1 s tasks, one message per object.
    **{
        f"board-{hosts}": Setting(hosts=hosts, queues=10, backlog_s=12, warm_s=20, measure_s=30)
        for hosts in (50, 100, 250, 500)
    },
    "board-1000": _THOUSAND,
    "board-250-tuned": Setting(hosts=250, queues=10, backlog_s=12, warm_s=20, measure_s=30, settings=_LARGE),
    "board-1000-tuned": replace(_THOUSAND, settings=_LARGE),
    "board-1000-soon": replace(_THOUSAND, settings={"ack_interval": 0.2}),
    "board-1000-batches": replace(_THOUSAND, batch=100),
    "board-1000-10s": replace(_THOUSAND, task_ms=10_000.0, backlog_s=60, warm_s=40, measure_s=60),
    # More than one coordinator can plan: a store without limits, 10,000 messages a second.
    "board-ceiling": Setting(
        hosts=500, queues=10, task_ms=200.0, backlog_s=10, warm_s=10, measure_s=15, split="limitless", measured=True
    ),
    # The same work on several boards.
    "parts-1000": replace(_THOUSAND, partitions=8, queues=1),
    "parts-1000-tuned": replace(_THOUSAND, partitions=8, queues=1, settings=_LARGE),
    # Ten thousand hosts. One computer simulates a few seconds of that in minutes, so the hosts know how long a task takes.
    "parts-10000": replace(
        _THOUSAND, hosts=10_000, partitions=64, queues=1, backlog_s=5, warm_s=4, measure_s=4, spread_s=1, measured=True
    ),
    # One bucket prefix that S3 has not split.
    "unsplit-1000": replace(_THOUSAND, split="none", settings=_LARGE),
    # A backlog of a million messages in 100,000 objects, and none.
    "backlog-million": Setting(hosts=20, batch=10, backlog=1_000_000, load=1.0, warm_s=20, measure_s=30),
    "backlog-none": Setting(hosts=20, batch=10, backlog_s=3, load=1.0, warm_s=20, measure_s=30),
    # The leader's machine dies.
    "fail-over": Setting(hosts=20, backlog_s=60, warm_s=30, measure_s=60, kill_leader_at=10),
    # The same after twenty minutes of a thousand one-message objects a second.
    "fail-over-busy": Setting(hosts=20, backlog_s=60, warm_s=30, measure_s=60, kill_leader_at=10, retired=2500),
    "fail-over-same-host": Setting(hosts=20, backlog_s=60, warm_s=30, measure_s=60, kill_leader_at=10, again=True),
}
