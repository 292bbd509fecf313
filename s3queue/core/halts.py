"""Tasks that are paused within a queue, and their messages that hosts have given back.

Keys carry no task, and the coordinator reads no payload. So a board names the paused tasks, and a host that has read it
gives their messages back instead of starting them: ``snooze`` with a token, which costs no attempt. The coordinator
enters that token with the message, as it does for a task that a host does not know, and assigns it again once the task is
no longer paused.

A coordinator of an earlier release, which knows no paused tasks, takes such an outcome for a snooze.
"""

from __future__ import annotations

from s3queue.core.records import Failed

#: In a token (see `Failed.token`) instead of a digest: the task was paused. No digest is this.
_HELD = "="
#: Seconds of wait that a message is given back with: for coordinators that do not know why.
_SNOOZE_S = 60.0
#: Since when such a message waits: it never waits too long.
HELD_SINCE_MS = 2**53


def give_back(task: str) -> Failed:
    """The outcome of a message whose task is paused: it was not started."""
    return Failed("snooze", _SNOOZE_S, None, f"{task}@{_HELD}")


def is_given_back(outcome: Failed) -> bool:
    """Whether a host has not started this message, since its task is paused."""
    return outcome.kind == "snooze" and is_held(outcome.token)


def is_held(token: str) -> bool:
    """Whether a message with this token waits for the end of a pause."""
    return _HELD in token.rpartition("@")[2].split(",")


def task_of(token: str) -> str:
    return token.rpartition("@")[0]


def let_go(token: str) -> str:
    """The token of a message whose task is no longer paused: what hosts know of it otherwise; "": nothing is to be
    known."""
    task, _, digests = token.rpartition("@")
    others = [digest for digest in digests.split(",") if digest != _HELD]
    return f"{task}@{','.join(others)}" if others else ""
