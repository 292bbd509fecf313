"""The scale model: that what it models is as in production."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from s3queue.core.keys import batch_id, source_path
from s3queue.core.ops import Gather, Get, Missed, Program, Signal, Wait
from s3queue.core.records import Part
from s3queue.runtime.local.wire import Deal, Finished, Note, Recall, Returned
from s3queue.runtime.worker.sources import READERS
from s3queue.store import Found
from stress.scale.simulation import Setting, Simulation, simulate
from stress.scale.workers import HOP_S
from stress.scale.world import Processor, Running

#: Latencies without a spread, so that times can be worked out: a read takes 20 ms and what its bytes take.
_SETTING = Setting(hosts=1, slots=1, load=0.0, sigma=0.0, cpu=0.0, task_ms=100.0, spread_s=0.0)
_READ_S = 0.02 + 240 / 50e6


class Bench:
    """One worker, and what it tells."""

    def __init__(self, setting: Setting = _SETTING) -> None:
        self.sim = Simulation(setting)
        self.world = self.sim.world
        self.told: list[tuple[float, Note]] = []
        host = self.sim.hosts[0]
        for running in host._running:
            running.dead = True  # no agent deals: the test does
        host.hear = self._hear  # type: ignore[method-assign]
        host.trust(1e9)
        self.worker = host._workers[0]
        self.journal = host.journal.worker(0)

    def _hear(self, what: tuple[int, Note]) -> None:
        self.told.append((self.world.now, what[1]))

    def source(self, number: int, count: int = 1) -> str:
        path = source_path("q00", sent_ms=number, batch=batch_id(number, number), count=count)
        self.sim.store.fill(self.sim.layouts[0].source(path), 40 + count * 200)
        return path

    def deal(self, row: int, *parts: Part) -> None:
        self.journal.open_row(row, "1-1", 0, sum(part.stop - part.start for part in parts))
        self.worker.send(Deal(row, "1-1", "q00", parts))

    @property
    def reads(self) -> int:
        return self.sim.store.counts.requests["worker"]["get"]


def test_a_slot_is_charged_for_the_read_it_waits_for_and_not_for_those_beside_it() -> None:
    bench = Bench()
    bench.deal(0, Part(bench.source(1), 0, 1, 1))
    bench.deal(1, Part(bench.source(2), 0, 1, 1))
    bench.world.run(1.0)
    (first_at, first), (second_at, second) = bench.told
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    # The first object is read alone, since nobody knows how large they are; the second while the first message runs.
    assert first.busy_s == pytest.approx(_READ_S + 0.1)
    assert second.busy_s == pytest.approx(0.1)
    assert (first.run_s, second.run_s) == pytest.approx((0.1, 0.1))
    assert first_at == pytest.approx(2 * HOP_S + _READ_S + 0.1)
    assert second_at == pytest.approx(first_at + 0.1)


def test_a_worker_reads_no_more_than_its_readers_at_a_time() -> None:
    bench = Bench()
    bench.deal(0, *(Part(bench.source(number), 0, 1, 1) for number in range(20)))
    bench.world.run(HOP_S + 0.001)
    assert bench.reads == 1
    bench.world.run(HOP_S + 1.5 * _READ_S)
    assert bench.reads == 1 + READERS
    bench.world.run(10.0)
    assert bench.reads == 20


def test_a_worker_reads_ahead_within_its_budget() -> None:
    bench = Bench(Setting(**{**vars(_SETTING), "settings": {"prefetch_bytes": 700}}))
    bench.deal(0, *(Part(bench.source(number), 0, 1, 1) for number in range(20)))
    bench.world.run(HOP_S + _READ_S + 0.09)
    assert bench.reads == 2  # 240 bytes each: one runs, one waits, and a third would not fit
    bench.world.run(10.0)
    assert bench.reads == 20


def test_a_batch_dealt_in_slices_is_read_once() -> None:
    bench = Bench()
    source = bench.source(1, count=10)
    bench.deal(0, Part(source, 0, 5, 1))
    bench.deal(1, Part(source, 5, 10, 1))
    bench.world.run(2.0)
    bench.deal(2, Part(source, 0, 5, 2))
    bench.world.run(4.0)
    assert bench.reads == 1
    assert [note.row for _, note in bench.told if isinstance(note, Finished)] == [0, 1, 2]


def test_what_was_not_started_is_given_back() -> None:
    bench = Bench()
    bench.deal(0, *(Part(bench.source(number), 0, 1, 1) for number in range(4)))
    bench.world.run(0.05)
    bench.worker.send(Recall())
    bench.world.run(1.0)
    (_, returned), (_, finished) = bench.told
    assert isinstance(returned, Returned)
    assert sorted(returned.messages) == [(0, 1), (0, 2), (0, 3)]
    assert isinstance(finished, Finished)


def test_nothing_starts_outside_the_trust_window() -> None:
    bench = Bench()
    host = bench.sim.hosts[0]
    host.journal.trust_until = 0.0
    bench.deal(0, Part(bench.source(1), 0, 1, 1))
    bench.world.run(1.0)
    assert bench.told == []
    host.trust(5.0)
    bench.world.run(2.0)
    assert len(bench.told) == 1


def test_a_read_that_takes_too_long_is_missed() -> None:
    sim = Simulation(_SETTING)
    sim.store.fill("a", 240, b"a")
    outcomes: list[Any] = []

    def program(within_s: float | None) -> Program[None]:
        outcomes.append((yield Gather((Get("a"), Get("a")), within_s)))

    for within_s in (0.001, 1.0, None):
        Running(sim.world, sim.store, program(within_s), Processor(0.0), role="host")
        sim.world.run(sim.world.now + 2.0)
    late, soon, all_of_it = outcomes
    assert late == [Missed(), Missed()]
    assert [type(one) for one in soon] == [type(one) for one in all_of_it] == [Found, Found]


def test_programs_of_one_process_take_turns_computing() -> None:
    sim = Simulation(_SETTING)
    processor, signal, heard = Processor(0.0), Signal(), []

    def program() -> Iterator[Wait]:
        yield Wait(20.0, signal)
        heard.append(sim.world.now)

    sim.world.run(10.0)
    processor.free_at = 25.0
    Running(sim.world, sim.store, program(), processor, role="host")  # type: ignore[arg-type]
    sim.world.run(40.0)
    assert heard == [25.0]


def test_one_long_task_costs_only_the_heartbeats_of_its_host_and_of_the_coordinator() -> None:
    idle = Setting(hosts=10, queues=10, load=0.0, warm_s=300, measure_s=600, split="none", cpu=0.0)
    long = Setting(**{**vars(idle), "backlog": 1, "task_ms": 3_600_000.0})
    # Every 10 s instead of 300, and every 5 s instead of 20; $5 per million writes.
    beats = (1 / 10 - 1 / 300 + 1 / 5 - 1 / 20) * 86_400 * 5e-6
    assert simulate(long)["dollars_per_day"] <= 1.03 * (simulate(idle)["dollars_per_day"] + beats)
