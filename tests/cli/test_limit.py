"""``s3queue limit``, where nobody leads yet."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Invoke


def listed(s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert s3queue("limit", "ls", "--store", url, "--json") == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_limits_are_set_shown_and_removed(s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--store", url)
    assert s3queue("limit", "set", "mail", "--running", "50", "--rate", "20/s", *at) == 0
    assert s3queue("limit", "set", "mail", "--key", "acme", "--running", "5", "--weight", "acme=3", *at) == 0
    assert s3queue("limit", "set", "mail", "--key-rate", "60/min", "--ageing", "1m", "--breaker", "9", *at) == 0
    assert listed(s3queue, url, capsys) == [
        {
            "queue": "mail",
            "set": [
                "50 running",
                "20/s",
                "each key: 1/s",
                "key acme: 5 running",
                "keys take turns",
                "key acme: 3 messages in its turn",
                "60 s of wait count as one priority",
                "held for 30 s after 9 failures within 60 s",
            ],
            "declared": [],
            "reached": [],
        }
    ]
    assert s3queue("limit", "rm", "mail", *at) == 0
    assert listed(s3queue, url, capsys) == []


@pytest.mark.parametrize("wrong", [(), ("--rate", "fast"), ("--weight", "acme"), ("--running", "-1")])
def test_mistake_is_told_and_nothing_is_stored(
    s3queue: Invoke, url: str, wrong: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("limit", "set", "mail", *wrong, "--store", url) == 2
    assert listed(s3queue, url, capsys) == []
