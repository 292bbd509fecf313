"""Builds and parses every key. No key is written anywhere else.

::

    {root}/meta/{queue}
    {root}/{part}/board
    {root}/{part}/control
    {root}/{part}/do/{ms}-{random}[.dead]
    {root}/{part}/hosts/{session}
    {root}/{part}/in/{folder}/[k/{key}/]{priority}/{order}-{batch}-{count}[x{expires_ms}][_{gate}][-{group}]
    {root}/{part}/later/{due_ms}-{folder}/[k/{key}/]{priority}/{order}-{batch}-{count}[x{expires_ms}][_{gate}][.{attempt}[a]][-{group}]
    {root}/retired/{part}/{epoch}-{page}
    {root}/summary/{part}
    {root}/dead/{queue}/{message}
    {root}/answers/{part}/{ms}-{random}
    {root}/aside/{part}/{ms}-{random}
    {root}/lost/{part}/{session}
    {root}/results/{message}[.{life}]
    {root}/unique/{queue}/{gate}
    {root}/schedules/{name}.{revision}
    {root}/payloads/{queue}/{message}.{life}

``board`` < ``control`` < ``do/`` < ``hosts/`` < ``in/`` < ``later/`` in byte order, so one listing of ``{root}/{part}/``
is a survey. ``order`` is 13-digit milliseconds, or its complement where the newest goes first, so a listing is in dispatch
order. ``count``
and ``group`` are in the key, so that dispatch never reads a payload. So are, of messages that were moved off the board
while they waited, the attempt that comes next, and whether each of them runs alone (``a``).

``folder`` is the queue's name with ``=`` for ``-`` and ``@`` for ``.``: a name must not continue another with a character
below ``/``. SeaweedFS sorts folders by their bare names, so their order would not be that of the keys; MinIO gives an empty
page for a listing that starts between two such folders.

The batches of one ``key`` have a folder of their own, a **lane**, so that a survey can pass from one key to the next
however many batches are in front. ``expires_ms`` is the wall clock by which a message that has not begun ends.

No segment is longer than `MAX_SEGMENT`: a long group, and a message's id in the keys of its dead letter and its result, are
cut and end with a hash of the whole. Two names are equal exactly where these are.

``gate`` is that of a message that is enqueued only once: one letter for its kind, and a hash of what must not be there
twice.

A **source** is named by its key below ``{root}/{part}/`` (its *path*). A **message** is named by partition, path and
index, joined by ``~``, which occurs in none of them.

Two kinds of source have one message and no object in the partition. No survey lists them, and they are neither deleted nor
retired nor in the window: a board admits one by what it decides, once, and drops it with the commit that settles its
message. Their messages are read from objects that are there for something else (`Layout.source`)::

    dead/{queue}/{life}/{message}                            a further life of a dead message: its letter
    tick/{queue}/{priority}/{tick_ms}-{name}.{revision}      one time of a schedule: {root}/schedules/{name}.{revision};
                                                             with -{random} behind it, one that was asked for beside these
"""

from __future__ import annotations

from s3queue.core.keys.layout import END, Layout, patterns
from s3queue.core.keys.names import (
    MAX_GROUP,
    MAX_SEGMENT,
    check_group,
    check_name,
    escape,
    key_name,
    key_of,
    lane_of,
    shorten,
    unescape,
)
from s3queue.core.keys.paths import (
    BORROWED,
    BRIEF,
    DEBOUNCE,
    DEDUP,
    INBOX,
    KEYED,
    LATER,
    LETTER,
    MAX_BATCH,
    MAX_ORDER,
    PRIORITIES,
    TICKS,
    UNIQUE,
    WAITING,
    MessageRef,
    Source,
    Spot,
    batch_id,
    expires_of,
    forget_parsed,
    gate_of,
    is_source,
    life_path,
    life_prefix,
    moved_batch,
    moved_path,
    parse_message_id,
    parse_source,
    retired_id,
    schedule_in,
    source_path,
    spot_of,
    tick_path,
)
from s3queue.core.keys.requests import REQUESTS, is_about_letters, is_request, request_path
from s3queue.core.keys.tickets import fencing_token, ticket_id

__all__ = [
    "BORROWED",
    "BRIEF",
    "DEBOUNCE",
    "DEDUP",
    "END",
    "INBOX",
    "KEYED",
    "LATER",
    "LETTER",
    "MAX_BATCH",
    "MAX_GROUP",
    "MAX_ORDER",
    "MAX_SEGMENT",
    "PRIORITIES",
    "REQUESTS",
    "TICKS",
    "UNIQUE",
    "WAITING",
    "Layout",
    "MessageRef",
    "Source",
    "Spot",
    "batch_id",
    "check_group",
    "check_name",
    "escape",
    "expires_of",
    "fencing_token",
    "forget_parsed",
    "gate_of",
    "is_about_letters",
    "is_request",
    "is_source",
    "key_name",
    "key_of",
    "lane_of",
    "life_path",
    "life_prefix",
    "moved_batch",
    "moved_path",
    "parse_message_id",
    "parse_source",
    "patterns",
    "request_path",
    "retired_id",
    "schedule_in",
    "shorten",
    "source_path",
    "spot_of",
    "tick_path",
    "ticket_id",
    "unescape",
]
