"""The surroundings of an agent without a machine: in a simulation, and in the thread of a test."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from s3queue.core.records import About, Place, Usage


class Pacing(NamedTuple):
    """The settings that `s3queue.core.pacing.Pace` depends on. Times in seconds."""

    pacing: str
    overhead: float
    ack_interval: float | None
    leader_lease: float
    visibility_timeout: float
    doze_interval: float = 0.0


class Alone:
    """Most of an `s3queue.core.agent.Environment`, for an agent without a machine, neighbours or listeners.

    Subclasses add the clocks, nonces, the sessions that are gone, and the handling of faults.
    """

    def is_local(self, place: Place) -> bool:
        return False

    def wake_machine(self) -> None:
        pass

    def knock(self, addresses: Collection[str]) -> None:
        pass

    def wake_waiters(self) -> None:
        pass

    def trust(self, until: float) -> None:
        pass

    def usage(self) -> dict[str, Usage]:
        return {}

    def about(self) -> About:
        return About()

    def queues_are_empty(self) -> None:
        pass

    def wants(self, kind: str) -> bool:
        return False

    def emit(self, kind: str, **fields: object) -> None:
        pass

    def warn(self, key: str, text: str) -> None:
        pass

    def mark(self, what: str) -> None:
        pass
