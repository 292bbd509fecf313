"""The operations that a step may yield, and their outcomes.

A step is a generator that yields operations and receives their outcomes; it returns its result. The same generators run in
production (`s3queue.io.drive`), in the simulator and in tests that drive them by hand. Only this module of the core
yields operations: all others use ``yield from`` with a function below.

A driver gives a step an outcome for every operation, in the types of the functions below. It retries operations that were
certainly not applied. When it gives up, it throws `StoreUnavailable` into the step, which ends the step. So a step changes
the state that it was given only after the outcome that justifies the change.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from s3queue.errors import StoreUnsupported
from s3queue.store import Conflict, Found, Listed, Missing, Stored, Unchanged

T = TypeVar("T")


class Get(NamedTuple):
    key: str
    unless: str | None = None


class Put(NamedTuple):
    key: str
    body: bytes
    if_version: str | None


class Delete(NamedTuple):
    keys: tuple[str, ...]


class List(NamedTuple):
    prefix: str
    after: str = ""
    limit: int = 1000


class Gather(NamedTuple):
    """Reads that do not wait for each other. Their outcomes come in the same order.

    Attributes:
        within_s: time-out in seconds; a read that fails or times out has the outcome `Missed`. None: no time-out, and a
            fault of one read is raised for all.
    """

    reads: tuple[Get | List, ...]
    within_s: float | None = None


class Missed(NamedTuple):
    """A read that failed or timed out.

    Attributes:
        fault: None where it timed out.
    """

    fault: Exception | None = None


class Signal:
    """Set to wake the one program that waits for it. A signal set while no program waits is kept.

    Attributes:
        notify: set by the driver while the program waits.
    """

    __slots__ = ("is_set", "notify")

    def __init__(self) -> None:
        self.is_set = False
        self.notify: Callable[[], None] | None = None

    def set(self) -> None:
        self.is_set = True
        if self.notify is not None:
            self.notify()

    def take(self) -> bool:
        """Whether it was set since the last call."""
        woken, self.is_set = self.is_set, False
        return woken


class Wait(NamedTuple):
    """Wait for a time or a signal, whichever comes first. The outcome is `Signal.take`.

    Attributes:
        until: steady time; infinity waits for the signal alone.
    """

    until: float
    wake_on: Signal


Op: TypeAlias = Get | Put | Delete | List | Gather
Step: TypeAlias = Generator[Op, Any, T]
#: A loop of a process: steps, and waits between them. A step never waits.
Program: TypeAlias = Generator[Op | Wait, Any, T]


class Unknown(NamedTuple):
    """The put was sent and not answered: applied, lost, or still on its way."""


class Overtaken(NamedTuple):
    """Another write is there now; ours did not take effect, or no longer matters."""

    now: Found | Missing


def get(key: str, unless: str | None = None) -> Step[Found | Unchanged | Missing]:
    outcome: Found | Unchanged | Missing = yield Get(key, unless)
    return outcome


def get_all(keys: Sequence[str]) -> Step[Sequence[Found | Missing]]:
    """Read many objects at once. One Get each."""
    if not keys:
        return ()
    outcomes: Sequence[Found | Missing] = yield Gather(tuple(Get(key) for key in keys))
    return outcomes


def get_within(keys: Sequence[str], within_s: float) -> Step[Sequence[Found | Missing | Missed]]:
    """Read many objects at once, without those that fail or take longer than ``within_s``. One Get each."""
    if not keys:
        return ()
    outcomes: Sequence[Found | Missing | Missed] = yield Gather(tuple(Get(key) for key in keys), within_s)
    return outcomes


def wait(until: float, wake_on: Signal) -> Program[bool]:
    """Wait until a steady time, or for the signal. Returns whether the signal was set."""
    woken: bool = yield Wait(until, wake_on)
    return woken


def put(key: str, body: bytes, if_version: str | None) -> Step[Stored | Conflict | Unknown]:
    outcome: Stored | Conflict | Unknown = yield Put(key, body, if_version)
    return outcome


def delete(keys: Sequence[str]) -> Step[None]:
    if keys:
        yield Delete(tuple(keys))


def list_page(prefix: str, after: str = "", limit: int = 1000) -> Step[Sequence[Listed]]:
    page: Sequence[Listed] = yield List(prefix, after, limit)
    return page


def list_pages(pages: Sequence[List]) -> Step[Sequence[Sequence[Listed]]]:
    """Read several pages of listings at once. One List each."""
    if len(pages) == 1:
        return [(yield from list_page(*pages[0]))]
    outcomes: Sequence[Sequence[Listed]] = yield Gather(tuple(pages))
    return outcomes


def list_all(prefix: str) -> Step[list[Listed]]:
    """The whole listing. One List per 1,000 keys."""
    found: list[Listed] = []
    while True:
        page = yield from list_page(prefix, found[-1].key if found else "")
        found.extend(page)
        if len(page) < 1000:
            return found


class _Nonce(msgspec.Struct):
    nonce: str = ""


_decode_nonce = msgspec.json.Decoder(_Nonce).decode


def carries(found: Found | Missing | Unchanged, nonce: str) -> bool:
    """Whether the found object is the write with this nonce."""
    if not isinstance(found, Found):
        return False
    try:
        return _decode_nonce(found.body).nonce == nonce
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def contradiction(key: str) -> StoreUnsupported:
    """The proof that the store told two writers that they replaced one version. Stop, and report it."""
    return StoreUnsupported(
        "atomic replace",
        f"a stored write of {key!r} has vanished: this store lets two writers replace the same version; "
        "use a store that passes s3queue doctor",
    )


def write(
    key: str, body: bytes, *, nonce: str, if_version: str | None, tries: int = 3
) -> Step[Stored | Overtaken | Unknown]:
    """Replace one version of a register (or create it, ``if_version=None``), and know whether it worked.

    Without an answer, a read can prove that the write took effect, never that it will not. So: look for our nonce; if it
    is not there, send the *same* body again. After a Conflict read too: an earlier try (ours, or an SDK's) may be there.

    Args:
        body: JSON with the top-level field ``nonce``, fresh for this write.

    Returns:
        Stored: it took effect, now or earlier, and stands.
        Overtaken: another write is there.
        Unknown: still no trace. It may yet take effect: send exactly the same again before anything else.

    Raises:
        StoreUnsupported: the store kept a truncated put. The previous object is lost.

    Asks: one Put; after an unanswered Put or a Conflict, one Get; at most ``tries`` of both.
    """
    for _ in range(tries):
        outcome = yield from put(key, body, if_version)
        if isinstance(outcome, Stored):
            return outcome
        found = yield from get(key)
        if isinstance(found, Found) and carries(found, nonce):
            return Stored(found.version)
        if isinstance(found, Found) and len(found.body) < len(body) and body.startswith(found.body):
            # Not repaired: others may have seen it, and an empty object has the same version each time.
            raise StoreUnsupported(
                "whole puts",
                f"{key!r} holds {len(found.body)} of {len(body)} bytes: this store keeps puts that were cut short",
            )
        if isinstance(outcome, Conflict):
            assert not isinstance(found, Unchanged)
            return Overtaken(found)
    return Unknown()
