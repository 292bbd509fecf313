"""Counts the store requests of one role of a process, in memory that can outlive the process."""

from __future__ import annotations

import msgspec

from s3queue.core.records import Usage

__all__ = ["ROLES", "WORDS", "Meter", "total"]

#: Roles: the agent as coordinator, the agent for its own ledger and the board, the workers for their sources.
ROLES = ("coordinator", "host", "worker")
#: Unsigned 64-bit integers that the counts of one meter take.
WORDS = len(Usage.__struct_fields__)

_PUT, _GET, _LIST, _DELETE, _SENT, _RECEIVED, _RETRIES, _CONFLICTS, _UNANSWERED = range(WORDS)


class Meter:
    """The counts of one role. One instance may serve several threads.

    Args:
        counts: ``WORDS`` unsigned 64-bit integers, in shared memory where they are to survive the process; what they hold
            already is counted on.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: memoryview | None = None) -> None:
        self._counts = memoryview(bytearray(8 * WORDS)).cast("Q") if counts is None else counts

    @property
    def usage(self) -> Usage:
        return Usage(*self._counts)

    def as_dict(self) -> dict[str, int]:
        """Requests by kind."""
        return self.usage.requests()

    # ---- what happens --------------------------------------------------------------------------------------

    def puts(self, size: int) -> None:
        """A put of so many bytes is sent."""
        self._counts[_PUT] += 1
        self._counts[_SENT] += size

    def gets(self) -> None:
        self._counts[_GET] += 1

    def received(self, size: int) -> None:
        """An object of so many bytes came."""
        self._counts[_RECEIVED] += size

    def lists(self) -> None:
        self._counts[_LIST] += 1

    def deletes(self) -> None:
        self._counts[_DELETE] += 1

    def retries(self) -> None:
        self._counts[_RETRIES] += 1

    def conflicts(self) -> None:
        self._counts[_CONFLICTS] += 1

    def unanswered(self) -> None:
        self._counts[_UNANSWERED] += 1

    def add(self, usage: Usage) -> None:
        """Add the counts of another meter."""
        for index, many in enumerate(msgspec.structs.astuple(usage)):
            self._counts[index] += many


def total(usages: list[Usage]) -> Usage:
    """All of them together."""
    return Usage(*map(sum, zip(*map(msgspec.structs.astuple, usages), strict=True))) if usages else Usage()
