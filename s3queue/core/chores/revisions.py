"""Objects of schedules that were edited or removed: deleted once no message of theirs is on the committed board.

A revision that a board calls old is never used again, by this coordinator or a later one.
"""

from __future__ import annotations

from collections.abc import Collection

from s3queue.core.keys import Layout, parse_source
from s3queue.core.records import Board


class Revisions:
    """
    Attributes:
        deleted: name and revision of those whose objects are deleted, and which the board still calls old.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._keys: dict[str, tuple[str, int]] = {}
        self.deleted: set[tuple[str, int]] = set()

    def follow(self, board: Board) -> list[str]:
        """The keys that a committed board made garbage."""
        old = {(name, revision) for name, ticked in board.schedules.items() for revision in ticked.old}
        self.deleted &= old
        if not old:
            return []
        used = {source.object for source in map(parse_source, board.sources) if source.kind == "tick"}
        self._keys = {
            self._layout.schedule(f"{name}.{revision}"): (name, revision)
            for name, revision in sorted(old - self.deleted)
            if f"{name}.{revision}" not in used
        }
        return list(self._keys)

    def over(self, keys: Collection[str]) -> None:
        """These objects were deleted."""
        self.deleted.update(self._keys[key] for key in keys if key in self._keys)
