"""Races that simulation has found in the real code, each played by hand, and named after what must not come of it."""

from __future__ import annotations

from typing import TypeVar

from msgspec import Raw

from s3queue.core import cycle, elect, produce
from s3queue.core.cycle import Deposed, Lead
from s3queue.core.elect import View
from s3queue.core.hearing import Heard
from s3queue.core.keys import Layout
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Gather, Step
from s3queue.core.plan import Settings
from s3queue.core.records import Failed, Failure, Leader, Ledger, Message, Offer, decode, encode_batch, encode_message
from s3queue.store import Stored
from s3queue.testing.simulate.store import SimStore
from tests.core.world import Whole, do_chores, whole_cycle

T = TypeVar("T")
LAYOUT = Layout()
SETTINGS = Settings(visibility_timeout=10.0, leader_lease=5.0)


class World:
    """A bucket, a clock, and who uses them."""

    def __init__(self) -> None:
        self.store = SimStore(LAYOUT.board, lambda event: None)
        self.now = 100.0
        self._nonces = 0

    def nonce(self) -> str:
        self._nonces += 1
        return f"n{self._nonces}"

    def run(self, step: Step[T]) -> T:
        try:
            op = next(step)
            while True:
                if isinstance(op, Gather):
                    op = step.send([self.store.perform(read, self.now, "") for read in op.reads])
                else:
                    op = step.send(self.store.perform(op, self.now, ""))
        except StopIteration as end:
            result: T = end.value
            return result

    def enqueue(self, count: int, batch: str = "1") -> str:
        message = encode_message(Message("t", Raw(b"\xc0")))
        outgoing = produce.new_batch("q", [message] * count, sent_ms=1, batch=batch)
        assert self.run(produce.enqueue(LAYOUT, outgoing)) == produce.Accepted()
        return outgoing.path

    def elected(self, name: str) -> Lead:
        view = View()
        self.run(elect.look(view, LAYOUT, self.now))
        assert isinstance(self.run(elect.stand(view, LAYOUT, Leader(name), self.nonce())), Stored)
        return self.run(cycle.take_office(view, LAYOUT, SETTINGS, self.now, 1_000))

    def cycle(self, lead: Lead, gone: tuple[str, ...] = ()) -> Whole:
        self.now += 0.1
        cycled = self.run(whole_cycle(lead, now=self.now, now_ms=1_000, nonce=self.nonce(), gone=gone))
        assert isinstance(cycled, Whole)
        return cycled

    def joined(self, session: str, slots: int = 3) -> Host:
        host = Host(LAYOUT, session, slots, {"q": Offer(3)})
        self.flush(host)
        return host

    def flush(self, host: Host) -> Flushed | Refused:
        view = View()
        self.run(elect.look(view, LAYOUT, self.now))
        if view.board is not None:
            host.see(view.board)
        return self.run(host.flush(self.now, self.nonce()))

    def stored_ledger(self, session: str) -> Ledger | None:
        body = self.store.body(LAYOUT.host(session))
        return None if body is None else decode(Ledger, session, body)


def test_coordinator_replaced_while_it_fences_leaves_the_ledger_to_its_successor() -> None:
    world = World()
    host = world.joined("h")
    old = world.elected("old")
    world.cycle(old)
    new = world.elected("new")
    path = world.enqueue(2)
    world.cycle(new)
    world.flush(host)
    (name,) = host.tickets
    host.succeed(name, (0, 2))
    world.flush(host)
    # The old one has nothing to write, so nothing tells it that it was replaced: no host lives that it could give work.
    old.written_at = world.now
    world.run(old.cycle(now=world.now, now_ms=1_000, nonce=world.nonce(), gone=("h",)))
    world.run(do_chores(old, now=world.now, now_ms=1_000, nonce=world.nonce()))
    assert old.chores.fences.done == ["h"]
    assert isinstance(world.run(old.cycle(now=world.now, now_ms=1_000, nonce=world.nonce(), look=False)), Deposed)
    assert world.stored_ledger("h") is not None
    settled = world.cycle(new).settled
    assert [(one.source, one.outcome, one.stop - one.start) for one in settled] == [(path, "done", 2)]


