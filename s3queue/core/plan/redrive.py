"""Handles requests about dead letters: effect and answer are one commit.

A redriven message is admitted as a source of one message, which is read from its letter. So nothing is copied, and it
keeps its id, queue, priority and group. It runs once for each death: a request names the death that it answers, and the
letter says how that life has ended before it leaves the board.

Letters are read beside the cycles. What was read is valid as long as no board has named the message since the read began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from s3queue.core import ranges
from s3queue.core.keys import LETTER, REQUESTS, life_path, life_prefix, parse_source
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.requests import MOST_ANSWERS
from s3queue.core.records import PURGE_LETTERS, REDRIVE, Chosen, Ending, LetterRequest, Ready, SourceState, Totals

#: Most further lives of one queue on the board: those that wait stay on it, and each cycle looks at all of them.
MOST_LIVES = 500
#: While the letters of more lives than this are to be written, no more begin. A store that takes letters slower than
#: messages end would otherwise have the board at its bound all the time, and every cycle longer for nothing.
MOST_ENDING = 50
#: How many letters one request may be about, and how many further lives one cycle begins.
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
    room, named = _Room(planning), None
    for path in sorted(looked):
        if path in planning.answers or path in planning.edits or len(planning.answers) >= MOST_ANSWERS:
            continue
        one = looked[path]
        says = _SAYS.get(one.request.kind)
        if says is None:
            planning.answer(path, "unknown")
            continue
        letters, queue = one.request.letters, one.request.queue
        if planning.is_emptied(queue) or not room.takes(queue, len(one.fits)):
            continue
        if named is None:
            named = lives_on(planning.board.sources)
        taken = _free(one, named)
        for number in taken:
            _admit(planning, path, one.request, letters[number], one.fits[number])
        named.update(letters[number].message for number in taken)
        room.take(queue, len(taken))
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


def lives_on(sources: Iterable[str]) -> set[str]:
    """Messages that have a further life among these sources."""
    return {parse_source(path).message for path in sources if path.startswith(LETTER)}


def _answer_edited(planning: Planning) -> None:
    """Requests whose letters have all got their new payloads."""
    if not planning.edits:
        return
    waits = {
        ending.by
        for path in planning.sources
        if path.startswith(LETTER)
        for ending in planning.state(path).endings.values()
        if ending.kind == "edited"
    }
    for request in sorted(planning.edits.keys() - waits):
        planning.answer(request, planning.edits.pop(request))


class _Room:
    """How many further lives may begin in a plan. Each cycle looks at all that are on the board."""

    def __init__(self, planning: Planning) -> None:
        self._planning = planning
        self._dying = [path for path, state in planning.board.sources.items() if state.dying]
        self._lives: dict[str, int] = {}
        self._begun = 0

    def takes(self, queue: str, many: int) -> bool:
        """Whether so many more fit. Those of one request always do where the queue has none."""
        if self._begun and self._begun + many > MOST_LETTERS:
            return False  # the next cycle takes them
        if queue not in self._lives:
            prefix = life_prefix(queue)
            is_behind = len(self._dying) > MOST_ENDING and _many(self._dying, prefix) > MOST_ENDING
            self._lives[queue] = MOST_LIVES if is_behind else _many(self._planning.board.sources, prefix)
        lives, planning = self._lives[queue], self._planning
        if lives and lives + many > MOST_LIVES:
            return False
        if planning.bytes > planning.settings.max_board_bytes // 2:
            planning.full.add("board")
            return False
        return True

    def take(self, queue: str, many: int) -> None:
        self._lives[queue] += many
        self._begun += many


def _many(paths: Iterable[str], prefix: str) -> int:
    return sum([path.startswith(prefix) for path in paths])


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
