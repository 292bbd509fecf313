from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3queue.runtime.local import cgroup
from s3queue.runtime.local.cgroup import cpus, folders


class Tree:
    """The files of the kernel, as they look in a container."""

    def __init__(self, root: Path) -> None:
        self.membership = root / "cgroup"
        self.mount = root / "mount"
        self.mount.mkdir()

    def write(self, path: str, text: str) -> None:
        file = self.mount / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def cpus(self) -> int:
        return cpus(self.membership, self.mount)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("quota", "count"), [("max 100000", 16), ("50000 100000", 1), ("250000 100000", 3), ("9900000 100000", 16)]
)
def test_quota_of_version_2_bounds_the_processors(tree: Tree, quota: str, count: int) -> None:
    tree.membership.write_text("0::/\n")
    tree.write("cgroup.controllers", "cpu memory")
    tree.write("cpu.max", quota)
    assert tree.cpus() == count


@pytest.mark.parametrize(("micros", "count"), [(-1, 16), (50_000, 1), (200_000, 2), (0, 16)])
def test_quota_of_version_1_bounds_the_processors(tree: Tree, micros: int, count: int) -> None:
    # The path is that of the host: inside the container only the top is there.
    tree.membership.write_text("4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n")
    tree.write("cpu/cpu.cfs_quota_us", str(micros))
    tree.write("cpu/cpu.cfs_period_us", "100000")
    assert tree.cpus() == count


def test_smallest_quota_above_us_counts(tree: Tree) -> None:
    tree.membership.write_text("0::/pod/container\n")
    tree.write("cgroup.controllers", "cpu")
    tree.write("pod/cpu.max", "150000 100000")
    tree.write("pod/container/cpu.max", "max 100000")
    assert tree.cpus() == 2


@pytest.mark.parametrize("text", ["", "nonsense", "1:2\n", "0::/../../etc\n"])
def test_odd_files_bound_nothing(tree: Tree, text: str) -> None:
    tree.membership.write_text(text)
    tree.write("cgroup.controllers", "cpu")
    tree.write("cpu.max", "many things")
    assert tree.cpus() == 16


def test_without_control_groups_the_affinity_counts(tree: Tree) -> None:
    assert tree.cpus() == 16


def test_own_group_comes_first(tree: Tree) -> None:
    tree.membership.write_text("0::/a/b\n")
    tree.write("cgroup.controllers", "cpu")
    tree.write("a/b/cpu.max", "max 100000")
    assert folders("cpu", tree.membership, tree.mount) == [tree.mount / "a/b", tree.mount / "a", tree.mount]


def test_this_machine_has_a_processor() -> None:
    assert 1 <= cgroup.cpus() <= (os.cpu_count() or 1)
