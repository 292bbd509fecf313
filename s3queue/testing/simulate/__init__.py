"""Runs the production steps of the protocol in a world where everything goes wrong, and checks whether anything breaks.

::

    from s3queue.testing.simulate import Seeded, run

    outcome = run(Seeded(7))
    assert outcome.violations == {}

A world has producers, hosts with an agent and workers, coordinators, a store, and a clock that only the scheduler moves.
Requests are answered, or not, or take effect when their sender has long given up; processes crash, stand still, and come
back. The steps are those of `s3queue.core`, the dealer and the journal those of `s3queue.runtime`; what is modelled is
what is around them: processes, pipes, clocks, the store. First come faults, then they stop, and everything has to drain.

Every decision comes from one `Choices.choose`: by chance (`by_chance`), all of them in a small world (`exhaust`), or as
written down (`replay`). What happened is a history, and `CHECKERS` read nothing else: one for each invariant and promise
of the protocol.
"""

from __future__ import annotations

from s3queue.testing.simulate.checkers import CHECKERS, SOMETIMES, judge
from s3queue.testing.simulate.choices import Choices, Replay, Seeded
from s3queue.testing.simulate.scenes import Scene, Times, Weather, draw
from s3queue.testing.simulate.search import Outcome, Tally, by_chance, exhaust, replay, report, run, shorten
from s3queue.testing.simulate.small import SMALL, Small
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict

__all__ = [
    "CHECKERS",
    "SMALL",
    "SOMETIMES",
    "Choices",
    "Outcome",
    "Replay",
    "Scene",
    "Seeded",
    "Small",
    "Story",
    "Tally",
    "Times",
    "Verdict",
    "Weather",
    "by_chance",
    "draw",
    "exhaust",
    "judge",
    "replay",
    "report",
    "run",
    "shorten",
]
