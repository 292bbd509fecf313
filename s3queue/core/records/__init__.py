"""The records in the objects. Each is frozen and states its format.

Batches are MessagePack. Each payload stays as the producer encoded it until its task runs. Objects that people may want to
read in a bucket browser (board, control, ledgers, dead letters, retired pages, settings) are JSON.

Records outlive every release. So a format may change only like this:

1. A field may be added at the end, with a default that means the same as its absence did. Readers skip fields that they do
   not know, and keep them when they replace a record of another process (`encode_over`). ``format`` stays.
2. A field is never renamed, retyped or given another meaning, and in an array-like record never moved or removed.
3. Anything else is a new ``format``. Readers support every format ever released; a writer uses the newest that all
   readers of the namespace know.
4. A new kind of path is not a new format. Releases that do not know it leave such entries of a board as they are (`divide`,
   `join`). A release that adds one gives its messages only to hosts whose ledgers say that they know it. The same holds for
   a new kind of schedule or ending.
5. A record of an unknown format, or one that does not decode, is a `CorruptRecord`: it is left as it is and reported.
   Everything else goes on.
"""

from s3queue.core.records.board import (
    Board,
    Ending,
    Leader,
    Mark,
    Part,
    Place,
    Purge,
    Ready,
    SourceState,
    Ticket,
    Totals,
    Unfit,
    Waiting,
)
from s3queue.core.records.check import check_board
from s3queue.core.records.codec import (
    decode,
    decode_batch,
    decode_message,
    decode_moved,
    decode_result,
    encode,
    encode_batch,
    encode_message,
    encode_result,
)
from s3queue.core.records.control import Control
from s3queue.core.records.failures import CAUSES, FATAL_CAUSES, Failed, Failure
from s3queue.core.records.foreign import NOTHING_FOREIGN, Foreign, divide, ends_unknown, is_known, join, known_of
from s3queue.core.records.format import FORMAT
from s3queue.core.records.gates import Gate
from s3queue.core.records.ledger import About, Dozing, Ledger, Offer, Report, Usage
from s3queue.core.records.letters import DeadLetter, Life
from s3queue.core.records.limits import NO_LIMIT, NO_LIMITS, Allowed, Breaker, Bucket, Fuse, Limit, Limits
from s3queue.core.records.memos import Memo
from s3queue.core.records.messages import Batch, Message, Moved, Origin
from s3queue.core.records.newer import Newer, encode_over, encode_with, newer
from s3queue.core.records.pages import RetiredPage
from s3queue.core.records.queues import QueueMeta
from s3queue.core.records.requests import (
    CANCEL,
    CODES,
    MOST_MESSAGES,
    PURGE,
    PURGE_LETTERS,
    REDRIVE,
    REPLACE,
    RUN_NOW,
    TICK,
    UNREADABLE,
    Answer,
    Chosen,
    LetterRequest,
    Request,
)
from s3queue.core.records.results import Result
from s3queue.core.records.schedules import CATCH_UP, Schedule, Ticked
from s3queue.core.records.summary import HostTally, Progress, Summary, Tally

__all__ = [
    "CANCEL",
    "CATCH_UP",
    "CAUSES",
    "CODES",
    "FATAL_CAUSES",
    "FORMAT",
    "MOST_MESSAGES",
    "NOTHING_FOREIGN",
    "NO_LIMIT",
    "NO_LIMITS",
    "PURGE",
    "PURGE_LETTERS",
    "REDRIVE",
    "REPLACE",
    "RUN_NOW",
    "TICK",
    "UNREADABLE",
    "About",
    "Allowed",
    "Answer",
    "Batch",
    "Board",
    "Breaker",
    "Bucket",
    "Chosen",
    "Control",
    "DeadLetter",
    "Dozing",
    "Ending",
    "Failed",
    "Failure",
    "Foreign",
    "Fuse",
    "Gate",
    "HostTally",
    "Leader",
    "Ledger",
    "LetterRequest",
    "Life",
    "Limit",
    "Limits",
    "Mark",
    "Memo",
    "Message",
    "Moved",
    "Newer",
    "Offer",
    "Origin",
    "Part",
    "Place",
    "Progress",
    "Purge",
    "QueueMeta",
    "Ready",
    "Report",
    "Request",
    "Result",
    "RetiredPage",
    "Schedule",
    "SourceState",
    "Summary",
    "Tally",
    "Ticked",
    "Ticket",
    "Totals",
    "Unfit",
    "Usage",
    "Waiting",
    "check_board",
    "decode",
    "decode_batch",
    "decode_message",
    "decode_moved",
    "decode_result",
    "divide",
    "encode",
    "encode_batch",
    "encode_message",
    "encode_over",
    "encode_result",
    "encode_with",
    "ends_unknown",
    "is_known",
    "join",
    "known_of",
    "newer",
]
