"""How much memory a process of this machine takes."""

from __future__ import annotations

import os

__all__ = ["rss_of"]


def rss_of(pid: int) -> int:
    """Resident bytes of a process; 0 where that cannot be known: it has ended, or there is no ``/proc``."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
