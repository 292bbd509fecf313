"""Who coordinates: as a process of its own, or inside an agent, with one view of the board for both roles."""

from __future__ import annotations

from collections.abc import Callable

from s3queue.core import coordinate, elect
from s3queue.core.coordinate import Cycled, Deposed, Doubt, Lead
from s3queue.core.elect import View
from s3queue.core.ops import Step
from s3queue.core.plan import is_finished
from s3queue.core.records import Leader
from s3queue.errors import StoreUnavailable
from s3queue.store import Stored
from s3queue.testing.simulate.world import Doing, Machine, Process, Program, Sleep, World

#: Clocks are sums of floats.
_EXACT_S = 1e-6
#: How often a coordinator shows that it lives only when it is due.
_STEADY = 0.85


class Leading:
    """Stands, and cycles when elected. The production loop is `s3queue.runtime.agent.leading`.

    Args:
        committed: called after each new board.
        gone: sessions of this machine whose processes have ended.
        before: sessions of agents that this supervisor has reaped.
    """

    def __init__(
        self,
        process: Process,
        session: str,
        view: View,
        committed: Callable[[], None],
        gone: Callable[[], list[str]],
        before: tuple[str, ...] = (),
    ) -> None:
        self._process, self._session, self._view = process, session, view
        self._committed, self._gone, self._before = committed, gone, before
        self._idle_for = 0
        self._is_cleaning = False
        self.lead: Lead | None = None

    def stand(self, looked_at: float) -> Doing[None]:
        world, process, view = self._process.world, self._process, self._view
        settings = world.scene.times.settings
        leader = view.board.leader if view.board is not None else None
        leader_gone = leader is not None and leader.session in (*self._before, *self._gone())
        if not elect.may_stand(view, looked_at, settings.leader_lease, me=self._session, leader_gone=leader_gone):
            return
        if view.board is not None and leader is not None and leader.session == self._session:
            world.mark("an unanswered election was found out")
        outcome = yield from elect.stand(view, world.layout, Leader(self._session), world.nonce())
        if not isinstance(outcome, Stored):
            return
        if leader_gone:
            world.mark("a leader that was gone was replaced at once")
        self.lead = yield from coordinate.take_office(view, world.layout, settings, process.steady())
        if self.lead.board.epoch > 1:
            world.mark("another leader")
        if self.lead.window:
            world.mark("a new leader read retired pages")

    def cycle(self, *, apart: bool = True) -> Doing[float]:
        """One cycle. Returns how long to wait for the next.

        Args:
            apart: clean up beside the next cycles.
        """
        world, process, lead = self._process.world, self._process, self.lead
        assert lead is not None
        if lead.pending is not None:
            world.mark("a board in doubt was sent again")
        outcome = yield from coordinate.cycle(
            lead, now=process.steady(), now_ms=process.wall_ms(), nonce=world.nonce(), gone=self._gone(), apart=apart
        )
        match outcome:
            case Deposed():
                world.mark("a leader was deposed")
                self.lead = None
                return 0.0
            case Doubt():
                return world.scene.times.busy
            case Cycled():
                if outcome.committed:
                    self._committed()
                    self._idle_for = 0
                else:
                    self._idle_for += 1
                if outcome.planned.refused:
                    world.mark("a late request of a producer was refused")
                if outcome.rest is not None and not self._is_cleaning:
                    self._is_cleaning = True
                    process.spawn("clean", self._clean(outcome.rest))
                return self._wait_s(lead)

    def _clean(self, rest: Step[None]) -> Program:
        yield from rest
        self._is_cleaning = False

    def _wait_s(self, lead: Lead) -> float:
        world, board = self._process.world, lead.board
        times = world.scene.times
        if self._idle_for < 2 or any(state.dying or is_finished(path, state) for path, state in board.sources.items()):
            return times.busy
        if board.sources:
            return times.idle[0]
        return world.choices.choose(times.idle) if world.stormy else times.idle[-1]

    def rest(self, wait_s: float) -> Doing[None]:
        """Wait, and show meanwhile that we live. Over early when somebody wakes us."""
        world, process = self._process.world, self._process
        times, until = world.scene.times, process.steady() + wait_s
        while (lead := self.lead) is not None and lead.pending is None:
            part = world.choices.choose(times.beat, _STEADY) if world.stormy else times.beat[0]
            beat_at = lead.written_at + times.settings.leader_lease * part
            if beat_at >= until:
                break
            yield Sleep(max(0.0, beat_at - process.steady()))
            if process.steady() < beat_at - _EXACT_S:
                return
            try:
                outcome = yield from coordinate.show_life(lead, now=process.steady(), nonce=world.nonce())
            except StoreUnavailable:
                world.mark("a sign of life was not answered")
                return
            match outcome:
                case Cycled():
                    world.mark("a leader showed life between cycles")
                    self._committed()
                case Deposed():
                    world.mark("a leader that showed life was deposed")
                    self.lead = None
                case Doubt():
                    world.mark("a sign of life was not answered")
                    return
        yield Sleep(max(0.0, until - process.steady()))

    def resign(self) -> Doing[None]:
        if self.lead is not None and self.lead.pending is None:
            yield from elect.resign(self._view, self._process.world.layout, self._process.world.nonce())
            self._process.world.mark("a leader resigned")
        self.lead = None


class Candidate(Process):
    """A process that only coordinates. Its view is its own."""

    def __init__(self, world: World, name: str, machine: Machine, gone: Callable[[Machine], list[str]]) -> None:
        super().__init__(world, name, machine)
        self._view = View()
        self.leading = Leading(self, name, self._view, lambda: None, lambda: gone(machine))
        self.spawn("main", self._main())

    def _main(self) -> Program:
        world, leading = self.world, self.leading
        while True:
            wait_s = world.scene.times.busy
            try:
                if leading.lead is None:
                    began = self.steady()
                    yield from elect.look(self._view, world.layout, began)
                    yield from leading.stand(began)
                else:
                    wait_s = yield from leading.cycle()
            except StoreUnavailable:
                pass
            yield from leading.rest(wait_s)
