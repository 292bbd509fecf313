"""What anybody would be shown at any moment: results by looks that take no time, and letters as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from s3queue.core import results
from s3queue.core.keys import parse_message_id, parse_source
from s3queue.core.ops import Gather, Get, List, Step
from s3queue.core.records import Board, DeadLetter, decode, decode_batch, decode_moved, decode_result
from s3queue.core.results import Looked, Verdict
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Listed, Missing
from s3queue.testing.simulate import history, verdicts
from s3queue.testing.simulate.results import done_by
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import first, unknown
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS


def a_result_is_readable_exactly_when_its_message_is_committed(story: Story) -> verdicts.Verdict:
    """After every write of a board, a result or a letter: who looks then is shown a result if, and only if, a board has
    committed its message by its ticket; from that commit on, until it expires."""
    if not story.results:
        return unknown("no task here keeps its results")
    done = done_by(story)

    def faults() -> Iterator[str]:
        layout, store = story.layout, dict[str, bytes]()
        board: Board | None = None
        watched = (layout.results, f"{layout.root}/dead/")
        for n, event in enumerate(story.events):
            if isinstance(event, history.Wrote):
                store[event.key] = event.body
                if event.key == layout.board:
                    board = decode(Board, event.key, event.body)
                elif not event.key.startswith(watched):
                    continue
            elif isinstance(event, history.Deleted):
                for key in event.keys:
                    store.pop(key, None)
            else:
                continue
            if board is None:
                continue
            for key in [key for key in store if key.startswith(layout.results)]:
                result = decode_result(key, store[key])
                ref = parse_message_id(result.message)
                message = story.first((ref.path, ref.index))
                if result.life > 1 or message in story.lives:
                    continue
                is_committed = (result.ticket, True) in [(ticket, at <= n) for at, ticket in done.get(message, ())]
                is_over = result.expires_ms <= EPOCH_MS + event.at * 1000 + SKEW_MS
                looked = None
                if not results.is_listed(board, ref):
                    looked = _at_once(results.look(layout, result.message, board), store)
                shown = looked.result if looked is not None and looked.verdict is Verdict.DONE else None
                if shown is not None and not is_committed:
                    yield f"event {n}: the result of {message} by ticket {shown.ticket} is shown, and that is not committed"
                if shown is None and is_committed and not is_over:
                    how = "the board lists it" if looked is None else looked.verdict.value
                    yield f"event {n}: {message} is committed by ticket {result.ticket}, and its result is hidden: {how}"

    return first(faults())


def _at_once(step: Step[Looked], store: dict[str, bytes]) -> Looked | None:
    """What a look says that takes no time. None: it cannot tell."""
    answer: Any = None
    try:
        while True:
            answer = _answer(step.send(answer), store)
    except StopIteration as end:
        looked: Looked = end.value
        return looked
    except CorruptRecord:
        return None


def _answer(op: Any, store: dict[str, bytes]) -> Any:
    match op:
        case Gather(reads):
            return [_answer(read, store) for read in reads]
        case Get(key):
            return Found(store[key], "v") if key in store else Missing()
        case List(prefix, after, limit):
            keys = sorted(key for key in store if key.startswith(prefix) and key > after)
            return [Listed(key, "v", len(store[key])) for key in keys[:limit]]
    raise AssertionError(op)


def a_letter_holds_its_message(story: Story) -> verdicts.Verdict:
    """The first letter of a message that can be read has its task and payload. Of what cannot be read it has the bytes as
    they are; and one letter stands for a whole batch only from the first message on that nobody can read."""

    def faults() -> Iterator[str]:
        for states in story.letter_states.values():
            n, letter = states[0]
            if letter.life > 1 or letter.payload_at or (not letter.raw and not letter.task and not letter.payload):
                continue  # a brief one says only that it has ended
            ref = parse_message_id(letter.message)
            if parse_source(ref.path).is_borrowed or (body := story.bodies.get(ref.path)) is None:
                continue
            if (why := _as_sent(letter, ref.path, ref.index, body)) is not None:
                yield f"event {n}: the letter of message {ref.index} of {ref.path} {why}"

    return first(faults())


def _as_sent(letter: DeadLetter, path: str, index: int, body: bytes) -> str | None:
    """What is wrong with it. None: nothing."""
    try:
        messages = decode_batch(path, body).messages
    except CorruptRecord:
        messages = []
    if index >= len(messages):
        is_right = letter.raw and letter.payload == body and index == len(messages)
        return None if is_right else "does not hold what cannot be read from there on"
    try:
        message = decode_moved(path, messages[index])
    except CorruptRecord:
        return None if letter.raw and letter.payload == bytes(messages[index]) else "does not hold what cannot be read"
    if letter.raw or letter.task != message.task or letter.payload != bytes(message.payload):
        return f"says {letter.task!r} {msgspec.json.encode(letter.payload)!r}, and it was {message.task!r}"
    return None
