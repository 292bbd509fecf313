"""Decides whether messages that are enqueued only once may be assigned now.

Callers see gates. Whatever became of a gate, two rules hold here: the messages of one ``unique`` gate run one at a time,
and a message whose gate holds only while it waits gets no ticket before that gate is free.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from s3queue.core.keys import BRIEF, UNIQUE, Source, parse_source
from s3queue.core.plan.planned import is_over
from s3queue.core.plan.planning import Planning


class Doors:
    """
    Args:
        freed: paths of sources whose gates are free.
    """

    def __init__(self, planning: Planning, freed: Collection[str]) -> None:
        self._planning, self._freed = planning, freed

    @cached_property
    def _first(self) -> dict[tuple[str, str], str]:
        """By queue and gate, the unfinished source on the board that goes first: one that has begun, otherwise the one that
        was sent first."""
        begun = {part.source for ticket in self._planning.tickets.values() for part in ticket.parts if ticket.left}
        first: dict[tuple[str, str], tuple[bool, str]] = {}
        for path, state in self._planning.states():
            source = parse_source(path)
            if source.gate.startswith(UNIQUE) and not is_over(path, state.settled):
                mine = (path not in begun and not state.waiting and not state.dying, path)
                first[source.queue, source.gate] = min(first.get((source.queue, source.gate), mine), mine)
        return {gate: path for gate, (_, path) in first.items()}

    def may_go(self, source: Source) -> bool:
        """Whether a source that is on the board may go on."""
        return self._first.get((source.queue, source.gate), source.path) == source.path

    def admits(self, source: Source) -> bool:
        """Whether a source that no board has named yet may be admitted."""
        if source.gate.startswith(BRIEF):
            self._planning.planned.opening.append(source.path)
            return source.path in self._freed
        if source.gate.startswith(UNIQUE):
            return self._first.setdefault((source.queue, source.gate), source.path) == source.path
        return True
