"""Whether a world has come to rest, and what in it can never be finished. Reads the world, and changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from s3queue.core.keys import BORROWED, REQUESTS, TICKS, UNIQUE, is_source, parse_source, schedule_in
from s3queue.core.plan.rules import in_force
from s3queue.core.records import Board, Control, Ledger, Ticket, decode, decode_batch, decode_moved, divide
from s3queue.core.records.limits import NO_LIMITS
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate.callers import Caller
from s3queue.testing.simulate.operators import Resumer
from s3queue.testing.simulate.producers import Producer
from s3queue.testing.simulate.story import Story

if TYPE_CHECKING:
    from s3queue.testing.simulate.simulation import Simulation


class Rest:
    def __init__(self, of: Simulation) -> None:
        self.world, self._of = of.world, of

    def why_not(self) -> str:
        """Why the world is not at rest; empty if it is."""
        world, layout = self.world, self.world.layout
        if world.under_way or any(isinstance(actor.process, (Producer, Caller, Resumer)) for actor in world.actors):
            return "somebody is still sending"
        body = world.store.body(layout.board)
        if body is None:
            return "there is no board"
        board, foreign = divide(decode(Board, layout.board, body))
        stuck = self.stuck(board)
        waits = {one for path in stuck for mark in board.marks.get(path, {}).values() for one in mark.requests}
        tickets = [name for name, ticket in board.tickets.items() if ticket.parts[0].source not in stuck]
        edits = {
            one.by for path in stuck if path in board.sources for one in board.sources[path].endings.values() if one.by
        }
        waits |= edits
        if board.edits.keys() - edits:
            return f"letters that are to have other payloads: {sorted(board.edits)}"
        if stuck:
            # A purge waits for what is stuck, and another one of its queue for that.
            waits |= {path for path in map(layout.path, world.store.keys(layout.requests)) if board.purges}
        elif board.purges:
            return f"purges that are not over: {sorted(board.purges)}"
        if self._of.schedulers and (why := self._ticks(board, stuck)):
            return why
        if board.answers:
            return f"requests that are not forgotten: {sorted(board.answers)}"
        if tickets or board.sources.keys() - stuck:
            return f"the board holds {sorted(board.tickets)} {sorted(board.sources)}"
        for key in world.store.keys(layout.home):
            if key.startswith(layout.hosts):
                if key in world.refused or layout.session(key) in foreign.sessions:
                    continue
                try:
                    if decode(Ledger, key, world.store.body(key) or b"").over or not self._lives(layout.session(key)):
                        return f"the ledger of a session that is over: {key}"
                except CorruptRecord:
                    return f"a ledger that nobody can read: {key}"
            elif key in (layout.board, layout.control) or not (world.store.body(key) and self._is_source(key)):
                continue
            elif layout.path(key) not in stuck | waits:
                return f"a source: {key}"
        if self.world.scene.outlast and (pages := world.store.keys(layout.retired)):
            story = Story(world.events, self.world.scene.times.settings)
            if pages := [page for page in pages if not story.is_unheard(page)]:
                return f"retired pages: {pages}"
        return ""

    def _ticks(self, board: Board, stuck: set[str]) -> str:
        """Why schedules are not over; empty if they are."""
        world, layout = self.world, self.world.layout
        body = world.store.body(layout.control)
        if body is not None and decode(Control, layout.control, body).schedules:
            return "there are schedules"
        needed = {schedule_in(path) for path in stuck if path.startswith(TICKS)}
        left = [
            name
            for name, ticked in board.schedules.items()
            if not ticked.gone_ms or (ticked.old and name not in needed)
        ]
        return f"schedules that have not gone: {left}" if left else ""

    def _is_source(self, key: str) -> bool:
        path = self.world.layout.path(key)
        return is_source(path) or path.startswith(REQUESTS)

    def _lives(self, session: str) -> bool:
        hosts = (*self._of.hosts, *self._of.candidates)
        return any(host.agent is not None and host.agent.session == session for host in hosts)

    def stuck(self, board: Board) -> set[str]:
        """Sources that cannot be finished while the store refuses these keys, and those of their groups."""
        layout, refused = self.world.layout, self.world.refused
        if not refused:
            return set()
        sessions = {layout.session(key) for key in refused if key.startswith(layout.hosts)}
        stuck = {
            part.source for ticket in board.tickets.values() if ticket.session in sessions for part in ticket.parts
        }
        for path, state in board.sources.items():
            source = parse_source(path)
            # One letter may stand for all that nobody can read, whichever they are.
            letters = (layout.dead(source.queue, self._message_id(path, at)) for at in range(source.count))
            if (state.dying or source.kind == "dead") and any(letter in refused for letter in letters):
                stuck.add(path)
        crowds = {(one.queue, one.group) for one in map(parse_source, stuck) if one.group is not None}
        # Behind a gate for arguments one message goes at a time, also of those that are redriven.
        gates = {(one.queue, one.gate) for one in map(parse_source, stuck) if one.gate.startswith(UNIQUE)}
        # Nor can those that wait for the places of what nobody can take back.
        tickets = {name: one for name, one in board.tickets.items() if one.session in sessions}
        limited = self._limited(tickets.values())
        limited |= {
            (one.queue, "") for name, one in tickets.items() if any(f.probe == name for f in board.fuses.values())
        }
        paths = [layout.path(key) for key in self.world.store.keys(layout.home)]
        for path in (*paths, *(path for path in board.sources if path.startswith(BORROWED))):
            with contextlib.suppress(CorruptRecord):
                source = parse_source(path)
                is_limited = not limited.isdisjoint({(source.queue, ""), (source.queue, source.key)})
                if (source.queue, source.group) in crowds or (source.queue, source.gate) in gates or is_limited:
                    stuck.add(source.path)
        return stuck

    def _limited(self, tickets: Iterable[Ticket]) -> set[tuple[str, str]]:
        """Queues and keys of which only so many messages may run at once, and some are in these tickets; also in one from
        before that was so. All of a queue: ``""``."""
        store, layout = self.world.store, self.world.layout
        ledgers, body = [], store.body(layout.control)
        for key in store.keys(layout.hosts):
            with contextlib.suppress(CorruptRecord):
                ledgers.append(decode(Ledger, key, store.body(key) or b""))
        limits = in_force(ledgers, None if body is None else decode(Control, layout.control, body))
        found = set()
        for ticket in tickets:
            of = limits.get(ticket.queue, NO_LIMITS)
            keys = {parse_source(part.source).key for part in ticket.parts}
            found |= {(ticket.queue, key) for key in keys if of.of(key).max_running}
            if of.queue.max_running:
                found.add((ticket.queue, ""))
        return found

    def unfounded(self) -> set[str]:
        """Every source, if there is no board and the store refuses the ledger of each host that could found one: a host
        whose ledger is not known to be stored does not work, and does not lead."""
        world, layout = self.world, self.world.layout
        agents = [host.agent for host in (*self._of.hosts, *self._of.candidates)]
        if not agents or any(agent is None or layout.host(agent.session) not in world.refused for agent in agents):
            return set()
        paths = set()
        for key in world.store.keys(layout.home):
            with contextlib.suppress(CorruptRecord):
                paths.add(parse_source(layout.path(key)).path)
        return paths

    def _message_id(self, path: str, index: int) -> str:
        """What it was called first, if it was moved off the board."""
        body = self.world.store.body(self.world.layout.source(path))
        if parse_source(path).moved and body is not None:
            origin = decode_moved(path, decode_batch(path, body).messages[index]).origin
            assert origin is not None
            return origin.message
        return self.world.layout.message_id(path, index)
