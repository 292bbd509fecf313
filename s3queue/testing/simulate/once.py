"""The invariant of messages that are enqueued only once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from s3queue.core.keys import DEDUP, UNIQUE, WAITING, parse_source
from s3queue.testing.simulate.callers import WINDOW_MS
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict, first, unknown


def i17_what_is_enqueued_only_once_is(story: Story) -> Verdict:
    """While a gate holds for the arguments of a message, at most one message behind it is not over. A call never returns a
    message that was off the board (until it is over), or had begun (while it waits), when the call began. Two messages
    of one id are a window apart. Of those behind one gate for arguments, further lives too, one is in a ticket at a time.
    And what a call returns is not lost."""
    if not story.calls:
        return unknown("nobody enqueued anything only once")

    def faults() -> Iterator[str]:
        gone, before = dict[str, int](), set[str]()
        for state in story.boards:
            now = set(state.board.sources)
            for path in before - now:
                gone[path] = state.n
            before = now
        behind: dict[str, list[str]] = {}
        for path, n in sorted(story.landed.items(), key=lambda one: one[1]):
            gate = parse_source(path).gate
            if gate.startswith(UNIQUE):
                for other in behind.setdefault(gate, []):
                    if not any(at < n for at, _ in story.committed.get((other, 0), ())):
                        yield f"event {n}: {path} is stored while {other} behind the same gate is not over"
            behind.setdefault(gate, []).append(path)
        for began, gate, n, path in story.calls:
            what = f"event {n}: the call of event {began} is told that its message is {path}"
            if gate.startswith(UNIQUE) and gone.get(path, n) < began:
                yield f"{what}, which was forgotten at event {gone[path]}"
            if gate.startswith(WAITING) and (runs := story.by_message.get((path, 0))) and runs[0].n < began:
                yield f"{what}, which began at event {runs[0].n}"
            at_rest = story.drained is not None and not story.drained.why and path not in story.drained.stuck
            if at_rest and (path, 0) not in story.committed:
                yield f"{what}, and nothing became of it"
        yield from _twice(story)
        yield from _together(story)

    return first(faults())


def _twice(story: Story) -> Iterator[str]:
    """Two messages of one id within its window."""
    made = {gate.path: gate.made_ms for _, key, gate in story.gates if key.rpartition("/")[2].startswith(DEDUP)}
    stored = sorted((at_ms, path) for path, at_ms in made.items() if path in story.landed)
    for (at_ms, path), (next_ms, following) in pairwise(stored):
        if next_ms - at_ms < WINDOW_MS:
            yield f"{following} was enqueued {next_ms - at_ms} ms after {path}"


def _together(story: Story) -> Iterator[str]:
    """Two messages in tickets at once of which one goes at a time, whatever became of their gate."""
    for state in story.boards:
        out: dict[str, str] = {}
        for ticket in state.board.tickets.values():
            for path in (part.source for part in ticket.spans(ticket.left_ranges)):
                gate = parse_source(path).gate
                if gate.startswith(UNIQUE) and out.setdefault(gate, path) != path:
                    yield f"event {state.n}: {path} and {out[gate]} are in tickets"
