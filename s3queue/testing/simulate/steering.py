"""One function per invariant of what operators do."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.records import Control
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict, first
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS


def i19_a_paused_queue_gets_no_ticket(story: Story) -> Verdict:
    """Not from a board that names the turn of a control in which it is paused; and turns never go back. Nor from any board
    after an operator was told that his turn holds, until a later one says otherwise."""

    def faults() -> Iterator[str]:
        controls = {0: Control("")} | {control.turn: control for _, control in story.controls}
        turn, tickets = 0, frozenset[str]()
        for state in story.boards:
            named = state.board.control
            if named < turn:
                yield f"event {state.n}: the board names turn {named} of control after turn {turn}"
            promised = max((told for n, told in story.steered if n < state.n), default=0)
            turn = max(turn, named)
            control = controls.get(named)
            fresh = state.board.tickets.keys() - tickets
            tickets = frozenset(state.board.tickets)
            if control is None:
                yield f"event {state.n}: the board names turn {named}, which no control had"
                continue
            if fresh and named < promised:
                yield f"event {state.n}: tickets of turn {named}, after somebody was told that turn {promised} holds"
            for name in sorted(fresh):
                queue = state.board.tickets[name].queue
                # The coordinator's clock may be ahead, and the pause over by it.
                if control.holds(queue, EPOCH_MS + int(state.at * 1000) + SKEW_MS):
                    yield f"event {state.n}: ticket {name} of queue {queue}, which is paused by turn {named}"

    return first(faults())
