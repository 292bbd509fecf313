"""The walk of a purge: lists the stored batches of a queue, a page at a time, for the next plan.

It only lists. A plan takes over a page if the purge on its board is still the one that the page was made for.
"""

from __future__ import annotations

from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout, parse_source
from s3queue.core.ops import Step, list_page
from s3queue.core.plan import Walked
from s3queue.core.records import Board, Purge
from s3queue.errors import CorruptRecord, StoreError


class Purges:
    """
    Args:
        page: keys in one page of a walk.

    Attributes: pages: by queue, the page that was listed and that no board has taken over yet.
    """

    def __init__(self, layout: Layout, page: int, troubles: Troubles) -> None:
        self._layout, self._page, self._troubles = layout, page, troubles
        self._open: dict[str, Purge] = {}
        self._under_way: set[str] = set()
        self.pages: dict[str, Walked] = {}

    def follow(self, board: Board) -> None:
        if not board.purges and not self._open:
            return
        # A message on its way off the board may come to lie before the place where the walk is.
        moving = {parse_source(target).queue for target in board.moves}
        self._open = {
            queue: purge for queue, purge in board.purges.items() if not purge.is_walked and queue not in moving
        }
        self.pages = {queue: page for queue, page in self.pages.items() if self._is_next(queue, page)}

    def _is_next(self, queue: str, page: Walked) -> bool:
        purge = self._open.get(queue)
        return purge is not None and (purge.request, purge.after) == (page.request, page.after)

    def take(self, now: float) -> Step[bool] | None:
        for queue, purge in self._open.items():
            if queue in self.pages or queue in self._under_way:
                continue
            if self._troubles.allow(self._layout.queue(queue), now):
                self._under_way.add(queue)
                return self._list(queue, purge, now)
        return None

    def _list(self, queue: str, purge: Purge, now: float) -> Step[bool]:
        """First what is not scheduled, then, of all queues, what is. Asks: one List."""
        layout = self._layout
        is_scheduled = purge.after.startswith("later/")
        prefix = layout.later if is_scheduled else layout.queue(queue)
        after = "" if purge.after in ("", "later/") else layout.source(purge.after)
        try:
            listed = yield from list_page(prefix, after, self._page)
        except StoreError as fault:
            self._troubles.met(layout.queue(queue), fault, now)
            return False
        finally:
            self._under_way.discard(queue)
        self._troubles.over(layout.queue(queue))
        paths = []
        for item in listed:
            try:
                source = parse_source(layout.path(item.key))
            except CorruptRecord:
                continue  # not a message; the survey tells of it
            if source.queue == queue and item.size:  # what was cut short is no batch yet
                paths.append(source.path)
        upto: str | None = layout.path(listed[-1].key) if len(listed) == self._page else None
        if upto is None and not is_scheduled:
            upto = "later/"
        page = Walked(purge.request, purge.after, tuple(paths), upto)
        if self._is_next(queue, page):
            self.pages[queue] = page
        return True
