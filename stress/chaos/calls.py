"""The verdict on calls that enqueue something only once: by an id, by the arguments, and where the last one counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from stress.chaos.accounts import Accounts, Calling, Run
from stress.chaos.featured import lasting
from stress.chaos.plan import Order
from stress.chaos.shares import first_on_board
from stress.chaos.steering import called_off, lives_of


def once(accounts: Accounts, orders: Mapping[int, Order]) -> list[str]:
    """All calls with one dedup id are told of one message, and no other of them runs."""
    ids: dict[str, set[str]] = {}
    for call in accounts.calls:
        if call.certain and call.number in orders and _is_once(orders[call.number]):
            ids.setdefault(orders[call.number].dedup, set()).add(call.message)
    wrong = [f"{dedup} is {len(those)} messages: {sorted(those)}" for dedup, those in ids.items() if len(those) > 1]
    told = {dedup: min(those) for dedup, those in ids.items()}
    for run in accounts.runs:
        order = orders.get(run.start.number)
        if order is not None and _is_once(order) and told.get(order.dedup, run.start.message) != run.start.message:
            wrong.append(f"{order.dedup} is {told[order.dedup]}, and this ran: {run}")
    return wrong


def _is_once(order: Order) -> bool:
    return bool(order.dedup) and order.does == "ok"


def unique(accounts: Accounts, orders: Mapping[int, Order]) -> Iterator[str]:
    """Of the messages with the same arguments there is one at a time, and a call returns one that was still there."""
    runs = accounts.by_message()
    fenced = set(accounts.fences)
    for what, calls in _by_dedup(accounts, orders, ("alone", "brief")).items():
        known_at = {call.message: call.at for call in reversed(calls) if call.certain}
        for call in calls:
            if not call.certain:
                continue
            # One that came before another which was there when this call began.
            later = [
                one for one, at in known_at.items() if known_at[call.message] < at < call.began and one != call.message
            ]
            if later:
                yield f"{what}: a call was told of {call.message}, which was over: {later[0]} was there before the call"
            first = next(iter(runs.get(call.message, ())), None)
            if what.startswith("brief") and first is not None and first.start.at < call.began:
                yield f"{what}: a call was told of one that had begun: {first}"
        if what.startswith("alone"):
            yield from _side_by_side(accounts, what, calls, known_at, fenced)


def _side_by_side(
    accounts: Accounts, what: str, calls: list[Calling], known_at: Mapping[str, float], fenced: set[str]
) -> Iterator[str]:
    mine = {call.message for call in calls}
    busy: tuple[float, Run] | None = None
    for run, ends_at in sorted(lasting(accounts), key=lambda one: one[0].start.at):
        if run.start.message not in mine:
            continue
        if busy is not None and run.start.at < busy[0] and run.start.message != busy[1].start.message:
            yield f"{what}: two run at once: {busy[1]} and {run}"
        if busy is None or ends_at > busy[0]:
            busy = ends_at, run
    runs = accounts.by_message()
    order = sorted(known_at, key=lambda one: known_at[one])
    for before, after in pairwise(order):
        first_life = lives_of(accounts, runs.get(before, ()))[:1]
        for run in first_life[0] if first_life else ():
            if run.start.at > known_at[after] and run.start.session not in fenced:
                yield f"{what}: {after} was enqueued while {before} was not over: {run}"


def debounce(accounts: Accounts, orders: Mapping[int, Order], unread_s: float = 0.0) -> Iterator[str]:
    """The last call is done. Another one gets no ticket from a board that was planned after a later call had returned.

    Args:
        unread_s: for how long a coordinator may have failed to read what a later call asks for.
    """
    off = called_off(accounts)
    done = {one for one, told in accounts.told.items() if any(it.outcome in ("done", "dead") for it in told)}
    done |= {run.start.message for run in accounts.runs if run.how == "ok"}
    ticketed = first_on_board(accounts)
    for what, calls in _by_dedup(accounts, orders, ("latest",)).items():
        *earlier, last = calls
        if last.certain and last.message not in done and last.message not in off:
            yield f"{what}: the last call is not done: {last.message}"
        for call, later in zip(earlier, calls[1:], strict=True):
            found = ticketed.get(call.message)
            if call.certain and later.certain and found is not None and found.planned_after > later.at + unread_s:
                yield f"{what}: {call.message} was replaced at {later.at}, and got a ticket in turn {found.turn}"


def _by_dedup(accounts: Accounts, orders: Mapping[int, Order], does: tuple[str, ...]) -> dict[str, list[Calling]]:
    """Calls of such messages in the order in which they returned, by what there is to be one of."""
    found: dict[str, list[Calling]] = {}
    for call in accounts.calls:
        order = orders.get(call.number)
        if order is not None and order.does in does:
            found.setdefault(order.dedup, []).append(call)
    return found
