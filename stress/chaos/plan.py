"""The plan of a run: its messages and its faults, all drawn from the seed before anything starts.

The machine decides when each of them really happens; the plan is the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

#: Messages that may run at once, of the queue that has limits.
MOST_RUNNING = 2
#: What can go wrong.
KINDS = {
    "kill": "SIGKILL to a worker",
    "stop": "SIGSTOP to a whole host, its agent or a worker, for longer than the visibility timeout; then SIGCONT",
    "agent": "SIGKILL to an agent",
    "supervisor": "SIGKILL to a whole host or to its supervisor; then a new one",
    "net": "lost and late answers, late requests, resets, 503, 500, cut bodies; now and then no network",
    "clock": "wall clocks that are off, and jump",
    "disk": "the file system of the store is full",
    "operate": "operators who cancel, pause, resume, purge and redrive, and are killed now and then",
    "poison": "messages that kill their process, are no messages, or are too large; batches and letters that are refused",
}
QUEUES = ("single", "bulk")
#: Of messages of which only so many may run at once, or start a second; whose keys take turns; that replace each other;
#: and that are handled several at once.
FEW, PACED, SHARED, LATEST, BUNCH = "few", "rated", "shared", "latest", "bunch"
#: Messages a second of the queue that has a rate, and messages of one call of the task that takes several.
RATE, BATCH = 4.0, 5
#: What is also to hold, with messages that show it.
FEATURES = {
    "limits": f"a queue of which {MOST_RUNNING} messages may run at once, and one of each key",
    "rates": f"a queue of which {RATE:g} messages a second may be started",
    "fair": "a queue whose keys take turns",
    "results": "messages whose results are kept, and read at the end",
    "once": "calls with one of few dedup ids",
    "unique": "tasks of which there is one message for the same arguments, until it is over or while it waits",
    "debounce": "calls of which the last one counts",
    "expiry": "messages that end if they have not begun in time",
    "batches": f"a task that takes up to {BATCH} messages at once, of which some fail",
}
#: The queues that only those messages are in, by what they show.
OWN_QUEUES = {"limits": FEW, "rates": PACED, "fair": SHARED, "debounce": LATEST, "batches": BUNCH}
#: Of schedules, where there are any.
BEATS = "beats"
#: How often one of this kind may start. The tasks that are to succeed can lose many processes.
MAX_ATTEMPTS = {
    "beat": 12,
    "work": 12,
    "keyed": 12,
    "paced": 12,
    "shared": 12,
    "kept": 12,
    "alone": 12,
    "brief": 12,
    "latest": 12,
    "bunch": 12,
    "doomed": 3,
    "poison": 2,
}
#: Queues of tasks that are in one queue only.
_QUEUE_OF = {"keyed": FEW, "paced": PACED, "shared": SHARED, "latest": LATEST, "bunch": BUNCH}

#: What messages do, with their share of all.
_SHARES = {
    "ok": 0.86,
    "slow": 0.01,
    "retry": 0.03,
    "error": 0.02,
    "snooze": 0.02,
    "reject": 0.01,
    "doomed": 0.01,
    "group": 0.04,
}
#: Bytes of a message that is oversized, and that hosts take.
OVERSIZE, LARGEST = 4_100_000, 200_000
#: Groups in one portion, which one producer sends: who sends from two places has no order to speak of.
_GROUPS = 2
#: Share of the messages that are ok which show a feature; keys, and dedup ids of a run.
_FEATURED, _KEYS, _DEDUP_IDS = 0.3, 3, 20
#: Messages behind each other that show one feature, where there are several: limits hold up none that come one by one.
_STRETCH = 25
#: Of the keys that take turns, by how many messages they have; arguments of which there is one message at a time; seconds
#: that a call waits for a later one; seconds after which messages expire, from and to.
_TURNS, _ARGUMENTS, DEBOUNCE_S, _EXPIRY_S = "aaaaaaaabbcd", 3, 1.0, (0.3, 4.0)


class Order(NamedTuple):
    """One message.

    Attributes:
        does: ``ok``, ``slow`` (0.3 s), ``retry`` and ``error`` (once each, then ok), ``snooze`` (once, then ok),
            ``reject``, ``doomed`` (fails always), ``poison`` (kills its process), ``corrupt`` (nobody can decode it),
            ``oversized`` (larger than hosts read: it stays where it is), ``group`` (ok; one of its group at a time),
            ``keyed``, ``paced``, ``shared`` (ok; in the queue that has limits, a rate, turns), ``kept`` (ok; its result is
            kept), ``alone``, ``brief`` (ok; one at a time, or one that waits), ``latest`` (ok; the last call counts),
            ``bunch`` (ok, or failed once; handled with others).
        delay_s: before which it is not to run. expires_s: after which it does not begin; 0: any time.
        dedup: its dedup id, or what it is of which there is to be one; several have the same.
    """

    number: int
    does: str
    delay_s: float = 0.0
    priority: int = 5
    group: str = ""
    key: str = ""
    dedup: str = ""
    expires_s: float = 0.0

    @property
    def task(self) -> str:
        return self.does if self.does in MAX_ATTEMPTS else "work"

    @property
    def queue(self) -> str:
        """Where it is sent alone."""
        return _QUEUE_OF.get(self.does, "single")

    @property
    def shown(self) -> int:
        """The number that its task is given: of those of which there is to be one message, the same."""
        return -1 - int(self.dedup.rpartition("-")[2]) if self.does in ("alone", "brief") else self.number

    @property
    def may_be_off(self) -> bool:
        """Whether it may end without having begun, as it was enqueued."""
        return bool(self.expires_s) or self.does == "latest"

    @property
    def dies(self) -> bool:
        """Whether it is to become a dead letter."""
        return self.does in ("reject", "doomed", "poison", "corrupt")


class Sending(NamedTuple):
    """What one producer sends with one call: one message, or a batch that shares all options."""

    queue: str
    orders: tuple[Order, ...]


def portion(seed: int, first: int, count: int, *, poison: bool = False, features: Sequence[str] = ()) -> list[Sending]:
    """Messages ``first`` to ``first + count``: half of them one by one, half in batches.

    Args:
        poison: three in a hundred are of a kind that could harm others.
        features: three in ten show one of these.
    """
    draw = random.Random(f"{seed}/messages/{first}")
    orders = [_order(draw, first, first + offset) for offset in range(count)]
    if poison:
        for at, order in enumerate(orders):
            if draw.random() < 0.03:
                orders[at] = Order(order.number, draw.choices(("poison", "corrupt", "oversized"), (10, 10, 1))[0])
    elif orders and draw.random() < 0.15:
        at = draw.randrange(count)
        orders[at] = Order(first + at, "poison")
    if features:
        _show(features, orders, random.Random(f"{seed}/features/{first}"))
    sendings: list[Sending] = []
    bulk: list[Order] = []
    for order in orders:
        plain = not order.group and not order.delay_s and order.priority == 5 and order.task == "work"
        plain = plain and order.does not in ("corrupt", "oversized") and not order.dedup and not order.expires_s
        if plain and draw.random() < 0.6:
            bulk.append(order)
            if len(bulk) == 40:
                sendings.append(Sending("bulk", tuple(bulk)))
                bulk = []
        else:
            sendings.append(Sending(order.queue, (order,)))
    for start in range(0, len(bulk), 7):
        sendings.append(Sending("bulk", tuple(bulk[start : start + 7])))
    return sendings


def _show(features: Sequence[str], orders: list[Order], draw: random.Random) -> None:
    several = len(features) > 3
    shown, share = "", _FEATURED
    for at, order in enumerate(orders):
        if several and at % _STRETCH == 0:
            shown, share = draw.choice(features), 1.0 if draw.random() < 1.5 * _FEATURED else 0.0
        if order.does == "ok" and draw.random() < share:
            orders[at] = _shows(shown if several else draw.choice(features), order.number, orders[0].number, draw)


def _shows(feature: str, number: int, first: int, draw: random.Random) -> Order:
    match feature:
        case "limits":
            return Order(number, "keyed", key="abc"[draw.randrange(_KEYS)])
        case "rates":
            return Order(number, "paced")
        case "fair":
            return Order(number, "shared", key=draw.choice(_TURNS))
        case "results":
            return Order(number, "kept")
        case "unique":
            does = draw.choice(("alone", "brief"))
            return Order(number, does, dedup=f"{does}-{draw.randrange(_ARGUMENTS)}")
        case "debounce":  # one producer sends a portion, so that there is a last one
            return Order(number, "latest", dedup=f"{first}.{draw.randrange(2)}")
        case "expiry":
            return Order(number, "ok", expires_s=draw.uniform(*_EXPIRY_S))
        case "batches":
            return Order(number, "bunch")
    return Order(number, "ok", dedup=f"id-{draw.randrange(_DEDUP_IDS)}")


def _order(draw: random.Random, first: int, number: int) -> Order:
    does = draw.choices(tuple(_SHARES), tuple(_SHARES.values()))[0]
    if does == "group":
        return Order(number, does, group=f"{first}.{draw.randrange(_GROUPS)}")
    delay_s = draw.uniform(0.1, 2.0) if draw.random() < 0.03 else 0.0
    priority = draw.choice((0, 9)) if draw.random() < 0.02 else 5
    return Order(number, does, delay_s, priority)


class Mishap(NamedTuple):
    """Something that is going to go wrong.

    Attributes:
        after: how many tasks are to start, after the one before, before this happens.
        host: whose turn it is, modulo the hosts that are there.
        variant, length, later: draws from 0 to 1 that say how: what is hit, for how long, and how soon it is put right.
    """

    kind: str
    after: int
    host: int
    variant: float
    length: float
    later: float


def mishaps(seed: int, kinds: Sequence[str], count: int, portion_size: int) -> list[Mishap]:
    """Every kind comes about as often as any other."""
    draw = random.Random(f"{seed}/mishaps")
    deck: list[str] = []
    while len(deck) < count:
        hand = list(kinds)
        draw.shuffle(hand)
        deck += hand
    return [
        Mishap(
            kind,
            draw.randrange(max(1, portion_size // 2)),
            draw.randrange(1000),
            draw.random(),
            draw.random(),
            draw.random(),
        )
        for kind in deck[:count]
    ]
