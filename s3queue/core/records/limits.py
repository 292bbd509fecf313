"""How much of a queue, and of each of its keys, may run: as declared by hosts, as set by operators, and as used so far."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from s3queue.core.records.format import Count, Delay, Patience

_Number = TypeVar("_Number", int, float)

#: Messages a second.
Rate: TypeAlias = Annotated[float, Meta(ge=0, le=1e6)]
#: Messages of one key in its turn.
Weight: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]


class Limit(Struct, frozen=True, omit_defaults=True):
    """
    Attributes:
        max_running: how many messages may run at once. rate: how many may be assigned a second, on average.
            None: not said. 0: there is no such limit.
    """

    max_running: Count | None = None
    rate: Rate | None = None


#: Nothing is said.
NO_LIMIT = Limit()


class Breaker(Struct, frozen=True, omit_defaults=True):
    """When a queue is held because its messages fail.

    Attributes:
        failures: so many failed attempts within the window; 0: never. window_s, pause_s: seconds of the window, and until
            one message is tried.
    """

    failures: Count
    window_s: Patience = 60.0
    pause_s: Patience = 30.0


class Limits(Struct, frozen=True, omit_defaults=True):
    """What holds for one queue. None: not said.

    Attributes:
        queue: of all its messages together. each: of the messages of each key. keys: of some keys, instead of ``each``.
        fair: whether its keys take turns. weights: of keys that get more than one message in their turn.
        ageing_s: seconds of wait that count as one priority; 0: none do.
    """

    queue: Limit = NO_LIMIT
    each: Limit = NO_LIMIT
    keys: dict[str, Limit] = {}
    fair: bool | None = None
    weights: dict[str, Weight] = {}
    ageing_s: Delay | None = None
    breaker: Breaker | None = None

    def of(self, key: str) -> Limit:
        """What holds for one key."""
        return over(self.keys.get(key, NO_LIMIT), self.each) if key else NO_LIMIT

    @property
    def limits_running(self) -> bool:
        """Whether some of its messages may only run so many at once."""
        return bool(self.queue.max_running or self.each.max_running or any(it.max_running for it in self.keys.values()))


#: Nothing is said.
NO_LIMITS = Limits()


def over(own: Limit, other: Limit) -> Limit:
    """What the first says, and where it says nothing, the second."""
    return Limit(
        other.max_running if own.max_running is None else own.max_running, other.rate if own.rate is None else own.rate
    )


def overlaid(own: Limits, other: Limits) -> Limits:
    """What the first says, and where it says nothing, the second."""
    keys = {key: over(own.keys.get(key, NO_LIMIT), other.keys.get(key, NO_LIMIT)) for key in own.keys | other.keys}
    return Limits(
        over(own.queue, other.queue),
        over(own.each, other.each),
        keys,
        other.fair if own.fair is None else own.fair,
        {**other.weights, **own.weights},
        other.ageing_s if own.ageing_s is None else own.ageing_s,
        other.breaker if own.breaker is None else own.breaker,
    )


def strictest(one: Limits, other: Limits) -> Limits:
    """What two hosts declare that run different releases of the code: the lower limit holds, and keys take turns if either
    says so."""
    return replace(
        overlaid(one, other),
        queue=_lower(one.queue, other.queue),
        each=_lower(one.each, other.each),
        fair=one.fair or other.fair,
    )


def _lower(one: Limit, other: Limit) -> Limit:
    return Limit(_least(one.max_running, other.max_running), _least(one.rate, other.rate))


def _least(one: _Number | None, other: _Number | None) -> _Number | None:
    return min((it for it in (one, other) if it), default=None)


class Allowed(Struct, frozen=True, gc=False, array_like=True):
    """A ticket of which not all messages may run at once.

    Attributes:
        key: whose limit it counts to, besides that of the queue; "": only to that.
        at_once: how many of its messages may run at once. Those of all tickets of one session, queue and key may be used
            for any of them.
    """

    key: str
    at_once: Count


class Bucket(Struct, frozen=True, gc=False, array_like=True):
    """Messages that may be assigned at once by a rate.

    Attributes:
        tokens: so many. at_ms: by the coordinator's clock, when. They grow from there.
        waited: messages waited for it then.
    """

    tokens: Annotated[float, Meta(ge=0, le=1e9)]
    at_ms: Count
    waited: bool = False


class Fuse(Struct, frozen=True, omit_defaults=True):
    """How the circuit breaker of a queue stands.

    Attributes:
        failed: attempts that failed since ``since_ms``. Times are by the coordinator's clock.
        open_ms: when it opened; 0: it is closed.
        probe: the ticket of the one message that is tried after the pause; "": none is out.
    """

    failed: Count = 0
    since_ms: Count = 0
    open_ms: Count = 0
    probe: str = ""
