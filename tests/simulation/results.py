"""Mutants of results. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

import dataclasses
from typing import Any

from s3queue.core import results
from s3queue.core.chores import results as sweeping
from s3queue.core.keys import Layout, parse_message_id
from s3queue.core.ops import get
from s3queue.core.records import decode_result
from s3queue.store import Found
from s3queue.testing.simulate import Times, Weather, readers
from s3queue.testing.simulate.workers import Worker
from tests.simulation.mutants import mutant

_SHORT = dataclasses.replace(Times(), results=(1.0,))
_LONG = dataclasses.replace(Times(), results=(60.0,))
#: Hosts that are fenced with a result stored and not reported.
_FENCED: dict[str, Any] = {
    "readers": 3,
    "times": _LONG,
    "hosts": 2,
    "batches": 5,
    "shapes": ("plain",),
    "weather": Weather(fault=0.05, chaos=0.08, kinds=("pause host", "kill host", "kill agent"), ends=0.4),
}
#: Workers that die with a result stored and not reported, and attempts after that which fail.
_FAILING: dict[str, Any] = _FENCED | {
    "weather": Weather(fault=0.0, chaos=0.12, kinds=("kill worker",), ends=0.8),
    "storm_s": 12.0,
    "most": 5,
}
_SLOWLY: dict[str, Any] = _FENCED | {
    "weather": Weather(fault=0.3, fates=("served", "slow"), chaos=0.08, kinds=("kill worker", "kill host")),
    "storm_s": 12.0,
}
_ZOMBIES: dict[str, Any] = _FENCED | {
    "times": _SHORT,
    "storm_s": 14.0,
    "weather": Weather(fault=0.15, fates=("served", "slow", "late"), chaos=0.08, kinds=("pause host", "pause worker")),
}


@mutant(results, "is_older", "I12", within=300, **_FENCED)
def a_result_counts_by_a_board_that_is_older(_: Any, result: Any, board: Any) -> bool:
    """A message that an old board does not list may not have been admitted then."""
    return True


@mutant(results, "_as_the_letter_says", "I12", within=300, **_FAILING)
def a_result_counts_though_there_is_a_letter(_: Any, layout: Layout, letter: Any, board: Any) -> Any:
    """What a fenced host left does not count where the message died, or was cancelled, in a later attempt."""
    found = yield from get(layout.result(letter.message))
    if not isinstance(found, Found):
        return results.Looked(results.Verdict.DEAD, letter=letter)
    return results.Looked(results.Verdict.DONE, decode_result("", found.body))


@mutant(results, "find_moved", "I12", within=600, **_FAILING)
def what_was_moved_off_the_board_is_taken_for_over(_: Any, layout: Layout, message: str) -> Any:
    """A message that no board lists may wait elsewhere for its next attempt."""
    yield from ()
    return None


@mutant(readers, "wait_for", "I12", within=600, **_SLOWLY)
def a_result_is_read_before_the_board(_: Any, layout: Layout, message: str) -> Any:
    """What was read before the board may have been replaced by the result that counts."""
    found = yield from get(layout.result(message))
    board = yield results.Look("now")
    if not isinstance(found, Found) or board is None or results.is_listed(board, parse_message_id(message)):
        yield results.Pause()
        board = yield results.Look("now")
    if not isinstance(found, Found) or board is None or results.is_listed(board, parse_message_id(message)):
        return results.Looked(results.Verdict.OPEN)
    return results.Looked(results.Verdict.DONE, decode_result("", found.body))


@mutant(Worker, "_keep", "I23 I12", within=100, **_FENCED)
def an_outcome_is_reported_before_its_result_is_stored(keep: Any, of: Worker, item: Any, origin: Any) -> Any:
    """A result is stored before the outcome is reported."""
    if item.attempt % 2:
        return
    yield from keep(of, item, origin)


@mutant(sweeping.Results, "_due_ms", "I23", within=300, **(_FENCED | {"storm_s": 14.0}))
def a_result_is_swept_before_it_expires(_: Any, of: Any, key: str, found: Any) -> int:
    """A result is deleted an hour after it expired."""
    return 0


@mutant(sweeping.Results, "_is_over", "I23", within=600, **_ZOMBIES)
def an_expired_result_is_swept_though_its_message_goes_on(_: Any, of: Any, key: str, found: Any, board: Any) -> Any:
    """An expired result may be replaced by the next attempt, just when it is deleted."""
    yield from ()
    return True


#: A leader that stands still before a message is admitted, and goes on when the result of an attempt has expired, whose
#: host stands still before it has reported that.
_DEPOSED: dict[str, Any] = _FENCED | {
    "shared": False,
    "candidates": 2,
    "machines": 3,
    "hosts": 3,
    "times": dataclasses.replace(
        Times(),
        settings=Times().settings._replace(result_grace_s=2.2, visibility_timeout=9.0),
        results=(0.2,),
        pauses=(5.0, 8.0),
        ack=4.0,
        between=(1.0, 3.0),
        tasks=(0.05,),
    ),
    "batches": 12,
    "most": 3,
    "weather": Weather(fault=0.0, chaos=0.03, kinds=("pause candidate", "pause host"), ends=0.0),
    "storm_s": 30.0,
}


@mutant(sweeping, "is_older", "I23", within=300, **_DEPOSED)
def a_deposed_coordinator_sweeps_what_it_has_not_heard_of(_: Any, result: Any, board: Any) -> bool:
    """What a board does not list is over only if it was committed after the ticket was assigned."""
    return True


@mutant(results, "is_listed", "glance", within=300, **_FAILING)
def what_is_dying_is_taken_for_over(listed: Any, board: Any, ref: Any) -> bool:
    """A message whose letter is not written yet is not over: what an earlier attempt has left is not its result."""
    state = board.sources.get(ref.path)
    return not (state is not None and ref.index in state.dying) and bool(listed(board, ref))
