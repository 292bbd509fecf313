"""The failures of a message that the board keeps, and their effect on its next attempt."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from s3queue.core.records import FATAL_CAUSES, Failed, Failure

#: Failures in a message's history on the board, and characters of text in the newest and in older ones: a thousand
#: waiting messages stay well below a megabyte. The end of the text is kept: the last line of a traceback names the error.
KEPT_FAILURES = 5
NEWEST_TEXT = 400
_OLDER_TEXT = 120
#: Characters of the last failure, which goes to the dead letter.
LAST_TEXT = 4000
#: Interruptions of a message that cost no attempt. Neighbours interrupt it at most twice, since it then runs alone.
#: Further interruptions come from the end of its agent or host, and a message that causes those must become a dead
#: letter.
MAX_SPARED = 10


_to_json = msgspec.json.Encoder().encode


def weigh(failures: tuple[Failure, ...]) -> int:
    """Bytes that the history of one message takes on the board."""
    return len(_to_json(failures)) + 8


def clipped(text: str, most: int) -> str:
    """The end of a text; one that was cut says so, and takes fewer bytes than before. It begins with a line where that
    leaves at least half of it."""
    if len(text) <= most:
        return text
    end = text[3 - most :]
    return "…" + end[max(0, end.find("\n", 0, len(end) // 2)) :]


def shortened(failures: tuple[Failure, ...]) -> tuple[Failure, ...]:
    """The newest failures of a history; all but the last with a short text."""
    older = failures[-KEPT_FAILURES:-1]
    return (*(replace(one, text=clipped(one.text, _OLDER_TEXT)) for one in older), *failures[-1:])


def is_last(outcome: Failed, attempt: int, spared: int, max_attempts: int) -> bool:
    """Whether a message with this outcome is dead. Spared attempts do not count."""
    if outcome.kind == "interrupted" and spared < MAX_SPARED:
        return False
    return outcome.kind == "dead" or (outcome.kind != "snooze" and attempt - spared >= max_attempts)


def is_suspect(failures: Mapping[int, tuple[Failure, ...]], spared: Mapping[int, int], index: int) -> bool:
    """Whether a message must run in a process of its own: an earlier attempt ended with its process or host, or it was
    interrupted twice."""
    return spared.get(index, 0) > 1 or any(failure.cause in FATAL_CAUSES for failure in failures.get(index, ()))


def squeezed(failures: tuple[Failure, ...], most: int) -> tuple[Failure, ...]:
    """Of a history, in ``most`` bytes: its newest failure, and, without text, the last one that makes it a suspect."""
    *older, newest = failures
    fatal = [replace(one, text="") for one in older if one.cause in FATAL_CAUSES][-1:]
    bare = tuple(fatal) if newest.cause not in FATAL_CAUSES else ()
    room = max(0, most - weigh((*bare, replace(newest, text="")))) // 2  # a line's end, and more, takes two bytes
    return (*bare, replace(newest, text=newest.text[-room:] if room else ""))
