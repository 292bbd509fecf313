from __future__ import annotations

import fcntl
import os
import select
import signal
import stat
import tempfile
import time
from pathlib import Path

import multiprocess
import pytest
from multiprocess import connection

from s3queue.core.records import Place
from s3queue.io.folder import machine
from s3queue.runtime.local.life import Life, die_with_parent, gone, place
from tests.deadline import DEADLINE_S

pytestmark = pytest.mark.usefixtures("base_folder")


def test_host_is_gone_only_when_the_lock_of_its_life_is_free() -> None:
    life = Life.create()
    where = life.place()
    assert stat.S_IMODE(life.rundir.stat().st_mode) == 0o700
    assert where == place(life.rundir)
    assert not gone(where)
    life.close(remove=False)
    assert gone(where)
    assert gone(where)


def test_host_is_not_gone_where_that_cannot_be_known() -> None:
    life = Life.create()
    where = life.place()
    life.close(remove=False)
    assert not gone(Place("another machine", where.life, where.name))
    assert not gone(Place("", where.life, where.name))
    assert not gone(Place(machine(), "", where.name))
    assert not gone(Place(machine(), "run-1-0123ab", where.name))


def test_two_who_look_at_the_same_time_do_not_take_each_other_for_the_living() -> None:
    life = Life.create()
    where = life.place()
    life.close(remove=False)
    other = os.open(life.rundir / "life", os.O_RDONLY)
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
    assert ours.poll(DEADLINE_S)
    life.close(remove=False)
    assert not gone(where)
    child.kill()
    assert connection.wait([child.sentinel], DEADLINE_S)
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
    assert ours.poll(DEADLINE_S)
    pid = ours.recv()
    parent.join()
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([fd], [], [], DEADLINE_S)[0], "the orphan lives"
    os.close(fd)
    parent.close()
    ours.close()


def test_record_of_a_host_holds_the_random_name_alone() -> None:
    life = Life.create()
    assert life.place().life == life.rundir.name
    assert "/" not in life.place().life
    life.close(remove=True)


@pytest.mark.parametrize("written", ["path", "name", "above"])
def test_fifo_that_a_forged_record_names_is_not_waited_for(base_folder: Path, tmp_path: Path, written: str) -> None:
    Life.create().close(remove=True)
    rundir = base_folder / "run-1-0123ab"
    rundir.mkdir()
    os.mkfifo(rundir / "life")
    names = {"path": str(rundir / "life"), "name": rundir.name, "above": f"../{base_folder.name}/{rundir.name}"}
    # Nobody writes to the fifo: to open it would wait for ever.
    assert not gone(Place(machine(), names[written], "forged"))


def test_device_and_link_in_place_of_the_lock_are_not_opened(base_folder: Path, tmp_path: Path) -> None:
    Life.create().close(remove=True)
    rundir = base_folder / "run-1-0123ab"
    rundir.mkdir()
    (tmp_path / "free").touch()
    (rundir / "life").symlink_to(tmp_path / "free")
    assert not gone(place(rundir))
    (rundir / "life").unlink()
    (rundir / "life").symlink_to("/dev/tty")
    assert not gone(place(rundir))


def test_old_record_with_a_whole_path_says_nothing() -> None:
    life = Life.create()
    life.close(remove=False)
    assert gone(place(life.rundir))
    assert not gone(Place(machine(), str(life.rundir / "life"), "an older release"))


def test_host_is_not_gone_where_there_is_no_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life.create()
    life.close(remove=False)
    monkeypatch.setattr(tempfile, "gettempdir", _no_temporary_directory)
    assert not gone(place(life.rundir))


def _no_temporary_directory() -> str:
    raise FileNotFoundError("no usable temporary directory")


def test_cleaners_of_temporary_files_are_kept_away(base_folder: Path) -> None:
    yesterday = time.time() - 2 * 86_400
    life = Life.create()
    (life.rundir / "agent.sock").touch()
    for path in (base_folder, life.rundir, life.rundir / "life", life.rundir / "agent.sock"):
        os.utime(path, (yesterday, yesterday))
    life.touch()
    for path in (base_folder, life.rundir, life.rundir / "life", life.rundir / "agent.sock"):
        assert path.stat().st_mtime > yesterday + 86_400
    # systemd-tmpfiles skips what it cannot lock, and all below it.
    fd = os.open(base_folder, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    life.close(remove=True)
