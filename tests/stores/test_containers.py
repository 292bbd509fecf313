from __future__ import annotations

from types import SimpleNamespace

from docker.utils import convert_port_bindings

from s3queue.testing.containers import publish


def test_container_is_published_on_the_loopback_interface_alone() -> None:
    """What Docker is asked for; a `DockerContainer` itself cannot be made without a daemon."""
    made = SimpleNamespace(ports={"8333": None})
    assert list(convert_port_bindings(made.ports).values()) == [[{"HostIp": "", "HostPort": ""}]]
    publish(made, 8333)
    assert list(convert_port_bindings(made.ports).values()) == [[{"HostIp": "127.0.0.1", "HostPort": ""}]]
