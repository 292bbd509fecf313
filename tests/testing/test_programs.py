"""What programs that run beside a test are given."""

from __future__ import annotations

import socket
import sys

import pytest

from s3queue.testing.programs import free_ports


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can listen at a port that is bound")
def test_ports_are_given_to_nobody_else_and_a_server_listens_there_all_the_same() -> None:
    with free_ports(2) as (port, other):
        for number in (port, port + 10_000):
            with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", number))
            with socket.create_server(("127.0.0.1", number)) as server:
                socket.create_connection(server.getsockname()).close()
        assert other not in (port, port + 10_000)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", other))
