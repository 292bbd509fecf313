"""Reads the settings and requests of operators for a coordinator: the control, and the requests of a survey."""

from __future__ import annotations

from collections.abc import Container

from s3queue.core.chores.asides import Asides, request_in
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout, is_about_letters
from s3queue.core.ops import Missed, Step, get_within
from s3queue.core.plan import NO_CONTROL
from s3queue.core.plan.requests import paths_of, pending
from s3queue.core.records import Board, Control, Request, decode
from s3queue.core.records.foreign import Foreign
from s3queue.core.survey import MOST_REQUESTS, Survey
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found

#: Messages that the requests of one cycle are about, if they are about several each.
_MOST_LOOKED_UP = 1000


class Steering:
    """
    Args:
        patience_s: time-out of reads.

    Attributes:
        control: what operators have set, as read last; None: not read yet.
    """

    def __init__(self, layout: Layout, patience_s: float, troubles: Troubles, asides: Asides) -> None:
        self._layout, self._patience_s, self._troubles, self._asides = layout, patience_s, troubles, asides
        self.control: Control | None = None
        self._control_version = ""
        #: The last request that a cycle has looked at, where there were more than it looks at.
        self._asked_last = ""

    def read_control(self, seen: Survey, board: Board, now: float) -> Step[None]:
        """Learn what operators have set. A control that cannot be read, is not there though a board names it, or is older
        than that counts as unread: the one that was read last holds.

        Asks: one Get, where its version changed.
        """
        key, troubles = self._layout.control, self._troubles
        if seen.control is None:
            if self.control is None and board.control == 0:
                self.control = NO_CONTROL
            return
        if seen.control == self._control_version or not troubles.allow(key, now):
            return
        (found,) = yield from get_within([key], self._patience_s)
        try:
            match found:
                case Missed(fault):
                    raise fault or StoreError("get", key)
                case Found():
                    control = decode(Control, key, found.body)
                    if control.turn < board.control:
                        raise CorruptRecord(key, f"turn {control.turn}; there was turn {board.control} before")
                    self.control, self._control_version = control, found.version
        except CorruptRecord as corrupt:
            seen.corrupt.append(corrupt)
        except Exception as fault:  # noqa: BLE001 - this object's; it is tried again alone
            troubles.met(key, fault, now)
        else:
            troubles.over(key)

    def read_requests(
        self, seen: Survey, board: Board, foreign: Foreign, window: Container[str], now: float
    ) -> Step[tuple[dict[str, Request], set[str]]]:
        """What operators ask for and was not handled yet, and which of the sources that it is about are there.

        Args:
            board: the committed one. foreign: what only a newer release knows of it.
            window: ids of what is finished.

        Asks: one Get for each, and one for each source of them that neither the board names nor the survey shows.
        """
        layout, troubles, within_s = self._layout, self._troubles, self._patience_s
        handled = pending(board)
        new = [one for one in seen.requests if one not in handled and one not in window]
        new = [one for one in new if not is_about_letters(one)]
        new = self._turn([one for one in new if troubles.allow(layout.source(one), now)])
        asked: dict[str, Request] = {}
        for path, found in zip(new, (yield from get_within(list(map(layout.source, new)), within_s)), strict=True):
            key = layout.source(path)
            try:
                if isinstance(found, Found):
                    asked[path] = request_in(Request, path, key, found.body)
                    troubles.over(key)
                elif isinstance(found, Missed):
                    troubles.met(key, found.fault or StoreError("get", key), now)
            except CorruptRecord as corrupt:
                troubles.met(key, corrupt, now)
                assert isinstance(found, Found)
                self._asides.met(path, found.version, corrupt, now)
        if pinned := foreign.pinned:  # a release that knows where all of their messages are answers these
            asked = {path: request for path, request in asked.items() if pinned.isdisjoint(paths_of(request))}
        asked = _so_many(asked)
        about = {path for request in asked.values() for path in paths_of(request)}
        there = about & (seen.listed - {source.path for source in seen.empty})
        unseen = sorted(about - there - board.sources.keys())
        looked = yield from get_within(list(map(layout.source, unseen)), within_s)
        for path, one in zip(unseen, looked, strict=True):
            if isinstance(one, Found) and one.body:
                there.add(path)
            elif isinstance(one, Missed):  # nobody knows: not now
                gone = [at for at, request in asked.items() if path in paths_of(request)]
                for at in gone:
                    troubles.met(layout.source(at), one.fault or StoreError("get", path), now)
                    del asked[at]
        return asked, there

    def _turn(self, requests: list[str]) -> list[str]:
        """As many of these as one cycle looks at: those first that come after the ones before, since some may have to
        wait."""
        if len(requests) <= MOST_REQUESTS:
            return requests
        later = [one for one in requests if one > self._asked_last]
        some = (later or requests)[:MOST_REQUESTS]
        self._asked_last = some[-1]
        return some


def _so_many(asked: dict[str, Request]) -> dict[str, Request]:
    """The first of these, as long as they are about no more messages than one cycle looks up. One always fits."""
    many, taken = 0, dict[str, Request]()
    for path, request in asked.items():
        many += max(1, len(request.messages))
        if taken and many > _MOST_LOOKED_UP:
            break
        taken[path] = request
    return taken
