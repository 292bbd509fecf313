"""Hosts and coordinators in one process: the production steps on a real store, with a clock that only the test moves."""

from __future__ import annotations

from itertools import count

from msgspec import Raw, msgpack

from s3queue.core import elect
from s3queue.core.cycle import Deposed, Doubt, Lead, take_office
from s3queue.core.elect import View
from s3queue.core.hearing import Heard
from s3queue.core.keys import Layout, batch_id
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Overtaken, Unknown
from s3queue.core.plan import Settings
from s3queue.core.produce import Accepted, Outgoing, enqueue, new_batch
from s3queue.core.records import Board, Failed, Leader, Ledger, Message, Offer, decode, encode_message
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.store import Found, ObjectStore, Stored
from tests.core.world import Whole, whole_cycle

QUEUE = "q"
SETTINGS = Settings(visibility_timeout=30.0, leader_lease=15.0)
#: Wall clock of a town at its beginning, in milliseconds.
EPOCH_MS = 1_800_000_000_000

_numbers = count(1)


class Town:
    """
    Attributes:
        now: steady time of everybody, in seconds.
        meter: of all requests.
    """

    def __init__(self, store: ObjectStore, settings: Settings = SETTINGS) -> None:
        self.store, self.settings = store, settings
        self.layout = Layout("town")
        self.now = 1000.0
        self.meter = Meter()
        self.driver = Driver(store, self.meter)

    def now_ms(self, skew_s: float = 0.0) -> int:
        return EPOCH_MS + round((self.now + skew_s) * 1000)

    def message(self, value: object = None, task: str = "work") -> Raw:
        return encode_message(Message(task, Raw(msgpack.encode(value))))

    def batch(self, many: int = 1, *, due_ms: int | None = None, group: str | None = None) -> Outgoing:
        number = next(_numbers)
        messages = [self.message(index) for index in range(many)]
        return new_batch(
            QUEUE, messages, sent_ms=self.now_ms(), batch=batch_id(number, number), due_ms=due_ms, group=group
        )

    def enqueue(self, many: int = 1, *, due_ms: int | None = None, group: str | None = None) -> str:
        """The path of a new batch."""
        outgoing = self.batch(many, due_ms=due_ms, group=group)
        assert self.driver.run(enqueue(self.layout, outgoing)) == Accepted()
        return outgoing.path

    def host(self, session: str, *, slots: int = 4, skew_s: float = 0.0, mean_s: float = 0.0) -> Member:
        member = Member(self, session, slots, skew_s)
        member.host.offers = {QUEUE: Offer(mean_s=mean_s)}
        member.flush()
        return member

    def board(self) -> Board:
        found = self.store.get(self.layout.board)
        assert isinstance(found, Found)
        return decode(Board, self.layout.board, found.body)

    def ledger(self, session: str) -> Ledger:
        found = self.store.get(self.layout.host(session))
        assert isinstance(found, Found)
        return decode(Ledger, self.layout.host(session), found.body)

    def sources(self) -> list[str]:
        return [
            self.layout.path(item.key)
            for prefix in (self.layout.inbox, self.layout.later)
            for item in self.store.list(prefix)
        ]

    def dead(self) -> list[str]:
        return [item.key for item in self.store.list(self.layout.dead(QUEUE))]


class Member:
    """One host: keeps a ledger, and leads when it is told to stand."""

    def __init__(self, town: Town, session: str, slots: int, skew_s: float) -> None:
        self.town, self.session, self.skew_s = town, session, skew_s
        self.host = Host(town.layout, session, slots, {QUEUE: Offer()})
        self.view = View()
        self.lead: Lead | None = None
        self.claimed: list[str] = []

    @property
    def nonce(self) -> str:
        return f"{self.session}-{next(_numbers)}"

    # ---- as host -------------------------------------------------------------------------------------------

    def look(self) -> None:
        self.town.driver.run(elect.look(self.view, self.town.layout, self.town.now))
        if self.view.board is not None:
            self.host.see(self.view.board)

    def flush(self) -> Flushed | Refused:
        outcome = self.town.driver.run(self.host.flush(self.town.now, self.nonce))
        if isinstance(outcome, Flushed):
            self.claimed += outcome.claimed
            if self.lead is not None:  # as the runtime does, which need not read what it wrote
                self.lead.heard[self.session] = Heard(self.host.version, outcome.ledger)
        return outcome

    def claim(self) -> list[str]:
        """Look, and claim what is assigned. The tickets that may run now."""
        before = len(self.claimed)
        self.look()
        if self.host.has_news:
            self.flush()
        return self.claimed[before:]

    def messages(self, ticket: str) -> list[tuple[str, int]]:
        held = self.host.tickets[ticket]
        return [
            (part.source, index)
            for part in held.ticket.spans((0, held.ticket.size))
            for index in range(part.start, part.stop)
        ]

    def succeed(self, ticket: str) -> None:
        """All messages of the ticket ran and ended well. Not stored yet."""
        self.host.succeed(ticket, (0, self.host.tickets[ticket].ticket.size))

    def fail(self, ticket: str, offset: int, outcome: Failed) -> None:
        self.host.fail(ticket, offset, outcome)

    # ---- as coordinator ------------------------------------------------------------------------------------

    def may_stand(self) -> bool:
        return elect.may_stand(
            self.view, self.town.now, self.town.settings.leader_lease, me=self.session, leader_gone=False
        )

    def stand(self) -> Stored | Overtaken | Unknown:
        town = self.town
        outcome = town.driver.run(elect.stand(self.view, town.layout, Leader(self.session), self.nonce))
        if isinstance(outcome, Stored):
            self.lead = town.driver.run(take_office(self.view, town.layout, town.settings, town.now, town.now_ms()))
        return outcome

    def cycle(self) -> Whole | Deposed | Doubt:
        assert self.lead is not None
        town = self.town
        now_ms = town.now_ms(self.skew_s)
        outcome = town.driver.run(whole_cycle(self.lead, now=town.now, now_ms=now_ms, nonce=self.nonce))
        if isinstance(outcome, Deposed):
            self.lead = None
        return outcome

    def cycles(self, seconds: float) -> None:
        """Coordinate for so long, a cycle each second, and write heartbeats as a host."""
        town = self.town
        for _ in range(int(seconds)):
            town.now += 1.0
            if town.now - (self.host.trusted_from or 0.0) >= town.settings.visibility_timeout / 3:
                self.flush()
            assert isinstance(self.cycle(), Whole)


def led(store: ObjectStore, settings: Settings = SETTINGS) -> tuple[Town, Member]:
    """A town whose first host, ``h1``, leads."""
    town = Town(store, settings)
    first = town.host("h1")
    first.look()
    assert isinstance(first.stand(), Stored)
    return town, first


def drain(town: Town, *members: Member, rounds: int = 50) -> None:
    """Let these hosts run all there is, well; the one that leads coordinates."""
    for _ in range(rounds):
        town.now += 1.0
        for member in members:
            member.look()
            for ticket in member.host.stored.claims if member.host.stored is not None else ():
                if ticket in member.host.tickets:
                    member.succeed(ticket)
            member.flush()  # settles these, and claims the next
        for member in members:
            if member.lead is not None:
                member.cycle()
        if not town.sources() and not town.board().tickets:
            return
    raise AssertionError(f"not drained: {town.sources()}, {town.board()}")
