"""Limits of this process by the kernel: its control groups, and the processors that it may use."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

__all__ = ["cpus", "folders"]

_MEMBERSHIP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def folders(controller: str, membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> list[Path]:
    """Where the control groups of this process keep their files for one controller: its own group first, then those above
    it, of version 1 and of version 2. In a container the path is that of the host and may not be there; then only what is
    above it is found.

    Args:
        controller: ``cpu`` or ``memory``.
    """
    found: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        for line in membership.read_text("utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                top = mount / controller
            elif number == "0":
                top = mount if (mount / "cgroup.controllers").exists() else mount / "unified"
            else:
                continue
            own = top / path.strip("/")
            found += [folder for folder in (own, *own.parents) if folder.is_relative_to(top) and folder.is_dir()]
    return found


def cpus(membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> int:
    """How many processors this process can keep busy: what it may run on, and no more than the quotas of its control
    groups, rounded up. At least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in folders("cpu", membership, mount) if (quota := _quota(folder)) is not None]
    return max(1, math.ceil(min([float(allowed), *quotas])))


def _quota(folder: Path) -> float | None:
    """Processors that this group may use, or None for no limit."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (folder / "cpu.max").read_text("ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        micros = int((folder / "cpu.cfs_quota_us").read_text("ascii"))
        return None if micros <= 0 else micros / int((folder / "cpu.cfs_period_us").read_text("ascii"))
    return None
