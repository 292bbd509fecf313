"""What is enqueued, and when something goes wrong: all of it drawn from the seed, before anything starts.

What really happens then is up to the machine; the plan is the same.
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
#: Of messages of which only so many may run at once.
FEW = "few"
#: What is also to hold, with messages that show it.
FEATURES = {
    "limits": f"a queue of which {MOST_RUNNING} messages may run at once, and one of each key",
    "results": "messages whose results are kept, and read at the end",
    "once": "calls with one of few dedup ids",
}
#: Of schedules, where there are any.
BEATS = "beats"
#: How often one of this kind may start. The tasks that are to succeed can lose many processes.
MAX_ATTEMPTS = {"beat": 12, "work": 12, "keyed": 12, "kept": 12, "doomed": 3, "poison": 2}

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


class Order(NamedTuple):
    """One message.

    Attributes:
        does: ``ok``, ``slow`` (0.3 s), ``retry`` and ``error`` (once each, then ok), ``snooze`` (once, then ok),
            ``reject``, ``doomed`` (fails always), ``poison`` (kills its process), ``corrupt`` (nobody can decode it),
            ``oversized`` (larger than hosts read: it stays where it is), ``group`` (ok; one of its group at a time),
            ``keyed`` (ok; in the queue that has limits), ``kept`` (ok; its result is kept).
        delay_s: before which it is not to run.
        dedup: its dedup id; several have the same.
    """

    number: int
    does: str
    delay_s: float = 0.0
    priority: int = 5
    group: str = ""
    key: str = ""
    dedup: str = ""

    @property
    def task(self) -> str:
        return self.does if self.does in MAX_ATTEMPTS else "work"

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
        plain = plain and order.does not in ("corrupt", "oversized") and not order.dedup
        if plain and draw.random() < 0.6:
            bulk.append(order)
            if len(bulk) == 40:
                sendings.append(Sending("bulk", tuple(bulk)))
                bulk = []
        else:
            sendings.append(Sending(FEW if order.key else "single", (order,)))
    for start in range(0, len(bulk), 7):
        sendings.append(Sending("bulk", tuple(bulk[start : start + 7])))
    return sendings


def _show(features: Sequence[str], orders: list[Order], draw: random.Random) -> None:
    for at, order in enumerate(orders):
        if order.does == "ok" and draw.random() < _FEATURED:
            match draw.choice(features):
                case "limits":
                    orders[at] = Order(order.number, "keyed", key="abc"[draw.randrange(_KEYS)])
                case "results":
                    orders[at] = Order(order.number, "kept")
                case _:
                    orders[at] = Order(order.number, "ok", dedup=f"id-{draw.randrange(_DEDUP_IDS)}")


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
