"""Reads the records of all parties."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from s3queue.core.keys import Layout, ticket_id
from s3queue.core.records import Board, DeadLetter
from stress.chaos.notes import (
    Answered,
    Asked,
    Assigned,
    Claimed,
    Done,
    End,
    Ending,
    Flushed,
    Ruled,
    Sent,
    Start,
    Uncertain,
    lines,
    read,
)

_PROCESS = re.compile(r"^(?P<role>agent|worker).*?\(process (?P<pid>\d+)\)")


@dataclass
class Run:
    """One start of one message.

    Attributes:
        last: whether its process was, or may have been, at it when that ended: it has no end, or is in the last call that
            its slot has started.
        followed_at: when its slot started the next message, and had written in the journal how this one ended; None
            where that is not known.
        ended_at, how: of its end; None and empty where its process did not live to see it.
    """

    start: Start
    last: bool = False
    ended_at: float | None = None
    how: str = ""
    followed_at: float | None = None

    @property
    def call(self) -> str:
        """One of one process, with one message or several."""
        return self.start.call or f"{self.start.token} {self.start.message}"

    @property
    def ticket(self) -> str:
        return ticket_id(self.start.token >> 32, self.start.token & 0xFFFFFFFF)


class Calling(NamedTuple):
    """What a producer was told of one message of a call.

    Attributes:
        certain: it was told that this message exists; else that it may.
    """

    began: float
    at: float
    message: str
    number: int
    certain: bool = True


class Told(Struct, frozen=True):
    """A coordinator said after a commit that these messages are settled."""

    ticket: str = ""
    source: str = ""
    start: int = 0
    stop: int = 0
    attempt: int = 0
    outcome: str = ""


@dataclass
class Accounts:
    """Everything about one run.

    Attributes:
        sent, uncertain: numbers of messages by id. sent_at: when producers were told. calls: in the order in which they
            returned.
        asked, answered: what operators did. assigned: by turn of the board, tickets that are new on it; of some queues.
        stones: tombstones, by message.
        told: what coordinators said of each message.
        runs: in the order of their starts.
        dead: processes whose death is on record: ``(party, pid in its own process space)``, and pids of the machine.
        bereft: sessions whose agent died, and whose workers died of it.
        flushes: by session, when the ledgers were sent that were stored, in order.
        board, letters, left: how the store was left: the last two by message and by path of a batch.
    """

    sent: dict[str, int] = field(default_factory=dict)
    sent_at: dict[str, float] = field(default_factory=dict)
    calls: list[Calling] = field(default_factory=list)
    uncertain: dict[str, int] = field(default_factory=dict)
    told: dict[str, list[Told]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    dead: set[tuple[str, int]] = field(default_factory=set)
    dead_pids: set[int] = field(default_factory=set)
    bereft: set[str] = field(default_factory=set)
    claims: list[Claimed] = field(default_factory=list)
    flushes: dict[str, list[float]] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    ruled: list[Ruled] = field(default_factory=list)
    assigned: dict[int, Assigned] = field(default_factory=dict)
    faults: list[Done] = field(default_factory=list)
    board: Board | None = None
    letters: dict[str, DeadLetter] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    stones: dict[str, DeadLetter] = field(default_factory=dict)

    @property
    def fences(self) -> dict[str, Ending]:
        """By session: its end by a coordinator, as soon as it may have happened."""
        sent: dict[str, Ending] = {}
        for ending in self.endings:
            if ending.how == "fence" and (ending.outcome == "" or ending.outcome == "stored"):
                sent.setdefault(ending.session, ending)
        return sent

    def boards(self) -> dict[int, str]:
        """By turn, the nonce of the board that was stored: as its writer was told, or where it heard nothing and no other
        board was tried."""
        tried: dict[int, set[str]] = {}
        stored: dict[int, str] = {}
        for ruled in self.ruled:
            if ruled.outcome == "stored":
                stored[ruled.turn] = ruled.nonce
            elif ruled.outcome != "conflict":
                tried.setdefault(ruled.turn, set()).add(ruled.nonce)
        last = max(stored, default=0)
        alone = {turn: min(nonces) for turn, nonces in tried.items() if len(nonces) == 1 and turn < last}
        return {**alone, **stored}

    def by_message(self) -> dict[str, list[Run]]:
        runs: dict[str, list[Run]] = {}
        for run in self.runs:
            runs.setdefault(run.start.message, []).append(run)
        return runs


def gather(folder: Path, layout: Layout) -> Accounts:
    """The records of the parties. The caller adds the content of the store."""
    accounts = Accounts()
    for file in sorted((folder / "sent").glob("*.jsonl")):
        for record in read(file):
            match record:
                case Sent(at, ids, numbers, began):
                    accounts.sent.update(zip(ids, numbers, strict=True))
                    accounts.sent_at.update({one: min(at, accounts.sent_at.get(one, at)) for one in ids})
                    accounts.calls += [Calling(began, at, *one) for one in zip(ids, numbers, strict=True)]
                case Uncertain(at, ids, numbers, began):
                    accounts.uncertain.update(zip(ids, numbers, strict=True))
                    accounts.calls += [Calling(began, at, *one, False) for one in zip(ids, numbers, strict=True)]
    accounts.calls.sort(key=lambda call: call.at)
    for file in sorted((folder / "runs").glob("*.jsonl")):
        accounts.runs += _runs(file)
    accounts.runs.sort(key=lambda run: run.start.at)
    assigned: list[Assigned] = []
    for file in sorted((folder / "store").glob("*.jsonl")):
        for record in read(file):
            match record:
                case Assigned():
                    assigned.append(record)
                case Claimed():
                    accounts.claims.append(record)
                case Flushed():
                    accounts.flushes.setdefault(record.session, []).append(record.at)
                case Ending():
                    accounts.endings.append(record)
                case Ruled():
                    accounts.ruled.append(record)
    for flushes in accounts.flushes.values():
        flushes.sort()
    accounts.assigned = _new_tickets(assigned, accounts.boards())
    for file in folder.glob("faults-*.jsonl"):
        accounts.faults += [record for record in read(file) if isinstance(record, Done)]
    for file in sorted((folder / "operators").glob("*.jsonl")):
        for record in read(file):
            if isinstance(record, Asked):
                accounts.asked.append(record)
            elif isinstance(record, Answered):
                accounts.answered.append(record)
    _deaths(folder, accounts)
    moved: dict[str, list[str]] = {}
    files = sorted((folder / "history").glob("*/agent-*.jsonl"))
    for file in files:
        moved |= {event.source: event.ids for event in map(_decode_event, lines(file)) if event.kind == "moved"}
    for file in files:
        for told in _told(file):
            for index in range(told.start, told.stop):
                message = moved[told.source][index] if told.source in moved else layout.message_id(told.source, index)
                accounts.told.setdefault(message, []).append(told)
    return accounts


def _new_tickets(assigned: list[Assigned], boards: dict[int, str]) -> dict[int, Assigned]:
    """By turn of the board, those that it has first. A new leader does not know which the boards before it had."""
    seen: set[str] = set()
    found: dict[int, Assigned] = {}
    for one in sorted(assigned, key=lambda one: one.turn):
        new = {name: parts for name, parts in one.tickets.items() if name not in seen}
        if boards.get(one.turn) == one.nonce and new:
            found[one.turn] = structs.replace(one, tickets=new)
            seen |= new.keys()
    return found


def _runs(file: Path) -> list[Run]:
    """Starts and ends of one process."""
    runs: list[Run] = []
    open_ones: dict[tuple[str, int], Run] = {}
    for record in read(file):
        if isinstance(record, Start):
            runs.append(Run(record))
            open_ones[record.message, record.token] = runs[-1]
        elif isinstance(record, End) and (ended := open_ones.pop((record.message, record.token), None)):
            ended.ended_at, ended.how = record.at, record.how
    slots: dict[int, list[Run]] = {}
    for run in runs:
        slots.setdefault(run.start.slot, []).append(run)
    for one in slots.values():
        for run, following in pairwise(one):
            if following.call != run.call:
                run.followed_at = following.start.at
        for run in one:
            run.last = run.call == one[-1].call
    for run in open_ones.values():
        run.last = True
    return runs


class _Event(Struct):
    kind: str
    text: str = ""
    source: str = ""
    ids: list[str] = []


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_told = msgspec.json.Decoder(Told).decode


def _told(file: Path) -> Iterator[Told]:
    for line in lines(file):
        if _decode_event(line).kind == "settled":
            yield _decode_told(line)


def _deaths(folder: Path, accounts: Accounts) -> None:
    sessions = {(claim.party, claim.local_pid): claim.session for claim in accounts.claims}
    for fault in accounts.faults:
        if fault.begins and fault.kind in ("kill", "agent", "supervisor", "end"):
            accounts.dead_pids.update(fault.pids)
    for file in sorted((folder / "history").glob("*/supervisor-*.jsonl")):
        party = file.parent.name
        for line in lines(file):
            event = _decode_event(line)
            named = (
                _PROCESS.match(event.text) if event.kind in ("agent_died", "worker_died", "reaped", "fenced") else None
            )
            if named is None:
                continue
            who = (party, int(named["pid"]))
            accounts.dead.add(who)
            if named["role"] == "agent" and who in sessions:
                accounts.bereft.add(sessions[who])
