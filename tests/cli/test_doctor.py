from __future__ import annotations

from pathlib import Path

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import open_store
from s3queue.core.keys import Layout
from s3queue.core.records import Summary, encode
from s3queue.store import Conflict, Found, Stored
from tests.cli.conftest import Invoke, answer


class Ignorant(SqliteStore):
    """Takes the condition of a put, and does not look at it."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        found = self.get(key)
        return super().put(key, body, if_version=found.version if isinstance(found, Found) else None)


class TestDoctor:
    def test_a_good_store_is_safe(self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert s3queue("doctor", url, "--json") == 0
        report = answer(capsys)
        assert report["safe"] is True
        assert report["store"] == url
        assert all(set(row) == {"check", "verdict", "measured", "promise"} for row in report["rows"])
        assert s3queue("doctor", url) == 0
        assert capsys.readouterr().out.rstrip().endswith("safe")
        store = open_store(url)
        assert store.list("") == [], "and nothing of it stays"
        store.close()

    def test_without_a_url_it_examines_the_store_of_the_settings(
        self, s3queue: Invoke, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "s3queue.toml").write_text(f"[store]\nurl = {url!r}\n")
        assert s3queue("doctor", "--json") == 0
        assert answer(capsys)["store"] == url

    def test_a_store_that_ignores_conditions_is_not(
        self, s3queue: Invoke, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("s3queue.cli.doctor.open_store", lambda url: Ignorant(str(tmp_path / "x.db")))
        assert s3queue("doctor", "sqlite:///x.db", "--json") == 1
        report = answer(capsys)
        assert report["safe"] is False
        assert "stale replace refused" in {row["check"] for row in report["rows"] if row["verdict"] == "bad"}
        assert s3queue("doctor", "sqlite:///x.db") == 1
        assert "NOT SAFE" in capsys.readouterr().out

    def test_damaged_objects_are_named_with_what_to_do(
        self, s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        layout, store = Layout("other"), open_store(url)
        copy, batch = layout.aside("do/0000000000001-ab"), layout.source("in/mail/5/odd")
        said = Summary("n", 1, 1, unreadable=(batch,))
        for key, body in ((copy, b"\xff"), (layout.summary, encode(said))):
            store.put(key, body, if_version=None)
        store.close()
        assert s3queue("doctor", url, "--namespace", "other", "--json") == 0, "the store itself is safe"
        damaged = {one["key"]: one["todo"] for one in answer(capsys)["damaged"]}
        assert damaged.keys() == {copy, batch}
        assert damaged[copy] == "run the command again, then delete this object"
        assert s3queue("doctor", url, "--namespace", "other") == 0
        out = capsys.readouterr().out
        assert "2 damaged objects" in out
        assert copy in out
        assert out.rstrip().endswith("safe")
        assert s3queue("doctor", url, "--json") == 0
        assert answer(capsys)["damaged"] == [], "and none of another namespace"
