"""Retry policies: which exceptions are retried, how often, and after how long.

A policy belongs to a task. One message may ask for fewer attempts or another time limit: then it carries that in headers
of its own, which a message without such options does not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, Struct, UnsetType

from s3queue.errors import ConfigError
from s3queue.options.acknowledging import ACKS, Ack

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

__all__ = ["Backoff", "Delay", "Policy", "Which", "own_headers", "own_limits"]

#: Seconds to wait after an attempt, counted from 1, that ended with this exception.
Delay: TypeAlias = "Callable[[int, BaseException], float]"
#: Exceptions: a class, a function that decides, or several of these.
Which: TypeAlias = "type[BaseException] | Callable[[BaseException], bool] | Collection[type[BaseException] | Callable[[BaseException], bool]]"  # noqa: E501

OnFailure: TypeAlias = 'Literal["dead", "drop"]'

#: Headers of this library begin with it; a producer may not give such ones.
RESERVED = "s3queue-"
_ATTEMPTS, _LIMIT = RESERVED + "max-attempts", RESERVED + "time-limit"


#: Most seconds for which a result may be kept: thirty days. The dead letter of its message tells whether it counts, so the
#: letter must not be deleted before.
LONGEST_RESULT_S = 30 * 86_400.0


class Backoff(Struct, frozen=True):
    """How long a failed message waits: up to ``base`` seconds after attempt 1, then longer each time, at most ``cap``.

    The wait is drawn from 0 to that bound ("full jitter"), so that messages that failed together do not return together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        base: seconds: the bound after attempt 1.
        cap: seconds: the largest bound.
        jitter: False: wait exactly the bound.
        growth: ``exponential`` doubles the bound with each attempt, ``linear`` adds ``base``, ``fixed`` keeps it.

    Raises:
        ConfigError: a bound is negative, cap is below base, or there is no such growth.
    """

    base: float = 1.0
    cap: float = 3600.0
    jitter: bool = True
    growth: Literal["exponential", "linear", "fixed"] = "exponential"

    def __post_init__(self) -> None:
        if not 0 <= self.base <= self.cap < float("inf"):
            raise ConfigError(f"backoff from {self.base!r} to {self.cap!r} s", "0 <= base <= cap, both in seconds")
        if self.growth not in ("exponential", "linear", "fixed"):
            raise ConfigError(f"growth of a backoff is {self.growth!r}", "exponential, linear or fixed")

    def delay(self, attempt: int, random: float) -> float:
        """Seconds to wait after this attempt, counted from 1. ``random`` is drawn from [0, 1)."""
        match self.growth:
            case "fixed":
                grown = 1.0
            case "linear":
                grown = float(attempt)
            case _:  # 2**64 s is beyond every cap; a greater exponent would overflow a float
                grown = 2.0 ** min(attempt - 1, 64)
        bound = min(self.cap, self.base * grown)
        return bound * random if self.jitter else bound


class Policy(Struct, frozen=True, kw_only=True):
    """What follows a failed attempt of a task.

    Args:
        max_attempts: attempts of a message, the first included; None: the setting of that name.
        backoff: a `Backoff`, or a function of the attempt, counted from 1, and the exception.
        time_limit: seconds for one attempt; None: no limit; unset: the setting of that name.
        soft_time_limit: seconds after which the task is told to stop; None: it is not.
        retry_on: only these are tried again; None: all are.
        give_up_on: these are never tried again, whatever ``retry_on`` says.
        on_failure: ``dead``: a message out of attempts leaves a dead letter. ``drop``: it leaves nothing.
        unique: whether a message with the same arguments is enqueued only once; see `s3queue.options.once`.
        result_ttl: seconds for which what it returns is kept; None: it is dropped.
        ack: ``manual``: the task says itself what became of its message.
    """

    max_attempts: int | None = None
    backoff: Any = Backoff()
    time_limit: float | UnsetType | None = UNSET
    soft_time_limit: float | None = None
    retry_on: tuple[Any, ...] | None = None
    give_up_on: tuple[Any, ...] = ()
    result_ttl: float | None = None
    unique: bool | str = False
    on_failure: OnFailure = "dead"
    ack: Ack = "auto"

    def check(self, what: str) -> None:
        """Raises `ConfigError`: a value is out of range, or two contradict each other."""
        own = self.max_attempts
        if own is not None and (type(own) is not int or not 1 <= own <= 1000):
            raise ConfigError(f"{what}: max_attempts is {own!r}", "from 1 to 1000, the first attempt included")
        for name, limit in (("time_limit", self.time_limit), ("soft_time_limit", self.soft_time_limit)):
            if not isinstance(limit, UnsetType | None) and not is_limit(limit):
                raise ConfigError(f"{what}: {name} is {limit!r}", "seconds above 0, or None for no limit")
        if isinstance(self.time_limit, int | float) and self.time_limit <= (self.soft_time_limit or 0):
            raise ConfigError(
                f"{what}: soft_time_limit ({self.soft_time_limit} s) is not below time_limit ({self.time_limit} s)",
                "a task is told by the first, and ended at the second",
            )
        if not isinstance(self.backoff, Backoff) and (isinstance(self.backoff, type) or not callable(self.backoff)):
            raise ConfigError(
                f"{what}: backoff is {self.backoff!r}", "for example Backoff(base=1, cap=3600), or a function"
            )
        if self.on_failure not in ("dead", "drop"):
            raise ConfigError(f"{what}: on_failure is {self.on_failure!r}", "'dead' or 'drop'")
        ttl = self.result_ttl
        if ttl is not None and self.on_failure == "drop":
            raise ConfigError(
                f"{what}: on_failure='drop' and result_ttl", "who waits for a result learns of a death by its letter"
            )
        if ttl is not None and not (is_limit(ttl) and ttl <= LONGEST_RESULT_S):
            raise ConfigError(
                f"{what}: result_ttl is {ttl!r}", f"seconds above 0, at most {LONGEST_RESULT_S:.0f}, or None for none"
            )
        if self.ack not in ACKS:
            raise ConfigError(f"{what}: ack is {self.ack!r}", " or ".join(map(repr, ACKS)))
        for name, which in (("retry_on", self.retry_on), ("give_up_on", self.give_up_on)):
            for one in which or ():
                if not _is_which(one):
                    raise ConfigError(
                        f"{what}: {name} names {one!r}", "exception classes, or functions of one exception"
                    )

    def gives_up(self, raised: BaseException) -> bool:
        """Whether there is no further attempt. In an exception group every exception counts."""
        if self.retry_on is None and not self.give_up_on:
            return False
        every = _leaves(raised)
        if any(_is_one(one, self.give_up_on) for one in every):
            return True
        return self.retry_on is not None and not all(_is_one(one, self.retry_on) for one in every)

    def delay_s(self, attempt: int, raised: BaseException, random: float) -> float:
        """Seconds to wait after this attempt. ``random`` is drawn from [0, 1).

        Raises:
            ValueError: the function of the user returned something else. What it raises comes through.
        """
        if isinstance(self.backoff, Backoff):
            return self.backoff.delay(attempt, random)
        seconds = self.backoff(attempt, raised)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise ValueError(f"the backoff function returned {seconds!r}, not a number of seconds")
        return max(0.0, float(seconds))


def policy(
    *,
    max_attempts: int | None = None,
    backoff: Backoff | Delay | None = None,
    time_limit: float | UnsetType | None = UNSET,
    soft_time_limit: float | None = None,
    retry_on: Which | None = None,
    give_up_on: Which | None = None,
    result_ttl: float | None = None,
    ack: Ack = "auto",
    unique: bool | str = False,
    on_failure: OnFailure = "dead",
) -> Policy:
    """The arguments of a decorator, not checked yet."""
    return Policy(
        max_attempts=max_attempts,
        backoff=Backoff() if backoff is None else backoff,
        time_limit=time_limit,
        soft_time_limit=soft_time_limit,
        retry_on=None if retry_on is None else _several(retry_on),
        give_up_on=() if give_up_on is None else _several(give_up_on),
        result_ttl=result_ttl,
        unique=unique,
        on_failure=on_failure,
        ack=ack,
    )


def is_limit(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < float("inf")


def _several(which: Any) -> tuple[Any, ...]:
    return tuple(which) if isinstance(which, tuple | list | set | frozenset) else (which,)


def _is_which(one: object) -> bool:
    return issubclass(one, BaseException) if isinstance(one, type) else callable(one)


def _leaves(raised: BaseException) -> list[BaseException]:
    if isinstance(raised, BaseExceptionGroup):
        return [leaf for one in raised.exceptions for leaf in _leaves(one)]
    return [raised]


def _is_one(raised: BaseException, which: tuple[Any, ...]) -> bool:
    return any(isinstance(raised, one) if isinstance(one, type) else bool(one(raised)) for one in which)


# ---- of one message --------------------------------------------------------------------------------------------------


def own_headers(what: str, most: int, max_attempts: int | None, time_limit: float | None) -> dict[str, str]:
    """The headers for a message with its own limits. ``most``: attempts that the task allows.

    Raises:
        ConfigError: more attempts than the task gives. A process that died is counted by hosts that know the task and do
            not look into messages; fewer are exact, since the worker counts before it starts one.
    """
    headers: dict[str, str] = {}
    if max_attempts is not None:
        if type(max_attempts) is not int or not 1 <= max_attempts <= most:
            raise ConfigError(
                f"{what}: max_attempts of a message is {max_attempts!r}",
                f"from 1 to {most}, which is what the task gives; give the task more",
            )
        headers[_ATTEMPTS] = str(max_attempts)
    if time_limit is not None:
        if not is_limit(time_limit):
            raise ConfigError(f"{what}: time_limit of a message is {time_limit!r}", "seconds above 0")
        headers[_LIMIT] = repr(float(time_limit))
    return headers


def own_limits(headers: Mapping[str, str]) -> tuple[int | None, float | None, dict[str, str]] | None:
    """Attempts and seconds that a message asks for, and its other headers. None: it asks for nothing.

    What cannot be understood, as of a later release, is not asked for.
    """
    if _ATTEMPTS not in headers and _LIMIT not in headers:
        return None
    attempts, limit = _number(headers.get(_ATTEMPTS)), _number(headers.get(_LIMIT))
    rest = {name: value for name, value in headers.items() if not name.startswith(RESERVED)}
    return None if attempts is None else max(1, int(attempts)), limit, rest


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else 0.0
    except ValueError:
        return None
    return number if is_limit(number) else None
