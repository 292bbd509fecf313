"""Requests of operators to the coordinator, about messages, dead letters or a queue, and their answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from s3queue.core.records.format import FORMAT, Count, Patience

#: Kinds of requests.
CANCEL, RUN_NOW, PURGE = "cancel", "run_now", "purge"
#: Cancels a message that has not begun; one that has begun goes on.
REPLACE = "replace"
#: Kinds of requests about dead letters.
REDRIVE, PURGE_LETTERS = "redrive", "purge_letters"
#: About a schedule: it ticks once more, now.
TICK = "tick"

#: Answer to a request that nobody could read.
UNREADABLE = "unreadable"

#: Most messages in one request: answers are on the board for a while.
MOST_MESSAGES = 500
#: Letters for the answers about each of several messages. ``later``: ask again. ``running``, of a cancel: a host has it,
#: and is told.
CODES = {
    "cancelled": "c",
    "ready": "r",
    "running": "n",
    "done": "d",
    "dead": "x",
    "expired": "e",
    "purged": "p",
    "over": "o",
    "absent": "a",
    "grouped": "g",
    "unknown": "u",
    "later": "l",
}


class Request(Struct, frozen=True, omit_defaults=True):
    """Created once, handled once by the coordinator, and deleted; as a source is.

    Attributes:
        kind: ``cancel``, ``replace``, ``run_now``, ``tick`` or ``purge``.
        message: its id; of ``tick``, the name of the schedule; of ``purge`` empty.
        at: where it is now, written as an id, if it was moved off the board while it waited.
        reason: for people.
        messages: instead of one message, several, each by an id of where it is. The answer has a letter for each, in order.
        queue: the name of the queue that this is about; empty where it is about a message.
        force_after: seconds after which what runs ends with its process; None: never.
    """

    nonce: str
    kind: str
    message: str
    at: str = ""
    reason: str = ""
    force_after: Patience | None = None
    queue: str = ""
    messages: Annotated[tuple[str, ...], Meta(max_length=MOST_MESSAGES)] = ()
    format: int = field(default_factory=lambda: FORMAT)


class Chosen(Struct, frozen=True, array_like=True):
    """One dead letter.

    Attributes:
        message: its id.
        life: how many of its lives have ended: the request is about this death and no other.
        version: of the letter, as the requester has read it; "": the coordinator is to read it.
        payload: of the message from now on (MessagePack); None: as it is.
    """

    message: str
    life: Count
    version: str = ""
    payload: bytes | None = None


class LetterRequest(Struct, frozen=True, omit_defaults=True):
    """About dead letters of one queue, in the order of their keys. Created, handled and deleted as a `Request` is.

    Attributes:
        kind: ``redrive``: begin the next life of each message; or ``purge_letters``.
        letters: 250 at most.
    """

    nonce: str
    kind: str
    queue: str
    letters: tuple[Chosen, ...]
    format: int = field(default_factory=lambda: FORMAT)


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a request itself did.

    Attributes:
        answer: about several messages a letter of `CODES` for each. Otherwise ``cancelled``; ``ready``: it may run now;
            ``running``: a host has it; ``done``, ``dead``: it ended so;
            ``over``: it had ended before, or was moved off the board; ``absent``: it was not there, and a single one that
            was to be cancelled never will be; ``purged`` and a number: so many messages of the queue were ended;
            ``unreadable``: the request was damaged, and did nothing; a copy of it is kept (`Layout.aside`);
            ``grouped``: others of its group cannot be overtaken; ``unknown``: no id, or
            a kind of request that this release does not know. About letters: ``redriven`` or ``purged``: all; ``no``:
            none; otherwise with the numbers of those that were, from 0: ``redriven 0-3,7``. The others have no letter of
            that death any more, or live again.
    """

    request: str
    answer: str
    format: int = field(default_factory=lambda: FORMAT)
