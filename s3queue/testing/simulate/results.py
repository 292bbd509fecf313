"""One function per invariant of results."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.keys import parse_source
from s3queue.core.records import Result
from s3queue.testing.simulate.posts import DYING, SETTLED, Message
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict, first, unknown
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS

#: Endings that a reader is told as ``cancelled``.
_AS_CANCELLED = "expired", "purged"


def i12_a_result_is_shown_when_its_message_is_committed(story: Story) -> Verdict:
    """What a reader is told is so: a result only of the ticket by which the message is done; and whoever asks after that is
    shown it until it expires."""
    if not story.told:
        return unknown("nobody asked for a result")
    done = done_by(story)

    def faults() -> Iterator[str]:
        for asked, n, about, told in story.told:
            message = story.first(about)
            what = f"event {n}: {told.who} is told that {message} is {told.verdict}"
            lives = (message, *story.lives.get(message, ()))
            ends = [how for life in lives for at, how in story.committed.get(life, ()) if at < n]
            by = [end for life in lives for end in done.get(life, ())]
            if told.verdict == "done":
                if told.expires_ms > told.wall_ms and (told.ticket, True) not in [
                    (ticket, at < n) for at, ticket in by
                ]:
                    yield f"{what} by ticket {told.ticket}, and it is {ends or 'not over'}, by {by}"
            elif told.verdict in ("dead", "cancelled"):
                hows = {told.verdict, *(_AS_CANCELLED if told.verdict == "cancelled" else ())}
                if not hows & set(ends) and not (ends and _is_of_several(story, message, n)):
                    yield f"{what}, and it is {ends or 'not over'}"
            elif story.accepted.get(message[0], asked) < asked and message not in story.committed:
                yield f"{what}, and it was accepted, and is not over"
            else:
                yield from _hidden(story, what, asked, n, told.wall_ms, message, done)

    return first(faults())


def _is_of_several(story: Story, message: Message, n: int) -> bool:
    """Whether the letter with its id is also that of messages behind it, since nobody can read them."""
    path, index = message
    key = story.layout.dead(parse_source(path).queue, story.layout.message_id(path, index))
    at, is_rest = story.letters.get(key, (n, False))
    return at < n and is_rest and index + 1 < parse_source(path).count


def _hidden(
    story: Story,
    what: str,
    asked: int,
    n: int,
    wall_ms: int,
    message: Message,
    done: dict[Message, list[tuple[int, str]]],
) -> Iterator[str]:
    for at, ticket in done.get(message, ()):
        there = _at(story, story.layout.result(story.layout.message_id(*message)), n)
        if at < asked and there is not None and there.ticket == ticket and there.expires_ms > wall_ms:
            yield f"{what}, and it is done since event {at}, and its result is there"


def i23_results_are_stored_first_and_swept_last(story: Story) -> Verdict:
    """A message that is done has stored its result before, over no later one; and none is deleted before it has expired, by
    every clock, nor while its message goes on."""
    if not story.results:
        return unknown("no task here keeps its results")
    done = done_by(story)

    def faults() -> Iterator[str]:
        for message, ends in done.items():
            key = story.layout.result(story.layout.message_id(*message), parse_source(message[0]).life)
            for n, ticket in ends:
                if not any(
                    at < n and result is not None and result.ticket == ticket
                    for at, result in story.results.get(key, ())
                ):
                    yield f"event {n}: {message} is done by ticket {ticket}, and its result was not stored before"
        for key, states in story.results.items():
            before: Result | None = None
            for n, result in states:
                if result is not None and before is not None and result.token < before.token:
                    yield f"event {n}: the result of ticket {result.ticket} replaces that of ticket {before.ticket}"
                if result is None and before is not None:
                    yield from _swept(story, key, n, before)
                before = result

    return first(faults())


def _swept(story: Story, key: str, n: int, result: Result) -> Iterator[str]:
    wall_ms = EPOCH_MS + int(story.events[n].at * 1000)
    if result.expires_ms > wall_ms + SKEW_MS:
        yield f"event {n}: {key} is deleted {result.expires_ms - wall_ms} ms before it expires"
    for message, runs in story.by_message.items():
        if (
            not parse_source(message[0]).is_borrowed
            and story.layout.result(story.layout.message_id(*message)) == key
            and not any(at < n for at, _ in story.committed.get(message, ()))
        ):
            yield f"event {n}: {key} is deleted, and its message is not over; it ran {len(runs)} times"


def _at(story: Story, key: str, n: int) -> Result | None:
    there = None
    for at, result in story.results.get(key, ()):
        if at < n:
            there = result
    return there


def done_by(story: Story) -> dict[Message, list[tuple[int, str]]]:
    """By message, when it was settled as done, and by which ticket."""
    done: dict[Message, list[tuple[int, str]]] = {}
    for move in story.moves:
        if move.new == SETTLED and move.old is not None and move.old.kind == "ticket":
            outcome = story.outcomes.get((move.old.ticket, move.old.offset))
            if outcome is not None and outcome.kind == "ok":
                done.setdefault(story.first(move.message), []).append((move.n, move.old.ticket))
        elif move.new == DYING and move.old is not None and story.ending(move) == "done":
            done.setdefault(move.message, []).append((move.n, move.old.ticket))
    return done
