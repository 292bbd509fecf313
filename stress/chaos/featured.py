"""The verdict on what some messages show besides: limits, results, and calls that are to enqueue once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from s3queue.core.keys import fencing_token, parse_message_id, parse_source
from stress.chaos.accounts import Accounts, Run
from stress.chaos.plan import FEW, MOST_RUNNING, Order
from stress.chaos.steering import called_off


def limits(accounts: Accounts) -> list[str]:
    """Of the queue with limits no more messages run at once than it says, and one of each key.

    A run lasts from its first note to its last, so it is never longer here than it was. One without an end is over when
    its process was hit, or anybody sent the end of its session: its place is given to others only after that.
    """
    over_at: dict[str, float] = {}
    for ending in accounts.endings:
        over_at[ending.session] = min(ending.at, over_at.get(ending.session, ending.at))
    changes: list[tuple[float, int, Run, str]] = []
    for run in accounts.runs:
        source = parse_source(parse_message_id(run.start.message).path)
        ends_at = min(_ends_at(accounts, run), over_at.get(run.start.session, float("inf")))
        if source.queue == FEW and ends_at > run.start.at:
            changes += [(run.start.at, 1, run, source.key), (ends_at, -1, run, source.key)]
    running: Counter[str] = Counter()
    wrong = []
    for _, change, run, key in sorted(changes, key=lambda one: one[:2]):
        running[key] += change
        if change > 0 and running.total() > MOST_RUNNING:
            wrong.append(f"{running.total()} messages of {MOST_RUNNING} run at once: {run}")
        elif change > 0 and running[key] > 1:
            wrong.append(f"{running[key]} messages of key {key} run at once: {run}")
    return wrong


def _ends_at(accounts: Accounts, run: Run) -> float:
    if run.ended_at is not None:
        return run.ended_at
    kills = [fault for fault in accounts.faults if fault.kind != "stop" and run.start.pid in fault.pids]
    return min((fault.at for fault in kills if fault.at >= run.start.at), default=run.start.at)


def results(accounts: Accounts, orders: Mapping[int, Order], read: Callable[[str], object]) -> Iterator[str]:
    """What is done has the result of the run by which it is, and of no other.

    Args:
        read: what a reader is told of a message. None: nothing.
    """
    off = called_off(accounts)
    for message, number in (accounts.sent | accounts.uncertain).items():
        if number not in orders or orders[number].does != "kept":
            continue
        tickets = {told.ticket for told in accounts.told.get(message, ()) if told.outcome == "done"}
        found = read(message)
        runs = [run for run in accounts.runs if run.start.message == message and run.how == "ok"]
        if not tickets:  # nobody told of the commit, or it was none
            if found is None and (not runs or message in off):
                continue
            tickets = {run.ticket for run in runs}
        if found not in [[number, fencing_token(ticket)] for ticket in tickets]:
            yield f"done by {sorted(tickets)}, and its result is {found}: {message}"


def once(accounts: Accounts, orders: Mapping[int, Order]) -> list[str]:
    """All calls with one dedup id are told of one message, and no other of them runs."""
    ids: dict[str, set[str]] = {}
    for message, number in accounts.calls:
        if number in orders and orders[number].dedup:
            ids.setdefault(orders[number].dedup, set()).add(message)
    wrong = [f"{dedup} is {len(those)} messages: {sorted(those)}" for dedup, those in ids.items() if len(those) > 1]
    told = {dedup: min(those) for dedup, those in ids.items()}
    for run in accounts.runs:
        order = orders.get(run.start.number)
        if order is not None and order.dedup and told.get(order.dedup, run.start.message) != run.start.message:
            wrong.append(f"{order.dedup} is {told[order.dedup]}, and this ran: {run}")
    return wrong
