from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from s3queue.errors import ConfigError
from s3queue.io.folder import machine
from s3queue.io.wakeups import wake
from s3queue.runtime.local.life import Life

pytestmark = pytest.mark.usefixtures("base_folder")


def test_machine_is_known_here_and_stays_the_same() -> None:
    assert machine() == machine() != ""


def test_directory_of_another_user_is_not_used(base_folder: Path) -> None:
    base_folder.mkdir(mode=0o777)
    base_folder.chmod(0o777)
    with pytest.raises(ConfigError, match="not a directory of this user alone"):
        Life.create()
    wake("sqlite:///a", "n")


def test_long_temporary_directory_still_gives_paths_that_a_socket_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 80)
    life = Life.create()
    assert len(str(life.rundir / "agent.sock")) < 104
    life.close(remove=True)


def test_temporary_directory_that_cannot_be_written_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    with pytest.raises(ConfigError, match="cannot use /proc"):
        Life.create()


def test_run_directory_that_cannot_be_made_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Life.create().close(remove=True)
    monkeypatch.setattr(Life, "_create", _full)
    with pytest.raises(ConfigError, match=r"cannot use /tmp/.*: No space left on device \(set TMPDIR"):
        Life.create()


def _full(base: Path) -> Life:
    raise OSError(28, "No space left on device", str(base))


def test_no_temporary_directory_at_all_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", _no_temporary_directory)
    with pytest.raises(ConfigError, match=r"no temporary directory can be written \(set TMPDIR"):
        Life.create()


def _no_temporary_directory() -> str:
    raise FileNotFoundError("no usable temporary directory")
