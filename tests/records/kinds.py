"""Every record that is stored, how to make one up, and how to read one back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from msgspec import Raw, Struct

from s3queue.core import ranges
from s3queue.core.keys import source_path
from s3queue.core.records import (
    Answer,
    Batch,
    Board,
    Chosen,
    Control,
    DeadLetter,
    Ending,
    Failed,
    Failure,
    HostTally,
    Leader,
    Ledger,
    LetterRequest,
    Life,
    Mark,
    Memo,
    Message,
    Offer,
    Part,
    Place,
    Progress,
    QueueMeta,
    Ready,
    Report,
    Request,
    RetiredPage,
    SourceState,
    Summary,
    Tally,
    Ticket,
    Totals,
    Unfit,
    Usage,
    Waiting,
    decode,
    decode_batch,
    decode_message,
    encode,
    encode_batch,
    encode_message,
)

_text = st.text(st.characters(codec="utf-8"), max_size=12)
_name = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
_count = st.integers(0, 5)
_big = st.integers(0, 2**53)
_attempt = st.integers(1, 5)
_seconds = st.just(0.0) | st.floats(1e-9, 1e9, allow_nan=False)
_patience = st.floats(0, 86_400)
_ranges = st.sets(st.integers(0, 30), max_size=8).map(ranges.of)
_paths = st.builds(
    source_path,
    _name,
    sent_ms=st.integers(0, 9_999_999_999_999),
    batch=st.from_regex(r"[0-9a-f]{1,16}", fullmatch=True),
    count=st.integers(1, 1000),
    priority=st.integers(0, 9),
    group=st.none() | _name,
    due_ms=st.none() | st.integers(0, 9_999_999_999_999),
    newest_first=st.booleans(),
)
_tickets = st.builds("{}-{}".format, _count, _count)
_failures = st.builds(Failure, _count, _text, _text, _big)
_failed = st.builds(
    Failed, st.sampled_from(["retry", "snooze", "dead", "unfit"]), _seconds, st.none() | _failures, _text
)
_memos = st.builds(Memo, _seconds, _seconds, _text, st.binary(max_size=12))
_places = st.builds(Place, _text, _text, _text)
_parts = st.builds(Part, _paths, st.just(0), st.integers(31, 40), _attempt)
_states = st.builds(
    SourceState,
    _count,
    st.lists(st.builds(Ready, _count, _count, _attempt), max_size=3).map(tuple),
    st.lists(st.builds(Waiting, _count, _attempt, _big), max_size=3).map(tuple),
    st.lists(_count, max_size=3).map(tuple),
    st.dictionaries(_count, st.lists(_failures, max_size=2).map(tuple), max_size=2),
    st.dictionaries(_count, _count, max_size=2),
    st.lists(st.builds(Unfit, _count, _count, _text, _big), max_size=2).map(tuple),
    st.dictionaries(_count, st.builds(Ending, _text, _text), max_size=2),
    _text,
)


def _few(keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[Any, Any]]:
    return st.dictionaries(keys, values, max_size=3)


RECORDS: dict[str, st.SearchStrategy[Struct]] = {
    "board": st.builds(
        Board,
        _text,
        _count,
        _count,
        st.none() | st.builds(Leader, _text, _places),
        _big,
        _count,
        _few(_tickets, st.builds(Ticket, _text, st.lists(_parts, min_size=1, max_size=3).map(tuple), _ranges)),
        _few(_paths, _states),
        _few(_name, st.builds(Totals, _big, _big, _big)),
        leader_lease=_patience,
        window_s=_patience,
        control=_big,
        answers=_few(_text, _text),
        marks=_few(_paths, _few(_count, st.builds(Mark, st.lists(_text, max_size=2).map(tuple), _text))),
        moves=_few(_paths, st.lists(st.tuples(_paths, _count), max_size=3).map(tuple)),
        full=st.lists(_name, max_size=2).map(tuple),
        edits=_few(_text, _text),
        memos=_few(_paths, _few(_count, _memos)),
    ),
    "control": st.builds(Control, _text, _big, _few(_name, _big)),
    "request": st.builds(Request, _text, _text, _text, _text, _text),
    "letter-request": st.builds(
        LetterRequest,
        _text,
        _text,
        _name,
        st.lists(st.builds(Chosen, _text, _count, _text, st.none() | st.binary(max_size=9)), max_size=3).map(tuple),
    ),
    "answer": st.builds(Answer, _text, _text),
    "ledger": st.builds(
        Ledger,
        _text,
        _text,
        st.booleans(),
        st.booleans(),
        _count,
        _few(_name, st.builds(Offer, _attempt, _seconds, _few(_text, _text))),
        _places,
        st.lists(_tickets, max_size=3).map(tuple),
        _few(_tickets, st.builds(Report, _ranges, _ranges, _few(_count, _failed), _few(_count, _memos))),
        st.booleans(),
        usage=_few(_name, st.builds(Usage, *[_big] * 9)),
        visibility_timeout=_patience,
    ),
    "retired": st.builds(RetiredPage, st.lists(_text, max_size=4).map(tuple), _big),
    "dead": st.builds(
        DeadLetter,
        _text,
        _text,
        _text,
        _text,
        _count,
        st.lists(_failures, max_size=3).map(tuple),
        st.binary(max_size=20),
        _text,
        st.booleans(),
        _few(_text, _text),
        _big,
        _big,
        st.booleans(),
        life=_count,
        lives=st.lists(st.builds(Life, _count, _count, _big, st.none() | _failures), max_size=2).map(tuple),
        turn=_big,
        ticket=_text,
        edit=_text,
        payload_at=_count,
        payload_bytes=_big,
    ),
    "meta": st.builds(QueueMeta, _text, st.sampled_from(["fifo", "lifo"]), _count),
    "summary": st.builds(
        Summary,
        _text,
        _count,
        _big,
        queues=_few(
            _name,
            st.builds(Tally, _big, _big, at_least=st.booleans(), in_per_s=st.none() | _seconds, died=_few(_text, _big)),
        ),
        hosts=st.lists(
            st.builds(
                HostTally,
                _text,
                _text,
                _count,
                _count,
                progress=st.lists(st.builds(Progress, _text, _seconds, _seconds, _text), max_size=2).map(tuple),
            ),
            max_size=2,
        ).map(tuple),
        unreadable=st.lists(_text, max_size=2).map(tuple),
    ),
}
KINDS: dict[str, type[Struct]] = {
    "board": Board,
    "control": Control,
    "request": Request,
    "letter-request": LetterRequest,
    "answer": Answer,
    "ledger": Ledger,
    "retired": RetiredPage,
    "dead": DeadLetter,
    "meta": QueueMeta,
    "summary": Summary,
}
#: MessagePack of anything that has a JSON-like form.
PAYLOADS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | _text
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
).map(msgspec.msgpack.encode)
MESSAGES = st.builds(
    lambda task, payload, headers: Message(task, Raw(payload), headers), _text, PAYLOADS, _few(_text, _text)
)


class Form(NamedTuple):
    """A stored form: how to write some instance of it, and how to read it."""

    name: str
    written: st.SearchStrategy[bytes]
    read: Callable[[bytes], Any]


def _json(name: str) -> Form:
    return Form(name, RECORDS[name].map(encode), lambda body: decode(KINDS[name], name, body))


FORMS = [
    *map(_json, RECORDS),
    Form(
        "batch",
        st.builds(encode_batch, st.lists(MESSAGES.map(encode_message), max_size=4), _big),
        lambda body: decode_batch("batch", body),
    ),
    Form(
        "message",
        MESSAGES.map(encode_message).map(bytes),
        lambda body: decode_message("message", Raw(body)),
    ),
]

__all__ = ["FORMS", "KINDS", "MESSAGES", "PAYLOADS", "RECORDS", "Batch", "Form"]