def test_fenced_ledger_without_tickets_is_deleted_after_the_next_board() -> None:
    world = World()
    world.joined("h")
    lead = world.elected("c")
    world.cycle(lead)
    world.cycle(lead)
    world.now += SETTINGS.visibility_timeout + 1
    lead.written_at = world.now
    assert world.cycle(lead).fenced == ("h",)
    assert world.stored_ledger("h") is not None
    world.now += SETTINGS.leader_lease
    assert world.cycle(lead).committed
    assert world.stored_ledger("h") is None


def test_ledger_of_a_host_that_left_is_deleted_by_a_leader_that_writes_nothing_but_signs_of_life() -> None:
    world = World()
    host = world.joined("h")
    lead = world.elected("c")
    world.cycle(lead)
    host.leaving = True
    world.flush(host)
    assert not world.cycle(lead).committed
    for _ in range(3):
        world.now += SETTINGS.leader_lease / 3
        world.run(lead.beat(now=world.now, nonce=world.nonce()))
        assert not world.cycle(lead).committed
    assert world.stored_ledger("h") is None


def test_ledger_created_by_a_replaced_coordinator_counts_every_ticket_as_claimed() -> None:
    world = World()
    host = world.joined("h", slots=1)
    old = world.elected("old")
    first = world.enqueue(1)
    world.cycle(old)
    world.flush(host)
    new = world.elected("new")
    (name,) = host.tickets
    host.succeed(name, (0, 1))
    second = world.enqueue(1, batch="2")
    world.flush(host)
    world.cycle(new)
    world.flush(host)  # claims a ticket for the second batch, of which the old coordinator never hears
    world.store.remove(LAYOUT.host("h"), world.now)
    world.run(old.cycle(now=world.now, now_ms=1_000, nonce=world.nonce()))
    world.run(do_chores(old, now=world.now, now_ms=1_000, nonce=world.nonce()))
    fenced = world.stored_ledger("h")
    assert fenced is not None
    assert fenced.fenced
    world.cycle(new)
    state = new.board.sources[second]
    assert first != second
    assert [ready.attempt for ready in state.ready] == [2]


def test_own_flush_during_a_slow_survey_is_not_taken_for_silence() -> None:
    world = World()
    host = world.joined("h")
    lead = world.elected("h")
    world.cycle(lead)
    slow = lead.cycle(now=world.now, now_ms=1_000, nonce=world.nonce())
    listing = next(slow)
    world.now += SETTINGS.visibility_timeout
    flushed = world.flush(host)  # the agent is alive, and enters what it stored
    assert isinstance(flushed, Flushed)
    lead.heard["h"] = Heard(host.version, flushed.ledger)
    answer = world.store.perform(listing, world.now, "")
    try:
        while True:
            answer = world.store.perform(slow.send(answer), world.now, "")
    except StopIteration:
        pass
    assert world.cycle(lead).fenced == ()


def test_unreadable_message_takes_no_dead_letter_from_those_that_die_beside_it() -> None:
    world = World()
    host = world.joined("h")
    lead = world.elected("c")
    good = encode_message(Message("t", Raw(b"\x2a")))
    unreadable = Raw(b"\x93\xa1\xff\xc0\x80")  # its task is no UTF-8
    outgoing = produce.new_batch("q", [good, unreadable, good], sent_ms=1, batch="1")
    body = encode_batch([good, unreadable, good], 1)
    world.run(produce.enqueue(LAYOUT, produce.Outgoing(outgoing.path, body, 3)))
    world.cycle(lead)
    world.flush(host)
    for name, held in host.tickets.items():
        for offset in range(held.ticket.size):
            host.fail(name, offset, Failed("dead", 0.0, Failure(1, "rejected")))
    world.flush(host)
    world.cycle(lead)
    world.cycle(lead)
    letters = [world.store.body(LAYOUT.dead("q", LAYOUT.message_id(outgoing.path, index))) for index in range(3)]
    assert all(letters)
