"""Knocks: datagrams between machines that say "poll now", so that a first message does not wait for a poll.

Off by default, and never needed: a knock that is lost costs the wait for the next poll, and a false one costs a poll. It
carries only a keyed hash of the namespace and the time, so that nobody without the key can make agents poll; somebody who
records a knock can repeat it for a minute. Agents say in board and ledger where they listen.
"""

from __future__ import annotations

import contextlib
import hmac
import socket
import time
from collections.abc import Callable, Iterable

from s3queue.errors import ConfigError

#: Seconds for which one hash holds; it is accepted in the period before and after, too.
PERIOD_S = 30
#: Seconds between two knocks at one address, and between two knocks that are accepted.
GAP_S = 0.05
#: Seconds for which the coordinator's address is not read again.
KNOWN_S = 10.0
#: Datagrams that are looked at in one go.
_MOST = 64
_SIZE = 16


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``.

    Raises:
        ConfigError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"not an address: {text!r}", "HOST:PORT, the host as other machines reach it; port 0: any")
    return host.strip("[]"), int(port)


def _token(key: str, namespace: str, period: int) -> bytes:
    return hmac.digest(key.encode(), f"{namespace} {period}".encode(), "sha256")[:_SIZE]


class Knocker:
    """Knocks for one namespace. Never fails, never waits: host names are resolved by the agent that announces its address,
    not here."""

    def __init__(self, key: str, namespace: str) -> None:
        self._key, self._namespace = key, namespace
        self._knocked: dict[str, float] = {}

    def knock(self, addresses: Iterable[str]) -> None:
        now = time.monotonic()
        token = _token(self._key, self._namespace, int(time.time()) // PERIOD_S)
        for address in addresses:
            if now - self._knocked.get(address, -GAP_S) < GAP_S:
                continue
            if len(self._knocked) > 10_000:
                self._knocked.clear()
            self._knocked[address] = now
            with contextlib.suppress(OSError, ConfigError, ValueError):
                host, port = parse_address(address)
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                with socket.socket(family, socket.SOCK_DGRAM) as sender:
                    sender.setblocking(False)
                    sender.sendto(token, (host, port))


class LeaderKnocker:
    """Knocks at the coordinator.

    Args:
        read: where it listens, from the board: one GET. "": nowhere.
    """

    def __init__(self, key: str, namespace: str, read: Callable[[], str]) -> None:
        self._knocker, self._read = Knocker(key, namespace), read
        self._address, self._read_at = "", float("-inf")

    def knock(self) -> None:
        """Asks: one Get, at most every ten seconds."""
        now = time.monotonic()
        if now - self._read_at > KNOWN_S:
            self._address, self._read_at = self._read(), now
        if self._address:
            self._knocker.knock([self._address])


class KnockSocket:
    """Where one agent listens. For event loops: readable after a knock.

    Attributes:
        address: as others reach it, an IP address and a port.

    Raises:
        ConfigError: the address is none of this machine, or taken.
    """

    def __init__(self, address: str, key: str, namespace: str) -> None:
        self._key, self._namespace, self._heard_at = key, namespace, float("-inf")
        host, port = parse_address(address)
        try:
            family, kind, protocol, _, at = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            try:
                self._socket.setblocking(False)
                self._socket.bind(at)
            except OSError:
                self._socket.close()
                raise
        except OSError as fault:
            raise ConfigError(
                f"cannot listen for knocks at {address!r}: {fault.strerror or fault}", "an address of this machine"
            ) from fault
        ip, bound = self._socket.getsockname()[:2]
        self.address = f"[{ip}]:{bound}" if ":" in ip else f"{ip}:{bound}"

    def fileno(self) -> int:
        return self._socket.fileno()

    def heard(self) -> bool:
        """Clear the knocks so far, and return whether one was true and not too soon after another."""
        period = int(time.time()) // PERIOD_S
        tokens = [_token(self._key, self._namespace, period + off) for off in (0, -1, 1)]
        true = False
        for _ in range(_MOST):
            try:
                said = self._socket.recv(_SIZE + 1)
            except OSError:
                break
            true = true or any(hmac.compare_digest(said, token) for token in tokens)
        now = time.monotonic()
        if not true or now - self._heard_at < GAP_S:
            return False
        self._heard_at = now
        return True

    def close(self) -> None:
        self._socket.close()
