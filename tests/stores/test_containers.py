from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.utils import convert_port_bindings

from s3queue.testing.containers import publish, publishes


def test_container_is_published_on_the_loopback_interface_alone() -> None:
    """What Docker is asked for; a `DockerContainer` itself cannot be made without a daemon."""
    made = SimpleNamespace(ports={"8333": None})
    assert list(convert_port_bindings(made.ports).values()) == [[{"HostIp": "", "HostPort": ""}]]
    publish(made, 8333)
    assert list(convert_port_bindings(made.ports).values()) == [[{"HostIp": "127.0.0.1", "HostPort": ""}]]


@pytest.mark.parametrize("drivers", [["bridge", "host", "null"], ["host", "null"]])
def test_daemon_without_a_network_that_publishes_ports_is_not_used(tmp_path: Path, drivers: list[str]) -> None:
    networks = ",".join(f'{{"Name":"n","Driver":"{driver}"}}' for driver in drivers)

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as asked:
            assert asked.readline() == b"GET /networks HTTP/1.0\r\n"
            while asked.readline().strip():
                pass
            connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n[{networks}]".encode())

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen(1)
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        assert publishes(f"unix://{tmp_path}/sock") == ("bridge" in drivers)
        server.join()
    assert not publishes(f"unix://{tmp_path}/none")
