"""Handles requests about dead letters: effect and answer are one commit.

A redriven message is admitted as a source of one message, which is read from its letter. So nothing is copied, and it
keeps its id, queue, priority and group. It runs once for each death: a request names the death that it answers, and the
letter says how that life has ended before it leaves the board.

Letters are read beside the cycles. What was read is valid as long as no board has named the message since the read began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from s3queue.core import ranges
from s3queue.core.keys import REQUESTS, life_path, parse_source
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.requests import MOST_ANSWERS
from s3queue.core.records import PURGE_LETTERS, REDRIVE, Chosen, Ending, LetterRequest, Ready, SourceState, Totals

#: Most further lives of one queue on the board: those that wait stay on it, and each cycle looks at all of them.
MOST_LIVES = 500
#: How many letters one request may be about.
MOST_LETTERS = 250

_SAYS = {REDRIVE: "redriven", PURGE_LETTERS: "purged"}


@dataclass
class Looked:
    """A request about dead letters, and what was read of them.

    Attributes:
        fits: by number, of those that were dead with that life, the version of the letter.
        named: messages whose further lives a board has named since the look began, or did then.
        turns: plans that have had it.
    """

    request: LetterRequest
    fits: dict[int, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    turns: int = 0


def handle(planning: Planning, looked: Mapping[str, Looked]) -> None:
    """
    Args:
        looked: by path, requests that were not handled before. A key that is not the path of a request stands for a wish of
            the coordinator itself, which gets no answer.
    """
    _answer_edited(planning)
    if not looked:
        return
    named = lives_on(planning.sources)
    for path in sorted(looked):
        if path in planning.answers or path in planning.edits or len(planning.answers) >= MOST_ANSWERS:
            continue
        one = looked[path]
        says = _SAYS.get(one.request.kind)
        if says is None:
            planning.answer(path, "unknown")
            continue
        letters = one.request.letters
        taken = _free(one, named)
        if planning.is_emptied(one.request.queue) or not _has_room(planning, one.request.queue, len(taken)):
            continue
        for number in taken:
            _admit(planning, path, one.request, letters[number], one.fits[number])
        named.update(letters[number].message for number in taken)
        _count(planning, one.request, len(taken))
        if not path.startswith(REQUESTS):
            continue
        answer = told(says, taken, len(letters))
        if any(letters[number].payload is not None for number in taken):
            planning.edits[path] = answer
            planning.planned.changed = True
        else:
            planning.answer(path, answer)


def _free(one: Looked, named: set[str]) -> list[int]:
    """The numbers of the letters that are still undecided."""
    taken: dict[str, int] = {}
    for number in sorted(one.fits):
        message = one.request.letters[number].message
        if message not in named and message not in one.named:
            taken.setdefault(message, number)
    return list(taken.values())


def lives_on(sources: Mapping[str, object]) -> set[str]:
    """Messages that have a further life among these sources."""
    return {parse_source(path).message for path in sources if path.startswith("dead/")}


def _answer_edited(planning: Planning) -> None:
    """Requests whose letters have all got their new payloads."""
    if not planning.edits:
        return
    waits = {
        ending.by
        for path in planning.sources
        if path.startswith("dead/")
        for ending in planning.state(path).endings.values()
        if ending.kind == "edited"
    }
    for request in sorted(planning.edits.keys() - waits):
        planning.answer(request, planning.edits.pop(request))


def _has_room(planning: Planning, queue: str, many: int) -> bool:
    lives = planning.lives.get(queue, 0)
    if lives and lives + many > MOST_LIVES:
        return False
    if planning.bytes > planning.settings.max_board_bytes // 2:
        planning.full.add("board")
        return False
    return True


def _admit(planning: Planning, path: str, request: LetterRequest, chosen: Chosen, version: str) -> None:
    life = life_path(chosen.message, chosen.life + 1)
    if request.kind == PURGE_LETTERS:
        state = SourceState(dying=(0,), endings={0: Ending("purged")}, letter=version)
    elif chosen.payload is not None:
        state = SourceState(dying=(0,), endings={0: Ending("edited", path)})
    else:
        state = SourceState(ready=(Ready(0, 1, 1),), letter=version)
    planning.sources[life] = state
    if request.kind == REDRIVE:
        planning.planned.redriven.append(life)
    planning.lives[request.queue] = planning.lives.get(request.queue, 0) + 1
    planning.bytes += len(life) + len(version) + 60
    planning.planned.changed = True


def _count(planning: Planning, request: LetterRequest, many: int) -> None:
    totals = planning.totals.get(request.queue, Totals())
    if request.kind == REDRIVE:
        totals = replace(totals, redriven=totals.redriven + many)
    else:
        totals = replace(totals, letters_purged=totals.letters_purged + many)
    planning.totals[request.queue] = totals


def told(says: str, taken: list[int], of: int) -> str:
    """The answer, if these letters were taken out of so many."""
    if not taken:
        return "no"
    if len(taken) == of:
        return says
    return f"{says} " + ",".join(
        str(start) if stop == start + 1 else f"{start}-{stop - 1}" for start, stop in ranges.pairs(ranges.of(taken))
    )


def taken_by(answer: str, of: int) -> set[int]:
    """The numbers of the letters that an answer says were redriven or purged."""
    says, _, numbers = answer.partition(" ")
    if says not in _SAYS.values():
        return set()
    if not numbers:
        return set(range(of))
    found: set[int] = set()
    for part in numbers.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
