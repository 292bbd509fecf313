"""The ledgers of the hosts, as a coordinator knows them: the last one of each session, and since when it has not
changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from s3queue.core.keys import Layout
from s3queue.core.ops import Missed, Step, get_within
from s3queue.core.records import Ledger, decode
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Missing


@dataclass
class Heard:
    """The last known state of one session.

    Attributes:
        version: of its ledger, as it was last listed.
        ledger: None where it could not be decoded, or was never read.
        since: steady time from which the ledger is known to be unchanged; starts with the cycle after the one that saw it
            first, because a listing may be answered long after its cycle began.
        is_read: whether ``ledger`` has this version. If the new version could not be read, it is the previous one, which
            stays true: an outcome never changes.
        body: of the ledger, if it was read: it may hold fields that this release does not know.
    """

    version: str
    ledger: Ledger | None
    since: float | None = None
    is_read: bool = True
    body: bytes = field(default=b"", compare=False, repr=False)


def hear(
    layout: Layout,
    heard: dict[str, Heard],
    hosts: Mapping[str, str],
    at_start: Mapping[str, str],
    now: float,
    within_s: float,
    may_read: Callable[[str], bool],
) -> Step[tuple[list[tuple[str, Exception | None]], list[CorruptRecord]]]:
    """Read the ledgers that have changed, and forget sessions whose ledgers are gone.

    Args:
        heard: by session; brought up to date.
        hosts: versions of the ledgers as they were listed, by session. at_start: those that were known before the listing.
        now: steady time before the listing.
        within_s: time-out in seconds. A ledger that fails or times out is missed, and delays no other.
        may_read: whether to read the ledger under a key; other changed ledgers are missed.

    Returns:
        Keys of ledgers that could not be read in time, and why; and what could not be decoded.

    Asks: one Get for each ledger that changed.
    """
    missed: list[tuple[str, Exception | None]] = []
    corrupt: list[CorruptRecord] = []
    for session in heard.keys() - hosts.keys():
        del heard[session]
    changed: list[str] = []
    for session, version in hosts.items():
        before = heard.get(session)
        stands = before is not None and before.version == version
        if before is not None and stands and before.since is None and at_start.get(session) == version:
            before.since = now  # what a host of this process entered after that is younger
        if before is None or not stands or not before.is_read:
            if may_read(layout.host(session)):
                changed.append(session)
            else:
                _miss(heard, session, version)
    found = yield from get_within([layout.host(session) for session in changed], within_s)
    for session, outcome in zip(changed, found, strict=True):
        key = layout.host(session)
        match outcome:
            case Found():
                before = heard.get(session)
                since = before.since if before is not None and before.version == outcome.version else None
                heard[session] = heard_of(key, outcome, corrupt)
                heard[session].since = since
            case Missing():
                heard.pop(session, None)
            case Missed(fault):
                missed.append((key, fault))
                _miss(heard, session, hosts[session])
    return missed, corrupt


def _miss(heard: dict[str, Heard], session: str, version: str) -> None:
    """It stands there and was not read. A ledger that changes lives, whether it can be read or not."""
    before = heard.get(session)
    if before is None:
        heard[session] = Heard(version, None, is_read=False)
    elif before.version != version:
        heard[session] = Heard(version, before.ledger, is_read=False)


def heard_of(key: str, found: Found, corrupt: list[CorruptRecord]) -> Heard:
    """The state of a session by its ledger, which is added to ``corrupt`` if it cannot be decoded."""
    try:
        return Heard(found.version, decode(Ledger, key, found.body), body=found.body)
    except CorruptRecord as fault:
        corrupt.append(fault)
        return Heard(found.version, None)
