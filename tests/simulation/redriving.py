"""Mutants of what becomes of dead letters. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from s3queue.core.chores import letters, redrives, retention
from s3queue.core.chores.letters import Letters
from s3queue.core.chores.redrives import Redrives
from s3queue.core.plan import redrive
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Ending, LetterRequest, Part, Ready, SourceState
from s3queue.testing.simulate import Times, Weather
from tests.simulation.mutants import mutant

#: Two who redrive and purge, and leaders that are replaced.
_DEAD: dict[str, Any] = {
    "redrivers": 2,
    "deaths": 0.6,
    "storm_s": 20.0,
    "batches": 4,
    "shapes": ("plain",),
    "weather": Weather(fault=0.05, chaos=0.004),
}
_REPLACED: dict[str, Any] = _DEAD | {
    "shared": False,
    "candidates": 2,
    "weather": Weather(fault=0.1, chaos=0.02, kinds=("kill candidate", "pause candidate", "kill operator")),
}


@mutant(redrives, "_is_dead", "I16", within=300, **_DEAD)
def a_redrive_answers_any_death(_: Any, key: str, body: bytes, chosen: Any) -> bool:
    """A request says which death it answers."""
    return True


@mutant(redrive, "_free", "I16 I3 P2 I2 I9", within=300, **_DEAD)
def a_look_at_a_letter_holds_for_ever(_: Any, one: Any, named: set[str]) -> list[int]:
    """What a look has found holds while no board names the message."""
    return sorted(one.fits)


@mutant(Planning, "done", "I16 P5 P1", within=300, **_DEAD)
def a_further_life_is_forgotten_before_its_letter_says_so(
    _: Any, of: Planning, parts: Sequence[Part], ticket: str
) -> None:
    """A further life that is done has a letter that says so, before the board forgets it."""
    for part in parts:
        of.draft(part.source).done(part.start, part.stop)
        of.count(part, "done", part.stop - part.start)


@mutant(letters, "further_letter", "I16", within=300, **_DEAD)
def a_letter_keeps_the_number_of_its_life(further: Any, letter: Any, *more: Any) -> Any:
    """A letter counts its lives."""
    after = further(letter, *more)
    return None if after is None else replace(after, life=letter.life)


@mutant(Letters, "_is_asked", "I16", within=600, **_DEAD)
def what_was_written_of_a_life_stands_for_its_end(_: Any, of: Letters, path: str, ending: Ending) -> bool:
    """A letter that has got another payload does not say how its message ended since."""
    return path in of._dying


@mutant(redrive, "_admit", "I16", within=300, **_DEAD)
def a_message_is_ready_before_its_letter_is_edited(
    admit: Any, of: Planning, path: str, request: LetterRequest, chosen: Any, version: str
) -> None:
    """A message is ready when its letter has the payload that the request gives."""
    admit(of, path, request, chosen, version)
    for life, state in of.sources.items():
        if path in {ending.by for ending in state.endings.values()}:
            of.sources[life] = SourceState(ready=(Ready(0, 1, 1),))


@mutant(redrive, "told", "I16", within=300, **_DEAD)
def an_answer_says_all_where_it_was_some(_: Any, says: str, taken: list[int], of: int) -> str:
    """An answer tells which letters it is about."""
    return says


@mutant(Redrives, "follow", "I20 I16", within=300, **_REPLACED)
def a_request_about_letters_is_handled_again(follow: Any, of: Redrives, board: Any, seen: Any, window: Any) -> None:
    """A request that the board has answered, or whose id is in the window, is over."""
    follow(of, replace(board, answers={}, edits={}), seen, ())


_KEPT: dict[str, Any] = _DEAD | {
    "times": dataclasses.replace(Times(), settings=Times().settings._replace(dead_retention=8.0, letter_retention=4.0))
}


@mutant(retention, "_letter", "I16", within=300, **_KEPT)
def an_old_dead_letter_is_deleted_as_a_tombstone_is(letter_of: Any, key: str, found: object) -> Any:
    """A dead letter may be redriven: it is purged by a commit, and never just deleted."""
    letter = letter_of(key, found)
    return None if letter is None else replace(letter, tombstone=True)


@mutant(Redrives, "forget", "I16 I2 I3 I9 P2", within=300, **_KEPT)
def an_old_letter_is_purged_without_another_look(_: Any, of: Redrives, queue: str, old: list[Any]) -> None:
    """What a walk has read may not be so any more when it is purged."""
    request = LetterRequest("", "purge_letters", queue, tuple(old))
    of.looked[f"old/{queue}"] = redrive.Looked(request, {number: one.version for number, one in enumerate(old)})
