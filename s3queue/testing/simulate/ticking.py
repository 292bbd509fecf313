"""The invariant of schedules, from boards and controls alone: intervals are counted here anew."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from s3queue.core.keys import Source, parse_source
from s3queue.core.plan.schedules import LATE_MS, MOST_UNSETTLED
from s3queue.core.records import Board, Control, Schedule
from s3queue.testing.simulate.chronicle import BoardAt
from s3queue.testing.simulate.history import Deleted, Wrote
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict, first, unknown
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS

#: Milliseconds that a leader may be off the median of the hosts' clocks and still admit a tick: the bound, and how old what
#: it knows of them may be.
_OFF_MS = 75_000


def i15_a_tick_is_enqueued_once(story: Story) -> Verdict:
    """Each tick is admitted once at most, whoever leads and whichever revision. A schedule moves on exactly by the ticks
    that it admits, or passes over as its catch-up says; not while it is paused; and by a clock that others confirm."""
    if not any(state.board.schedules for state in story.boards):
        return unknown("no schedules")
    return first(chain(_faults(story), _objects(story)))


def _faults(story: Story) -> Iterator[str]:
    controls = {0: Control("")} | {control.turn: control for _, control in story.controls}
    known: set[str] = set()
    ticks: set[tuple[str, int]] = set()
    before = Board("", 0)
    for state in story.boards:
        board, control = state.board, controls.get(state.board.control, Control(""))
        fresh = [
            parse_source(path) for path in board.sources.keys() - before.sources.keys() if path.startswith("tick/")
        ]
        by_name: dict[str, list[Source]] = {}
        for source in fresh:
            what = f"event {state.n}: {source.path}"
            if source.path in known:
                yield f"{what} is admitted again"
            known.add(source.path)
            name = source.object.rpartition(".")[0]
            if source.path.endswith(source.object):
                by_name.setdefault(name, []).append(source)
                if (name, source.order) in ticks:
                    yield f"{what} is admitted again, under another revision"
                ticks.add((name, source.order))
                yield from _by_a_wrong_clock(story, state, what)
        for name in by_name.keys() | board.schedules.keys() | before.schedules.keys():
            schedule = control.schedules.get(name)
            yield from _moves_on(state, before, name, schedule, by_name.get(name, []))
        before = board


def _moves_on(
    state: BoardAt, before: Board, name: str, schedule: Schedule | None, admitted: list[Source]
) -> Iterator[str]:
    what = f"event {state.n}: schedule {name}"
    old, new = before.schedules.get(name), state.board.schedules.get(name)
    if new is None:
        if old is not None or admitted:
            yield f"{what} has left the board"
        return
    if old is None or new.last_ms == old.last_ms:
        if admitted:
            yield f"{what} admits {[one.path for one in admitted]}, and stays where it is"
        return
    if schedule is None or new.last_ms < old.last_ms:
        yield f"{what} goes from {old} to {new}, and is {schedule}"
        return
    found = sorted(one.order for one in admitted)
    now_ms = EPOCH_MS + int(state.at * 1000)
    if schedule.paused_ms == 0:
        yield f"{what} moves on, and is paused"
    step_ms = schedule.every_s * 1000
    due = list(range((max(old.last_ms, schedule.from_ms) // step_ms + 1) * step_ms, new.last_ms + 1, step_ms))
    if not due or due[-1] != new.last_ms:
        yield f"{what} goes from {old} to {new}, where it has no tick"
    elif schedule.catch_up == "all" and found != due:
        yield f"{what} admits {found} of {due}"
    elif schedule.catch_up == "last" and found != due[-1:]:
        yield f"{what} admits {found}; {due[-1]} is its last"
    elif schedule.catch_up == "none":
        late_ms = now_ms - due[-1]
        if found not in ([], due[-1:]) or (not found and late_ms < LATE_MS - SKEW_MS):
            yield f"{what} admits {found}; {due[-1]} is {late_ms} ms late"
    if len(found) > MOST_UNSETTLED:
        yield f"{what} admits {len(found)} ticks"


def _objects(story: Story) -> Iterator[str]:
    """The object of a tick is there from its admission until it has left the board."""
    layout = story.layout
    prefix = layout.schedule("")
    there: set[str] = set()
    needed: set[str] = set()
    boards = {state.n: state.board for state in story.boards}
    for n, event in enumerate(story.events):
        if isinstance(event, Deleted):
            there.difference_update(event.keys)
        elif isinstance(event, Wrote) and event.key.startswith(prefix):
            there.add(event.key)
        elif n in boards:
            needed = {layout.source(path) for path in boards[n].sources if path.startswith("tick/")}
        else:
            continue
        for key in sorted(needed - there):
            yield f"event {n}: a board names a tick of {key}, which is not there"


def _by_a_wrong_clock(story: Story, state: BoardAt, what: str) -> Iterator[str]:
    """Whether most hosts had told the leader that its clock is far off, before it looked for the last time."""
    leader = state.board.leader
    looked = story.survey_before(state.who, state.n)
    if leader is None or looked is None:
        return
    ahead: dict[str, float] = {leader.session: 0.0}
    mine = None
    for session in story.ledgers:
        known = story.ledger_before(session, looked)
        if known is None or known.ledger is None or known.ledger.over or not known.ledger.clock_ms:
            continue
        off_ms = known.ledger.clock_ms - EPOCH_MS - known.at * 1000
        if session == leader.session:
            mine = off_ms
        ahead[session] = off_ms
    if mine is None:
        return
    ahead[leader.session] = mine
    values = sorted(mine - off_ms for off_ms in ahead.values())
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    if abs(middle) > _OFF_MS:
        yield f"{what} is admitted by a leader whose clock is {middle:.0f} ms off"
