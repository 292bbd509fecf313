from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import multiprocess
import pytest
from multiprocess import connection

from s3queue.core.records import Place
from s3queue.errors import ConfigError
from s3queue.runtime.local.clock import clock
from s3queue.runtime.local.folder import machine
from s3queue.runtime.local.life import Life, die_with_parent, gone, place
from s3queue.runtime.local.wakeups import WakeSocket, wake


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of our own, short enough for the path of a socket."""
    directory = Path(tempfile.mkdtemp(prefix="s3q", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory / f"s3queue-{os.getuid()}"
    shutil.rmtree(directory)


def readable(wakes: WakeSocket) -> bool:
    return bool(select.select([wakes], [], [], 0)[0])


# ---- clock and place


def test_clock_never_runs_backwards_and_is_no_slower_than_the_monotonic_one() -> None:
    first, monotonic = clock(), time.monotonic()
    assert clock() >= first
    assert clock() >= monotonic


def test_machine_is_known_here_and_stays_the_same() -> None:
    assert machine() == machine() != ""


# ---- wake-ups


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


def test_wake_removes_the_socket_of_an_agent_that_died(base: Path) -> None:
    dead = WakeSocket("sqlite:///a", "n", "session-1")
    alive = WakeSocket("sqlite:///a", "n", "session-2")
    dead._socket.close()  # as a SIGKILL does: the name stays
    assert dead._path.exists()
    wake("sqlite:///a", "n")
    assert not dead._path.exists()
    assert alive.drain()
    alive.close()


def test_directory_of_another_user_is_not_used(base: Path) -> None:
    base.mkdir(mode=0o777)
    base.chmod(0o777)
    with pytest.raises(ConfigError, match="not a directory of this user alone"):
        Life.create()
    wake("sqlite:///a", "n")


def test_link_in_place_of_the_directory_is_not_followed(base: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    base.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="not a directory of this user alone"):
        WakeSocket("sqlite:///a", "n", "session-1")


def test_long_temporary_directory_still_gives_paths_that_a_socket_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 80)
    life = Life.create()
    assert len(str(life.rundir / "agent.sock")) < 104
    life.close(remove=True)


# ---- life


def test_host_is_gone_only_when_the_lock_of_its_life_is_free() -> None:
    life = Life.create()
    where = life.place()
    assert stat.S_IMODE(life.rundir.stat().st_mode) == 0o700
    assert where == place(life.rundir)
    assert not gone(where)
    life.close(remove=False)
    assert gone(where)
    assert gone(where)


def test_host_is_not_gone_where_that_cannot_be_known(tmp_path: Path) -> None:
    life = Life.create()
    where = life.place()
    life.close(remove=False)
    assert not gone(Place("another machine", where.life, where.name))
    assert not gone(Place("", where.life, where.name))
    assert not gone(Place(machine(), "", where.name))
    assert not gone(Place(machine(), str(tmp_path / "removed"), where.name))


def test_two_who_look_at_the_same_time_do_not_take_each_other_for_the_living() -> None:
    life = Life.create()
    where = life.place()
    life.close(remove=False)
    other = os.open(where.life, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)
    assert gone(where)
    os.close(other)


def test_host_that_ended_cleanly_leaves_nothing() -> None:
    life = Life.create()
    where = life.place()
    life.close(remove=True)
    assert not life.rundir.exists()
    assert not gone(where)


def test_remains_of_a_tree_that_died_are_kept_for_a_day_and_then_removed() -> None:
    yesterday = time.time() - 2 * 86_400
    alive, fresh, old = Life.create(), Life.create(), Life.create()
    fresh.close(remove=False)
    old.close(remove=False)
    for it in (alive, old):
        os.utime(it.rundir, (yesterday, yesterday))
    newest = Life.create()
    assert alive.rundir.exists()
    assert fresh.rundir.exists()
    assert not old.rundir.exists()
    alive.close(remove=True)
    newest.close(remove=True)


def _hold(life: Life, up: connection.Connection) -> None:
    up.send_bytes(b"up")
    signal.pause()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_keeps_its_tree_alive_when_the_supervisor_has_let_go(method: str) -> None:
    context = multiprocess.get_context(method)
    life = Life.create()
    where = life.place()
    ours, theirs = context.Pipe()
    child = context.Process(target=_hold, args=(life, theirs))
    child.start()
    theirs.close()
    assert ours.poll(60)
    life.close(remove=False)
    assert not gone(where)
    child.kill()
    assert connection.wait([child.sentinel], 60)
    child.join()
    assert gone(where)
    child.close()
    ours.close()


def _orphan(report: connection.Connection) -> None:
    """Start a child that would live for ever, and die without a word to it."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        die_with_parent()
        os.write(write, b".")
        signal.pause()
    os.read(read, 1)
    report.send(pid)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_child_dies_with_its_parent() -> None:
    context = multiprocess.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_orphan, args=(theirs,))
    parent.start()
    theirs.close()
    assert ours.poll(60)
    pid = ours.recv()
    parent.join()
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([fd], [], [], 60)[0], "the orphan lives"
    os.close(fd)
    parent.close()
    ours.close()


def test_temporary_directory_that_cannot_be_written_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    with pytest.raises(ConfigError, match="cannot use /proc"):
        Life.create()
