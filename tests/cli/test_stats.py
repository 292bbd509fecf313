from __future__ import annotations

from pathlib import Path

import pytest

from s3queue import Queue
from s3queue.core.keys import Layout
from s3queue.core.records import Ledger, Place, Usage, encode
from s3queue.store import open_store
from tests.cli.conftest import Invoke, answer


class TestStats:
    def test_for_programs(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        queue = Queue("q", url)
        queue.enqueue_many(range(5))
        queue.store.close()
        assert s3queue("stats", "--store", url, "--exact", "--json") == 0
        printed = answer(capsys)
        assert printed["queues"]["q"]["ready"] == 5
        assert printed["requests"]["get"] == 1

    def test_for_people(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert s3queue("stats", "--store", url) == 0
        assert "no messages" in capsys.readouterr().out
        queue = Queue("q", url)
        queue.enqueue_many(range(1234))
        ledger = Ledger("n", "h1", place=Place(name="box:1"), usage={"worker": Usage(get=4321, received=7)})
        queue.store.put(Layout().host("h1"), encode(ledger), if_version=None)
        queue.store.close()
        assert s3queue("stats", "--store", url) == 0
        printed = capsys.readouterr().out
        assert "1,234" in printed
        assert "as worker: 4,321 get, 7 B received" in printed

    def test_people_read_the_words_for_what_waits_and_for_attempts_that_failed(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        queue = Queue("q", url)
        queue.enqueue(1)
        queue.store.close()
        assert s3queue("stats", "--store", url) == 0
        (heading,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("queue ")]
        assert heading == ["queue", "ready", "scheduled", "running", "retrying", "dead", "done", "failures", "oldest"]

    def test_address_of_a_store_is_on_one_line_however_long_it_is(
        self, s3queue: Invoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        url = f"sqlite:///{tmp_path}/{'long' * 30}.db"
        open_store(url).close()
        assert s3queue("stats", "--store", url) == 0
        assert capsys.readouterr().out.splitlines()[0] == f"{url}, namespace s3queue"
        assert s3queue("doctor", url) == 0
        assert capsys.readouterr().out.splitlines()[0] == f"{url} (sqlite)"

    def test_requests_of_a_host_are_on_one_line_also_in_a_pipe(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        usage = Usage(put=123_456, get=123_456, list=123_456, delete=123_456, sent=5_100_000, received=5_100_000)
        store = open_store(url)
        store.put(Layout().host("h1"), encode(Ledger("n", "h1", usage={"coordinator": usage})), if_version=None)
        store.close()
        assert s3queue("stats", "--store", url) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "as coordinator" in line]
        assert line.endswith("5.1 MB received")

    def test_of_one_queue(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("one", "two"):
            queue = Queue(name, url)
            queue.enqueue(1)
            queue.store.close()
        assert s3queue("stats", "--store", url, "--queue", "two", "--queue", "none", "--json") == 0
        assert {name: counts["ready"] for name, counts in answer(capsys)["queues"].items()} == {"two": 1, "none": 0}
        assert s3queue("stats", "--store", url, "--queue", "a/b") == 2

    def test_watched_it_is_shown_again_until_interrupted(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr("s3queue.cli.stats.time.sleep", sleep)
        assert s3queue("stats", "--store", url, "--watch", "--interval", "0.5", "--json") == 130
        assert waits == [0.5] * 3
        assert len(capsys.readouterr().out.splitlines()) == 3
