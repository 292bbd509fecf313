"""The events of a cycle that the coordinator has just committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from s3queue.core.agent.environment import Environment
from s3queue.core.cycle import Cycled, Lead
from s3queue.core.keys import Layout, parse_source
from s3queue.core.plan import Settled
from s3queue.core.records import Board, Control, Fuse

#: Outcomes for which no event was told before they were committed.
_OURS = ("cancelled", "expired", "purged")
#: Causes of death for which no worker and no host told an event: the host was lost, or none knew the task.
_UNHEARD = frozenset({"lost", "unknown_task", "signature"})


class Telling:
    """The events of one term. Pauses and open breakers that it begins with were told by the leader before.

    Args:
        fuses: of the board with which the term begins.
    """

    def __init__(self, env: Environment, layout: Layout, fuses: Mapping[str, Fuse]) -> None:
        self._env, self._layout = env, layout
        self._paused: dict[tuple[str, ...], int] | None = None
        self._open = _open(fuses)

    def tell(self, lead: Lead, cycled: Cycled) -> None:
        """Called after the commit. An event without a listener costs one lookup in a set."""
        env, planned = self._env, cycled.planned
        if planned.assigned and env.wants("tickets_assigned"):
            env.emit("tickets_assigned", messages=planned.assigned, tickets=len(lead.board.tickets))
        if cycled.committed and planned.redriven and env.wants("redriven"):
            ids: dict[str, list[str]] = {}
            for source in map(parse_source, planned.redriven):
                ids.setdefault(source.queue, []).append(source.message)
            for queue, begun in ids.items():
                env.emit("redriven", queue=queue, ids=begun)
        if cycled.settled:
            self._tell_settled(lead.board, cycled.settled)
        if lead.control is not None:
            self._tell_paused(lead.control)
        if cycled.committed and (self._open or lead.board.fuses):
            self._tell_breakers(lead.board.fuses)

    def _tell_settled(self, board: Board, settled: list[Settled]) -> None:
        env = self._env
        if env.wants("settled"):
            for one in settled:
                env.emit("settled", **one._asdict())
        for outcome in _OURS:
            if env.wants(outcome):
                for queue, ids in self._by_queue(one for one in settled if one.outcome == outcome).items():
                    env.emit(outcome, queue=queue, ids=ids)
        if env.wants("dead"):
            for one in settled:
                if one.outcome == "dead":
                    self._tell_dead(board, one)

    def _by_queue(self, settled: Iterable[Settled]) -> dict[str, list[str]]:
        ids: dict[str, list[str]] = {}
        for one in settled:
            of_queue = ids.setdefault(parse_source(one.source).queue, [])
            of_queue += [self._layout.message_id(one.source, index) for index in range(one.start, one.stop)]
        return ids

    def _tell_dead(self, board: Board, one: Settled) -> None:
        """Deaths for which their host has not told an event."""
        state = board.sources.get(one.source)
        for index in range(one.start, one.stop):
            failures = () if state is None else state.failures.get(index, ())
            if failures and failures[-1].cause in _UNHEARD:
                last = failures[-1]
                self._env.emit(
                    "dead",
                    queue=parse_source(one.source).queue,
                    message=self._layout.message_id(one.source, index),
                    attempt=one.attempt,
                    cause=last.cause,
                    text=last.text,
                )

    def _tell_paused(self, control: Control) -> None:
        now_ms, before = self._env.now_ms(), self._paused
        paused: dict[tuple[str, ...], int] = {
            (queue,): until_ms for queue, until_ms in control.paused.items() if control.holds(queue, now_ms)
        }
        for queue, tasks in control.halted(now_ms).items() if control.paused_tasks else ():
            paused |= {(queue, task): control.paused_tasks[queue][task] for task in tasks}
        self._paused = paused
        if before is None or before == paused:
            return
        for what, until_ms in paused.items():
            if before.get(what) != until_ms:
                self._env.emit("paused", **_named(what), until_ms=until_ms)
        for what in before:
            if what not in paused:
                self._env.emit("resumed", **_named(what))

    def _tell_breakers(self, fuses: Mapping[str, Fuse]) -> None:
        before, self._open = self._open, _open(fuses)
        for queue in sorted(self._open - before):
            self._env.emit("breaker_opened", queue=queue, failed=fuses[queue].failed)
        for queue in sorted(before - self._open):
            self._env.emit("breaker_closed", queue=queue)


def _named(what: tuple[str, ...]) -> dict[str, str]:
    """A queue, or a task of it."""
    return dict(zip(("queue", "task"), what, strict=False))


def _open(fuses: Mapping[str, Fuse]) -> set[str]:
    return {queue for queue, fuse in fuses.items() if fuse.open_ms}
