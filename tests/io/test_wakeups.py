from __future__ import annotations

import contextlib
import os
import resource
import select
import tempfile
from pathlib import Path

import pytest

from s3queue.errors import ConfigError
from s3queue.io.wakeups import WakeSocket, wake

pytestmark = pytest.mark.usefixtures("base_folder")


def readable(wakes: WakeSocket) -> bool:
    return bool(select.select([wakes], [], [], 0)[0])


def test_wake_reaches_every_agent_of_the_namespace_and_nobody_else() -> None:
    one, two = WakeSocket("sqlite:///a", "n", "session-1"), WakeSocket("sqlite:///a", "n", "session-2")
    other_store, other_namespace = (
        WakeSocket("sqlite:///b", "n", "session-1"),
        WakeSocket("sqlite:///a", "m", "session-1"),
    )
    try:
        wake("sqlite:///a", "n")
        assert [readable(it) for it in (one, two, other_store, other_namespace)] == [True, True, False, False]
        assert one.drain()
        assert not one.drain()
        assert not readable(one)
        assert two.drain()
    finally:
        for it in (one, two, other_store, other_namespace):
            it.close()


def test_wake_without_an_agent_does_nothing() -> None:
    wake("sqlite:///a", "n")
    WakeSocket("sqlite:///a", "n", "session-1").close()
    wake("sqlite:///a", "n")


def test_wake_never_waits_for_an_agent_that_does_not_read() -> None:
    wakes = WakeSocket("sqlite:///a", "n", "session-1")
    for _ in range(2000):
        wake("sqlite:///a", "n")
    assert wakes.drain()
    wakes.close()


def test_wake_removes_the_socket_of_an_agent_that_died(base_folder: Path) -> None:
    dead = WakeSocket("sqlite:///a", "n", "session-1")
    alive = WakeSocket("sqlite:///a", "n", "session-2")
    dead._socket.close()  # as a SIGKILL does: the name stays
    assert dead._path.exists()
    wake("sqlite:///a", "n")
    assert not dead._path.exists()
    assert alive.drain()
    alive.close()


def test_link_in_place_of_the_directory_is_not_followed(base_folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    base_folder.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="not a directory of this user alone"):
        WakeSocket("sqlite:///a", "n", "session-1")


@pytest.mark.parametrize("limit", ["no temporary directory", "no descriptor"])
def test_wake_never_fails(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wakes = WakeSocket("sqlite:///a", "n", "session-1")
    if limit == "no descriptor":
        pid = os.fork()
        if not pid:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
            with contextlib.suppress(OSError):
                wake("sqlite:///a", "n")
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
    else:
        monkeypatch.setattr(tempfile, "gettempdir", _no_temporary_directory)
        wake("sqlite:///a", "n")
    wakes.close()


def _no_temporary_directory() -> str:
    raise FileNotFoundError("no usable temporary directory")
