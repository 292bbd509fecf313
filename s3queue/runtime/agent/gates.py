"""Limits how many messages of limited tickets workers hold to the places that the board gives this host.

The places of all tickets of one queue and key add up, and any of their messages may use them. A worker can start whatever
it was dealt, in as many slots as it has; so of what it was dealt so many count as running, and a second message behind a
running one counts no more where the worker has only that slot.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3queue.core.ledger import Host
from s3queue.runtime.agent.loads import Load

#: Between the name of a queue and the key of its limit, in the name of a line of the pool; in neither of them.
_MARK = "\0"
#: Any number.
MANY = 1 << 40


def line_of(host: Host, queue: str, ticket: str) -> str:
    """The line of the pool for the messages of a ticket; limited tickets have a line for each queue and key."""
    allowed = host.allowed.get(ticket) if host.allowed else None
    return queue if allowed is None else f"{queue}{_MARK}{allowed.key}"


def queue_of(line: str) -> str:
    return line.partition(_MARK)[0]


def is_limited(line: str) -> bool:
    return _MARK in line


class Gates:
    """The limits of one host at one moment: made for each deal that needs them.

    Args:
        slots: of a worker.
    """

    def __init__(self, host: Host, loads: Iterable[Load], slots: int) -> None:
        self._slots = slots
        self._places: dict[str, int] = {}
        lines: dict[str, str] = {}
        for name, allowed in host.allowed.items():
            held = host.tickets.get(name)
            if held is not None:
                lines[name] = line = line_of(host, held.ticket.queue, name)
                self._places[line] = self._places.get(line, 0) + allowed.at_once
        #: By line and worker, messages without an outcome.
        self._with: dict[tuple[str, int], int] = {}
        self._used: dict[str, int] = {}
        for load in loads:
            for row in load.rows.values():
                if row.left and (line := lines.get(row.ticket, "")):
                    self.deals(line, load, row.left)

    def is_open(self, line: str) -> bool:
        """Whether a message of it may start besides those that workers have."""
        return self._used.get(line, 0) < self._places.get(line, 0)

    def most(self, line: str, load: Load) -> int:
        """How many more messages this worker may be dealt."""
        free = self._places.get(line, 0) - self._used.get(line, 0)
        has = self._with.get((line, id(load)), 0)
        return MANY if 0 < self._slots - has <= free or (has >= self._slots and free >= 0) else max(0, free)

    def deals(self, line: str, load: Load, many: int) -> None:
        """So many go to this worker."""
        has = self._with.get((line, id(load)), 0)
        self._with[line, id(load)] = has + many
        more = min(has + many, self._slots) - min(has, self._slots)
        self._used[line] = self._used.get(line, 0) + more


def may_start(gates: Gates, line: str) -> bool:
    return gates.is_open(line) or not is_limited(line)
