"""The agent's loops: host and coordinator of one session, as programs.

The same loops run in production, in the simulator and in the scale model. A program yields store operations and waits. An
`Environment` gives it all else; the workers of its host are a `Crew`. `s3queue.runtime.agent` runs the programs with an
event loop, threads and sockets.

One agent runs these programs concurrently, over one view of the board:

- `Agent.join`, then `Agent.serve`: reads the board, writes the ledger, deals claimed messages.
- `Agent.coordinate`: stands for election when there is no leader; when elected, runs the cycles.
- `Agent.do_chores`, `CHORES_AT_ONCE` times: the work that follows from committed boards.
- `Agent.guard`: returns when the session has to end although nothing says so.
- `Agent.hand_over`, at the end of a session that left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3queue.core.agent.environment import TICK_S, Crew, Ending, Environment, Post, Terms
from s3queue.core.agent.hosting import Hosting, holds_nothing
from s3queue.core.cycle import Lead
from s3queue.core.elect import View
from s3queue.core.keys import Layout
from s3queue.core.ledger import Host
from s3queue.core.ops import Program
from s3queue.core.pacing import Pace
from s3queue.core.plan import Settings
from s3queue.core.records import Leader, Report

__all__ = ["TICK_S", "Agent", "Crew", "Ending", "Environment", "Terms", "holds_nothing"]


class Agent:
    """One session.

    Args:
        host: its side of the ledger.
        crew: its workers.
        me: who leads if this session is elected.
    """

    def __init__(
        self,
        layout: Layout,
        host: Host,
        crew: Crew,
        pace: Pace,
        settings: Settings,
        env: Environment,
        me: Leader,
        terms: Terms = Terms(),  # noqa: B008 - frozen
    ) -> None:
        self.host = host
        host.visibility_timeout, host.window_s = settings.visibility_timeout, settings.window_s
        self._post = Post(layout, pace, settings, env, me)
        self._hosting = Hosting(self._post, host, crew, terms)
        self._leading = self._hosting.leading

    @property
    def view(self) -> View:
        """The board as this process knows it."""
        return self._post.view

    @property
    def lead(self) -> Lead | None:
        """The coordinator's state; None while another session leads."""
        return self._leading.lead

    # ---- what reaches it -----------------------------------------------------------------------------------

    def heard(self) -> None:
        """A note came from a worker or the supervisor."""
        self._hosting.wake()

    def wake(self) -> None:
        """A process of this machine has enqueued, committed or reported something."""
        self._post.woken = self.view.version
        if self._leading.lead is not None:
            self._leading.wake()
        elif self._post.is_led_here:
            self._hosting.look_soon()

    def look(self) -> None:
        """A process of another machine says that there is news."""
        self._post.woken = self.view.version
        if self._leading.lead is not None:
            self._leading.wake()
        else:
            self._hosting.look_soon()

    def drain(self) -> None:
        """Claim nothing more, finish or give back the claimed messages, and leave."""
        if not self.host.draining:
            self.host.drain()
        self._hosting.wake()

    # ---- its programs --------------------------------------------------------------------------------------

    def join(self, orphaned: Sequence[str] = (), outcomes: Mapping[str, Report] | None = None) -> Program[bool]:
        return self._hosting.join(orphaned, outcomes)

    def serve(self) -> Program[Ending]:
        return self._hosting.serve()

    def guard(self) -> Program[None]:
        return self._hosting.guard()

    def coordinate(self) -> Program[None]:
        return self._leading.coordinate()

    def do_chores(self, number: int) -> Program[None]:
        return self._leading.do_chores(number)

    def hand_over(self) -> Program[None]:
        return self._leading.hand_over()
