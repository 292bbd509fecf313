"""The invariant of dead letters: which messages begin again, and what their letters say."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.keys import parse_source
from s3queue.core.plan.redrive import taken_by
from s3queue.core.records import REDRIVE, Chosen, DeadLetter, decode_batch, decode_message
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate.chronicle import BoardAt
from s3queue.testing.simulate.posts import DYING, SETTLED, Message, Move
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict, first
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS


def begun(story: Story) -> list[Message]:
    """Further lives that messages have led: without those that only a purge of the letter named."""
    return [
        move.message
        for move in story.moves
        if move.old is None and move.message[0].startswith("dead/") and move.new != DYING
    ]


def i16_a_life_answers_one_death(story: Story) -> Verdict:
    """A life is begun, or a letter purged, only by a request that names the death before it, and with the commit of its
    answer. It runs the payload that this request gave, or the one that died. Its letter says how it has ended before the
    board forgets it. And at the end so many letters are dead as the board says."""

    def faults() -> Iterator[str]:
        for move in story.moves:
            path = move.message[0]
            if not path.startswith("dead/"):
                continue
            if move.old is None:
                yield from _unasked(story, move)
            if move.new == SETTLED:
                yield from _untold(story, move)
        yield from _forgotten(story)
        for life in begun(story):
            wanted = _payload(story, life)
            for run in story.by_message.get(life, ()):
                if wanted is not None and run.started.payload != wanted:
                    yield f"event {run.n}: {life} runs {run.started.payload!r}, and was to run {wanted!r}"
        yield from _miscounted(story)

    return first(faults())


def _unasked(story: Story, move: Move) -> Iterator[str]:
    life = parse_source(move.message[0])
    what = f"event {move.n}: life {life.life} of {life.message}"
    letter = story.letter_before(life.message, move.n)
    if letter is None or letter.tombstone or letter.life != life.life - 1:
        yield f"{what} begins, and its letter says {letter and (letter.life, letter.ending or 'dead')}"
    if _request_of(story, move) is None and not (letter is not None and _is_old(story, move, letter)):
        yield f"{what} begins, and nobody was told that it does"


def _is_old(story: Story, move: Move, letter: DeadLetter) -> bool:
    """Whether this letter is purged since it was kept for long enough."""
    at_ms = EPOCH_MS + next(state.at for state in story.boards if state.n == move.n) * 1000
    return move.new == DYING and letter.died_ms + story.settings.letter_retention * 1000 <= at_ms + SKEW_MS


def _forgotten(story: Story) -> Iterator[str]:
    for n, at, key in story.forgotten:
        letter = next((one for m, one in reversed(story.letter_states.get(key, [])) if m < n), None)
        if letter is None:
            continue
        ended_ms = max(letter.ended_ms, letter.died_ms)
        is_over = ended_ms + story.settings.dead_retention * 1000 <= EPOCH_MS + at * 1000 + SKEW_MS
        if not letter.tombstone or not is_over:
            yield f"event {n}: {key} is deleted, and was {letter.ending or 'dead'} since {ended_ms} ms"


def _request_of(story: Story, move: Move) -> tuple[str, Chosen] | None:
    """The request by which this life begins, or its letter is purged."""
    life = parse_source(move.message[0])
    board = story.board_at(move.n)
    for name, (n, request) in story.letter_requests.items():
        answer = board.answers.get(name, board.edits.get(name))
        if n > move.n or answer is None or (request.kind == REDRIVE) is (move.new == DYING):
            continue
        taken = taken_by(answer, len(request.letters))
        for number, chosen in enumerate(request.letters):
            if number in taken and (chosen.message, chosen.life) == (life.message, life.life - 1):
                return name, chosen
    return None


def _untold(story: Story, move: Move) -> Iterator[str]:
    life = parse_source(move.message[0])
    ends = story.committed.get(move.message, [(0, "nothing")])[0][1]
    letter = story.letter_before(life.message, move.n)
    what = f"event {move.n}: life {life.life} of {life.message} was {ends} and is forgotten, and its letter says "
    if letter is None:
        yield f"{what}nothing"
    elif ends == "dead":
        if letter.tombstone or letter.life != life.life:
            yield f"{what}{letter.ending or 'dead'} of life {letter.life}"
    elif (
        not letter.tombstone
        or letter.ending != ends
        or letter.life != life.life - (ends == "purged" and not _is_led(story, move.message))
    ):
        yield f"{what}{letter.ending or 'dead'} of life {letter.life}"


def _is_led(story: Story, life: Message) -> bool:
    """Whether this life is one. Else a letter was purged, which takes its number."""
    return next(move for move in story.moves if move.message == life and move.old is None).new != DYING


def _payload(story: Story, life: Message) -> bytes | None:
    """What this life is to run. None: that cannot be told."""
    born = story.born(life)
    for one in (other for other in reversed([born, *story.lives[born]]) if _number(other) <= _number(life)):
        if one == born:
            break
        move = next(move for move in story.moves if move.message == one and move.old is None)
        request = _request_of(story, move)
        if request is not None and request[1].payload is not None:
            return request[1].payload
    try:
        return bytes(decode_message(born[0], decode_batch(born[0], story.bodies[born[0]]).messages[born[1]]).payload)
    except (CorruptRecord, LookupError):
        return None


def _number(message: Message) -> int:
    return parse_source(message[0]).life


def _miscounted(story: Story) -> Iterator[str]:
    """Where one letter stands for many messages, and where the store refuses letters, they cannot be counted."""
    drained = story.drained
    if drained is None or drained.why or drained.stuck or not story.boards:
        return
    last: BoardAt = story.boards[-1]
    letters = [states[-1][1] for states in story.letter_states.values()]
    if any(letter.raw for states in story.letter_states.values() for _, letter in states):
        return
    dead = sum(not letter.tombstone for letter in letters)
    totals = last.board.totals.values()
    told = sum(one.dead - one.redriven - one.letters_purged for one in totals)
    if dead != told:
        yield f"{dead} letters are dead, and the board counts {told}"
