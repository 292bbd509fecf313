"""One function per invariant about operators."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.keys import parse_source
from s3queue.core.records import CANCEL, PURGE, UNREADABLE, Control
from s3queue.testing.simulate.lives import begun
from s3queue.testing.simulate.posts import Message
from s3queue.testing.simulate.story import Story, damaged
from s3queue.testing.simulate.verdicts import Verdict, first
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS


def i13_a_cancelled_message_does_not_start(story: Story) -> Verdict:
    """Not after a board, or an answer, says that it is cancelled, nor after its host has read the mark; nor is it assigned
    once it is marked. And it has one outcome."""

    def faults() -> Iterator[str]:
        since: dict[Message, int] = {}
        for n, request, answer in [*_on_boards(story), *story.answers]:
            if answer == "cancelled" and request in story.asked and story.asked[request][1] == CANCEL:
                message = story.first(story.asked[request][2])
                since[message] = min(n, since.get(message, n))
        for message, n in since.items():
            for run in story.by_message.get(message, ()):
                if run.n > n and not damaged(story, run.started.session, run.n):
                    yield f"event {run.n}: {message} starts, and was said to be cancelled at event {n}"
            lives = [message, *story.lives.get(message, ())]
            for life in lives[1:]:
                for run in story.by_message.get(life, ()):
                    if run.n > n and not damaged(story, run.started.session, run.n):
                        yield f"event {run.n}: {life} starts, and was said to be cancelled at event {n}"
            others = {how for _, how in story.committed.get(lives[-1], ())} - {"cancelled", "purged"}
            if others:
                yield f"event {n}: {message} is said to be cancelled, and is {others}"
        for run in story.runs:
            if (n := story.marks_read.get((run.started.ticket, run.started.offset), run.n)) < run.n:
                yield f"event {run.n}: {run.started.path} starts; its host read at event {n} that it is cancelled"
        marked: dict[Message, int] = {}
        for state in story.boards:
            for path, marks in state.board.marks.items():
                for index in marks:
                    marked.setdefault((path, index), state.n)
        for move in story.moves:
            if move.new is not None and move.new.ticket and marked.get(move.message, move.n) < move.n:
                yield f"event {move.n}: {move.message} gets ticket {move.new.ticket}, and is to be cancelled"

    return first(faults())


def i18_a_purge_ends_what_was_there_and_nothing_later(story: Story) -> Verdict:
    """What was stored before it was asked for does not start once it is answered. What was first sent after the answer is
    not touched."""

    def faults() -> Iterator[str]:
        answered: dict[str, int] = {}
        for n, request, answer in [*_on_boards(story), *story.answers]:
            if answer != UNREADABLE:  # its request was damaged in the store, and nothing was done
                answered[request] = min(n, answered.get(request, n))
        purges = {one: (at, about[0]) for one, (at, kind, about) in story.asked.items() if kind == PURGE}
        for request, (asked, queue) in purges.items():
            told = answered.get(request)
            if told is None:
                continue
            for run in story.runs:
                path, _ = story.first((run.started.path, run.started.number))
                is_older = parse_source(path).queue == queue and story.landed.get(path, asked) < asked
                if is_older and run.n > told and not damaged(story, run.started.session, run.n):
                    yield f"event {run.n}: {path} starts; all of {queue} was purged at event {told}"
        lives = set(begun(story))
        for message, ends in story.committed.items():
            if message[0].startswith("dead/") and message not in lives:
                continue  # its letter was purged
            for at, how in ends:
                queue = parse_source(message[0]).queue
                if how == "purged" and not any(
                    of == queue and asked < at and answered.get(one, at) >= story.landed.get(message[0], 0)
                    for one, (asked, of) in purges.items()
                ):
                    yield f"event {at}: {message} is purged, and was sent when no purge of {queue} was going on"

    return first(faults())


def i20_an_answer_stays_true(story: Story) -> Verdict:
    """An answer never changes, is the one that a board committed, is given once, and says what became of its message."""

    def faults() -> Iterator[str]:
        known: dict[str, tuple[int, str]] = {}
        gone: set[str] = set()
        before: set[str] = set()
        for state in story.boards:
            for request, answer in state.board.answers.items():
                if request in gone:
                    yield f"event {state.n}: {request} is answered again"
                if known.setdefault(request, (state.n, answer))[1] != answer:
                    yield f"event {state.n}: {request} is answered {answer}, and was {known[request][1]}"
            gone |= before - state.board.answers.keys()
            before = set(state.board.answers)
        for n, request, answer in story.answers:
            at, committed = known.get(request, (n, "nothing"))
            if at >= n or answer != committed:
                yield f"event {n}: {request} is answered {answer}; a board says {committed}"
        for request, (n, answer) in known.items():
            if request in story.asked and story.asked[request][1] != PURGE:
                yield from _untrue(story, request, n, answer, known)

    return first(faults())


def _untrue(story: Story, request: str, n: int, answer: str, known: dict[str, tuple[int, str]]) -> Iterator[str]:
    asked, kind, message = story.asked[request]
    what = f"event {n}: {request}, {kind} of {message}, is answered {answer}, and"
    if asked > n:
        yield f"{what} was not sent"
    first_life = story.first(message)
    ends = [end for life in (first_life, *story.lives.get(first_life, ())) for end in story.committed.get(life, ())]
    if answer in ("done", "dead") and not any(at <= n and how == answer for at, how in ends):
        yield f"{what} it is {ends}"
    stays_absent = kind == CANCEL and parse_source(message[0]).count == 1  # of others it only was
    if answer in ("over", "cancelled") or (answer == "absent" and stays_absent):
        moves = [move for move in story.moves if move.message == message]
        for move in [*[move for move in moves if move.n <= n][-1:], *(move for move in moves if move.n > n)]:
            if move.new is not None and move.new.kind in ("ready", "waiting", "ticket"):
                yield f"{what} it is {move.new} at event {move.n}"
    if answer == "over" and kind == CANCEL and any(at < n and how == "cancelled" for at, how in ends):
        others = [
            one for one in known if one != request and story.asked.get(one, (0, "", ("", 0)))[1:] == (kind, message)
        ]
        if not any(known[one][1] in ("cancelled", "absent") for one in others):
            yield f"{what} it was this request that cancelled it"
    at_rest = story.drained is not None and not story.drained.why and message[0] not in story.drained.stuck
    if answer == "cancelled" and kind == CANCEL and at_rest and not ends:
        yield f"{what} nothing became of it"


def _on_boards(story: Story) -> Iterator[tuple[int, str, str]]:
    for state in story.boards:
        for request, answer in state.board.answers.items():
            yield state.n, request, answer


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
