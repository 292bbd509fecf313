"""What operators ask of the coordinator, about one message or about dead letters, and what came of it."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.format import FORMAT, Count, Patience

#: Kinds of requests.
CANCEL, RUN_NOW = "cancel", "run_now"
#: Kinds of requests about dead letters.
REDRIVE, PURGE_LETTERS = "redrive", "purge_letters"


class Request(Struct, frozen=True, omit_defaults=True):
    """Created once, handled once by the coordinator, and deleted; as a source is.

    Attributes:
        kind: ``cancel`` or ``run_now``.
        message: its id.
        at: where it is now, written as an id, if it was moved off the board while it waited.
        reason: for people.
        force_after: seconds after which what runs ends with its process; None: never.
    """

    nonce: str
    kind: str
    message: str
    at: str = ""
    reason: str = ""
    force_after: Patience | None = None
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
        letters: 500 at most.
    """

    nonce: str
    kind: str
    queue: str
    letters: tuple[Chosen, ...]
    format: int = field(default_factory=lambda: FORMAT)


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a request itself did.

    Attributes:
        answer: ``cancelled``; ``ready``: it may run now; ``running``: a host has it; ``done``, ``dead``: it ended so;
            ``over``: it had ended before, or was moved off the board; ``absent``: it was not there, and a single one that
            was to be cancelled never will be; ``grouped``: others of its group cannot be overtaken; ``unknown``: no id, or
            a kind of request that this release does not know. About letters: ``redriven`` or ``purged``: all; ``no``: none;
            otherwise with the numbers of those that were, from 0: ``redriven 0-3,7``. The others have no letter of that
            death any more, or live again.
    """

    request: str
    answer: str
    format: int = field(default_factory=lambda: FORMAT)
