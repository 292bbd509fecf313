"""That the benchmarks measure what they say: small runs of the real thing, and the parts that need none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from stress import charts
from stress.bench import work
from stress.bench.command import command
from stress.bench.figures import figure, percentile, summary
from stress.bench.rows import RUNS
from stress.page import page
from stress.peers.catalogue import PEERS
from stress.scale.store import SortedKeys


def test_bench_prints_what_it_promises(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/bench-{{n}}.db"
    arguments = ["--store", store, "--messages", "40", "--repetitions", "1", "--samples", "1", "--json"]
    arguments += ["--warm-up", "0", "--idle-s", "0.01"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    told = json.loads(result.stdout)
    assert told["requests_per_message"].keys() == {"put", "get", "list", "delete"}
    assert told["cpu_us_per_message"].keys() == {"producer", "agent", "worker"}
    assert told["latency_ms"].keys() == {"p50", "p99", "max"}
    assert told["rss_mib"].keys() == {"agent", "worker"}
    assert told["raw"].keys() == {"put_per_s", "get_per_s", "list_per_s", "delete_per_s"}
    assert told["enqueue_per_s"].keys() == told["drain_per_s"].keys() == {"median", "min", "max"}
    # Each message was put once, and read at least once by somebody.
    assert told["requests_per_message"]["put"]["min"] >= 1.0
    assert told["requests_per_message"]["get"]["min"] >= 1.0


def test_stamps_of_many_threads_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Thread

    monkeypatch.setenv(work.STAMPS, str(tmp_path))
    threads = [Thread(target=lambda: [work.stamp() for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ran = work.Stamps(tmp_path).read()
    assert ran.many == 400
    assert ran.first <= ran.last
    assert len(ran.pids) == 1


def test_figures() -> None:
    assert figure([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert summary([{"a": {"b": 1.0}}, {"a": {"b": 3.0}}]) == {"a": {"b": {"median": 2.0, "min": 1.0, "max": 3.0}}}
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 99.0
    assert percentile([5.0], 0.99) == 5.0


def test_keys_of_the_simulated_store_list_like_a_real_one() -> None:
    keys = SortedKeys()
    names = [f"{group}/{number:05}" for group in "abc" for number in range(3000)]
    for name in reversed(names):
        keys.add(name)
    assert keys.after("", "b/", 5) == names[3000:3005]
    assert keys.after("b/02998", "b/", 10) == ["b/02999"]
    assert keys.after("a/02999", "", 2) == names[3000:3002]
    for name in names[:3000]:
        keys.remove(name)
    assert keys.after("", "a/", 10) == []
    assert keys.after("", "", 9000) == names[3000:]


def test_charts_are_well_formed_and_mark_ours() -> None:
    drawn = charts.bars("a < b", [("s3queue", 100.0, 90.0, 120.0), ("other & co", 3.0, 2.0, 4.0)], "/s")
    ElementTree.fromstring(drawn)
    ElementTree.fromstring(charts.lines("t", "x", [("one", [(1.0, 2.0), (10.0, 3.0)])]))


def test_page_can_be_written_before_anything_was_measured() -> None:
    assert "not measured" in page({}, {}, {}, {}, {})


def test_every_peer_says_how_it_is_configured_and_where_that_is_written() -> None:
    for peer in PEERS:
        assert len(peer.why) > 100, peer.name
        assert "http" in peer.why or "README" in peer.why or "setting" in peer.why or "guide" in peer.why, peer.name


def test_figures_are_told_to_people_with_their_full_names() -> None:
    arguments = ["--messages", "2", "--repetitions", "1", "--warm-up", "0", "--samples", "0"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    names = [line.split()[0] for line in result.output.splitlines()]
    assert {"run_per_s", "requests_per_message.put", "cpu_us_per_message.worker"} <= set(names)


def test_every_run_has_a_command() -> None:
    for run in RUNS.values():
        assert run.command.startswith("python -m stress ")


def test_one_process_can_hold_the_tasks_of_all_commands() -> None:
    """As the one that collects all tests does. Those of the other queues need what is not installed here."""
    script = """if True:
        import importlib, pkgutil, stress
        for module in pkgutil.walk_packages(stress.__path__, "stress."):
            if not module.name.startswith("stress.peers.") and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        from s3queue.registry import registry
        print(len(registry._tasks))
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 10
