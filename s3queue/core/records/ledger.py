"""A host's one object: its claims, their outcomes, and its heartbeat."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core import ranges
from s3queue.core.ranges import EMPTY, Ranges
from s3queue.core.records.board import Place
from s3queue.core.records.failures import Failed
from s3queue.core.records.format import FORMAT, Attempt, Count, Delay, Patience
from s3queue.core.records.limits import Limits
from s3queue.core.records.memos import Memo

#: No message takes less, in seconds.
SHORTEST_S = 1e-9


class Offer(Struct, frozen=True, omit_defaults=True):
    """A host's statement about one queue that it serves.

    Attributes:
        max_attempts: the most that any task of the queue allows.
        mean_s: measured time of one message in a slot, in seconds; 0 until known.
        tasks: by name, a short digest of the signature of each task that it knows there. Empty: not said.
        drops: names of those tasks whose dead messages leave no letter.
        batch: the most messages that any task of the queue takes at once; 0: one.
    """

    max_attempts: Attempt = 3
    mean_s: Delay = 0.0
    tasks: dict[str, str] = {}
    batch: Count = 0
    drops: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if 0.0 < self.mean_s < SHORTEST_S:
            raise ValueError(f"mean_s is {self.mean_s}")


class Report(Struct, frozen=True, gc=False, omit_defaults=True):
    """Outcomes of the messages of one ticket, by offset. A stored outcome never changes.

    Attributes:
        memos: what attempts have noted, of messages that run or did not end with ok.
    """

    ok: Ranges = EMPTY
    released: Ranges = EMPTY
    failed: dict[Count, Failed] = {}
    memos: dict[Count, Memo] = {}

    def __post_init__(self) -> None:
        if not (ranges.is_proper(self.ok) and ranges.is_proper(self.released)):
            raise ValueError("offsets are not in ascending ranges")


class Usage(Struct, frozen=True, array_like=True):
    """Store requests of one role of a host since its supervisor started.

    Attributes:
        put, get, list, delete: requests, retries included.
        sent, received: bytes of objects, without headers and listings.
        retries: of requests that the store did not apply.
        conflicts: puts whose condition did not hold.
        unanswered: puts whose outcome was unknown at first.
    """

    put: Count = 0
    get: Count = 0
    list: Count = 0
    delete: Count = 0
    sent: Count = 0
    received: Count = 0
    retries: Count = 0
    conflicts: Count = 0
    unanswered: Count = 0

    def requests(self) -> dict[str, int]:
        """By kind."""
        return {"put": self.put, "get": self.get, "list": self.list, "delete": self.delete}

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Dozing(Struct, frozen=True, array_like=True):
    """How rarely a host writes and polls that has held nothing for a while.

    Attributes:
        write_s: seconds between two writes of its ledger.
        poll_s: seconds between two polls of the board.
    """

    write_s: Patience
    poll_s: Patience


class About(Struct, frozen=True, omit_defaults=True):
    """What a host tells of itself, for people.

    Attributes:
        release: of this library.
        workers: processes that run tasks.
        deaths: of workers that nobody had asked to end, by cause, since the session began.
        rss_bytes: resident memory of its agent and workers; some seconds old. 0: not known.
        since: of the messages that have run for the longest time, by ticket and offset: wall clock at which their tasks
            began. Empty while none runs for more than some seconds.
    """

    release: str = ""
    workers: Count = 0
    deaths: dict[str, Count] = {}
    rss_bytes: Count = 0
    since: dict[str, dict[Count, Count]] = {}


class Ledger(Struct, frozen=True, omit_defaults=True):
    """A host's one object: its claims, their outcomes, and its heartbeat.

    Attributes:
        fenced: this session is over; nothing changes this object any more.
        left: the session ended by itself; nothing changes this object any more.
        slots: how many messages can run at once; 0 while draining.
        unread: it was fenced without being read, so ``claims`` may be incomplete: every ticket of the session counts as
            claimed.
        visibility_timeout: seconds of silence after which this session may be fenced. A coordinator with another setting
            waits for the longer of both. 0: not stated.
        window_s: seconds for which ids of finished sources must be kept, by this host's settings.
        claims: the tickets that this session may run.
        reports: outcomes that the board has not taken over yet.
        usage: by role, for people; some requests behind.
        knock: where the host listens for knocks, see `s3queue.io.knocks`. Empty: nowhere.
        dozing: it holds nothing and writes rarely, see `s3queue.core.silence`. None: it is awake.
        clock_ms: wall clock of the host before the write, where the board names schedules. 0: not said.
        about: for people; some writes behind.
        limits: by queue, what this host declares; for as long as no operator says otherwise.
    """

    nonce: str
    session: str
    fenced: bool = False
    left: bool = False
    slots: Count = 0
    offers: dict[str, Offer] = {}
    place: Place = Place()
    claims: tuple[str, ...] = ()
    reports: dict[str, Report] = {}
    unread: bool = False
    format: int = field(default_factory=lambda: FORMAT)
    usage: dict[str, Usage] = {}
    visibility_timeout: Patience = 0.0
    window_s: Patience = 0.0
    dozing: Dozing | None = None
    knock: str = ""
    clock_ms: Count = 0
    limits: dict[str, Limits] = {}
    about: About = About()

    @property
    def over(self) -> bool:
        return self.fenced or self.left
