"""What `stats` and `top` show, rendered to a console that remembers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from s3queue_backends.memory import MemoryStore

from s3queue import Queue, open_store, stats
from s3queue.cli.screens import freshness, screen
from s3queue.core.keys import Layout
from s3queue.core.records import HostTally, Summary, Tally, Usage, encode
from s3queue.observe.prices import PRICES
from s3queue.observe.stats import HostStats, QueueStats, RunningStats, Stats
from tests.cli.conftest import Invoke

NOW = datetime(2030, 1, 31, 8, 0, tzinfo=UTC)
USAGE = {"coordinator": {"put": 1_000_000, "list": 2}, "worker": {"get": 3_000_000}}


def seen(**more: Any) -> Stats:
    return Stats(
        "s3://jobs/production",
        "s3queue",
        coordinator="h1",
        epoch=7,
        board_bytes=12_345,
        hosts=[
            HostStats("h1", "web-1:77", 4, ["mail"], 6, usage=USAGE, busy=4),
            HostStats("h2", "", 2, [], 0, busy=0),
            HostStats("h3", "gone", 8, ["mail"], 0, over=True),
        ],
        as_of=NOW - timedelta(seconds=4),
        **more,
    )


def rendered(stats: Stats, *, costs: bool = True) -> str:
    console = Console(record=True, width=140, file=StringIO())
    console.print(screen(stats, NOW, prices=PRICES["s3"] if costs else None))
    return console.export_text()


class TestScreen:
    def test_it_shows_queues_hosts_coordinator_requests_and_dollars(self) -> None:
        queue = QueueStats(ready=12, running=6, done=1234, oldest_s=61.4, in_per_s=2.04, out_per_s=None, mean_s=0.25)
        lines = rendered(seen(queues={"mail": queue})).splitlines()
        assert "4 of 6 slots busy; coordinator web-1:77, term 7, board 12 kB" in lines[1]
        assert lines[2].endswith("4.0 s ago")
        told = [line.split() for line in lines]
        assert ["mail", "12", "0", "6", "0", "0", "1,234", "61", "s", "2.0", "-", "250", "ms"] in told
        assert ["web-1:77", "(leads)", "4", "4", "6", "mail"] in told
        assert ["h2", "2", "0", "0", "nothing"] in told
        assert ["gone", "8", "0", "0", "left"] in told
        assert ["coordinator", "1,000,000", "0", "2", "0", "$5.0000"] in told
        assert ["worker", "0", "3,000,000", "0", "0", "$1.2000"] in told

    def test_progress_of_running_messages_is_shown_where_tasks_tell_it(self) -> None:
        stats = seen()
        assert "resizing" not in rendered(stats)
        stats.hosts[0].progress = [
            RunningStats("p00~in~a", 3.0, 10.0, "resizing [1]"),
            RunningStats("p00~in~b", 7.5, 0.0, ""),
        ]
        told = [line.split() for line in rendered(stats).splitlines()]
        assert ["p00~in~a", "3", "of", "10", "resizing", "[1]"] in told
        assert ["p00~in~b", "7.5"] in told

    def test_where_requests_are_free_there_are_no_dollars(self) -> None:
        assert "$" not in rendered(seen(), costs=False)

    def test_counts_of_a_namespace_without_hosts_say_that_there_may_be_more(self) -> None:
        store = MemoryStore()
        gone = HostTally("a", over=True)
        tally = Summary("n", 1, 1_700_000_000_000, queues={"mail": Tally(done=1)}, hosts=(gone,))
        store.put(Layout().summary, encode(tally), if_version=None)
        told = rendered(stats(store, "s3queue"))
        assert "≥0" in told
        assert "no host lives that would count on" in told

    def test_counts_of_which_there_may_be_more_say_so_and_since_when(self) -> None:
        queue = QueueStats(ready=5000, done=3, at_least=True)
        text = rendered(seen(queues={"mail": queue}, census_at=NOW - timedelta(minutes=1)))
        assert "≥5,000" in text
        assert "≥3" not in text
        assert "≥: at least, counted from" in text
        assert "a census counts what is behind" in rendered(seen(queues={"mail": queue}))

    @pytest.mark.parametrize(
        ("queue", "line"),
        [
            (QueueStats(ready=1, hosts=0), "not served: no living host serves mail; s3queue run MODULE starts one"),
            (QueueStats(hosts=1, paused=True), "paused: mail; s3queue resume mail"),
            (QueueStats(hosts=1, unfit={"send@": 2}), "unfit: 2 messages of mail of a task that no host knows: send"),
            (
                QueueStats(hosts=1, dead=1201, died={"oom": 1, "error": 1200}),
                "died in mail: 1,200 error, 1 oom; s3queue dead groups mail",
            ),
        ],
    )
    def test_what_an_operator_should_know_is_marked(self, queue: QueueStats, line: str) -> None:
        text = rendered(seen(queues={"mail": queue}))
        assert line in text.splitlines()
        assert line not in rendered(seen(queues={"mail": QueueStats(hosts=1)}))

    def test_bounds_that_are_reached_and_unreadable_objects_are_named(self) -> None:
        text = rendered(seen(full=["failures"], unreadable=["s3queue/p00/in/[red]junk"]))
        assert "full: failures; work is held back until there is room" in text
        assert "unreadable: s3queue/p00/in/[red]junk" in text

    def test_an_empty_namespace_has_a_screen(self) -> None:
        text = rendered(Stats("sqlite:///x.db", "s3queue"), costs=False)
        assert "0 of 0 slots busy; no coordinator" in text
        assert "no messages, now or before" in text
        assert "counted just now" in text


@pytest.fixture
def summarised(url: str) -> str:
    """A namespace in which more was enqueued since its coordinator spoke last."""
    store = open_store(url)
    Queue("mail", store).enqueue_many(range(5))
    host = HostTally("h1", "web-1:77", 4, 1, ("mail",), usage={"worker": Usage(get=4321)})
    summary = Summary("n", 3, 1_700_000_000_000, "h1", queues={"mail": Tally(ready=2, done=7, hosts=1)}, hosts=(host,))
    store.put(Layout().summary, encode(summary), if_version=None)
    store.close()
    return url


def test_top_is_one_snapshot_in_a_pipe(s3queue: Invoke, summarised: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert s3queue("top", "--store", summarised) == 0
    out = capsys.readouterr().out
    assert "1 of 4 slots busy; coordinator web-1:77" in out
    assert ["mail", "2", "0", "0", "0", "0", "7", "-", "-", "0.0", "-"] in [line.split() for line in out.splitlines()]
    assert "\x1b" not in out


def test_top_on_a_terminal_goes_on_until_interrupted(
    s3queue: Invoke, summarised: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("s3queue.cli.top.time.sleep", sleep)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("s3queue.cli.top.console", lambda: Console(width=120, force_terminal=True, highlight=False))
    assert s3queue("top", "--interval", "0.5", "--store", summarised) == 130
    assert waits == [0.5] * 3
    assert capsys.readouterr().out.count("coordinator web-1:77") == 3


def test_stats_says_as_of_when_and_counts_where_it_is_told_to(
    s3queue: Invoke, summarised: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("stats", "--store", summarised) == 0
    out = capsys.readouterr().out
    assert "as of 2023-11-1" in out
    assert "--exact counts now" in out
    assert "requests of this command: 1 get\n" in out
    assert s3queue("stats", "--exact", "--store", summarised) == 0
    out = capsys.readouterr().out
    assert "counted just now" in out
    assert ["mail", "5", "0", "0", "0", "0", "0", "0"] in [line.split()[:8] for line in out.splitlines()]


def test_queue_of_which_nothing_is_known_is_told_with_the_nearest_name(
    s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Queue("mail", url).enqueue(1)
    assert s3queue("stats", "--queue", "mial", "--store", url) == 0
    assert capsys.readouterr().err == "no message of mial is known; did you mean mail?\n"
    assert s3queue("stats", "--queue", "mail", "--store", url) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("age_s", "told"), [(61, "61 s ago"), (150, "2.5 min ago"), (5400, "90 min ago"), (200_000, "2.3 d ago")]
)
def test_long_times_are_told_in_longer_units(age_s: float, told: str) -> None:
    now = datetime.now(UTC)
    assert freshness(Stats("memory://", "n", as_of=now - timedelta(seconds=age_s)), now).split(";")[0].endswith(told)
