"""Datagrams that say "poll now", between real sockets."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from s3queue import Config, ConfigError
from s3queue.io.knocks import Knocker, KnockSocket, LeaderKnocker, parse_address


@pytest.fixture
def door() -> Iterator[KnockSocket]:
    door = KnockSocket("127.0.0.1:0", "secret", "jobs")
    yield door
    door.close()


def heard(door: KnockSocket) -> bool:
    """Whether what has arrived, or arrives now, is a true knock."""
    assert select.select([door], [], [], 10.0)[0], "no datagram came"
    return door.heard()


def test_a_knock_is_heard_once(door: KnockSocket) -> None:
    Knocker("secret", "jobs").knock([door.address])
    assert heard(door)
    assert not door.heard()


@pytest.mark.parametrize(("key", "namespace"), [("other", "jobs"), ("secret", "other")])
def test_a_knock_with_another_key_or_for_another_namespace_is_none(door: KnockSocket, key: str, namespace: str) -> None:
    Knocker(key, namespace).knock([door.address])
    assert not heard(door)


def test_a_recorded_knock_is_none_after_two_periods(door: KnockSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    Knocker("secret", "jobs").knock([door.address])
    now = 1_900_000_000.0
    monkeypatch.setattr("s3queue.io.knocks.time.time", lambda: now)
    assert not heard(door)


def test_noise_is_none(door: KnockSocket) -> None:
    host, port = parse_address(door.address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x" * 1000, (host, port))
    assert not heard(door)


def test_a_second_knock_at_once_is_not_sent(door: KnockSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3queue.io.knocks.time.monotonic", lambda: 100.0)
    knocker = Knocker("secret", "jobs")
    knocker.knock([door.address])
    knocker.knock([door.address])
    assert heard(door)
    assert not select.select([door], [], [], 0.0)[0]


def test_knocks_that_come_too_soon_wake_once(door: KnockSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("s3queue.io.knocks.time.monotonic", lambda: now[0])
    answers = []
    for at in (100.0, 100.01, 100.2):
        now[0] = at
        Knocker("secret", "jobs").knock([door.address])
        answers.append(heard(door))
    assert answers == [True, False, True]


def test_an_address_where_nobody_listens_is_no_fault() -> None:
    Knocker("secret", "jobs").knock(["127.0.0.1:9", "not an address", "[::1]:9"])


def test_the_address_of_the_coordinator_is_read_once_in_ten_seconds(
    door: KnockSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, reads = [100.0], []
    monkeypatch.setattr("s3queue.io.knocks.time.monotonic", lambda: now[0])

    def read() -> str:
        reads.append(now[0])
        return door.address

    knocker = LeaderKnocker("secret", "jobs", read)
    for at in (100.0, 105.0, 110.5):
        now[0] = at
        knocker.knock()
    assert reads == [100.0, 110.5]
    assert heard(door)


@pytest.mark.parametrize("text", ["", "host", "host:", ":70", "host:http", "host:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        parse_address(text)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen for knocks at '192\.0\.2\.1:0'"):
        KnockSocket("192.0.2.1:0", "secret", "jobs")


def test_listening_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="knock_key is not"):
        Config(knock="127.0.0.1:0")
