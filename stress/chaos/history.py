"""The verdict: messages that were lost, committed twice, or run twice without a recorded reason.

Reads the records only. Each check is a function that returns the violations as text.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from s3queue.core.keys import parse_message_id, parse_source
from s3queue.core.plan import is_finished
from stress.chaos.accounts import Accounts, Run
from stress.chaos.notes import Done, Start
from stress.chaos.plan import BEATS, MAX_ATTEMPTS, Order
from stress.chaos.steering import broken_words, called_off, lives_of

#: How a run that asked to be run again ended.
_ASKED = ("retry", "error", "snooze")
#: How messages end by the hand of operators, of later calls, and by the time.
_CALLED_OFF = ("cancelled", "purged", "expired")
#: Ends of runs whose process did not outlive them.
_CUT_SHORT = ("", "poison")
#: A fault is noted before it is done; what it hits may have started in between, in seconds.
_NOTED_S = 0.1


@dataclass
class Verdict:
    """
    Attributes:
        messages: accepted from producers; without those of which a producer never heard.
        cancelled: messages that operators have cancelled or purged, later calls have replaced, or that have expired.
        redriven: dead ones that were run again.
        ran_twice: starts beyond the first of their message, by what explains them: ``asked`` (the task wanted it),
            ``redriven`` (an operator wanted it), ``died``
            (its process died at it), ``fenced`` (its session was ended); ``unexplained``.
        finished_again: of these, those whose run before had ended well.
        violations: everything that may not be, in words; with what is lost, committed twice or unexplained.
    """

    messages: int = 0
    done: int = 0
    dead: int = 0
    cancelled: int = 0
    redriven: int = 0
    lost: list[str] = field(default_factory=list)
    committed_twice: int = 0
    ran_twice: dict[str, int] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)
    finished_again: int = 0
    fences: int = 0
    bequests: int = 0
    takeovers: int = 0
    recovery_s: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def recovery(self) -> dict[str, float | None]:
        times = sorted(self.recovery_s)
        return {
            "p50": round(statistics.median(times), 3) if times else None,
            "max": round(times[-1], 3) if times else None,
        }


def judge(accounts: Accounts, orders: Mapping[int, Order], concurrency: int) -> Verdict:
    """
    Args:
        orders: what each message was to do, by its number.
    """
    verdict = Verdict(messages=len(accounts.sent))
    _judge_outcomes(accounts, orders, verdict)
    _judge_repeats(accounts, verdict)
    stored = [ending for ending in accounts.endings if ending.outcome == "stored"]
    verdict.fences = len({ending.session for ending in stored if ending.how == "fence"})
    verdict.bequests = len({ending.session for ending in stored if ending.how == "bequest"})
    verdict.takeovers = max(0, len({ruled.epoch for ruled in accounts.ruled if ruled.outcome == "stored"}) - 1)
    verdict.violations += broken_words(accounts)
    for check in (_attempts, _claims, _boards, _groups):
        verdict.violations += check(accounts, orders)
    verdict.violations += _zombies(accounts, concurrency)
    return verdict


# ---- outcomes ----------------------------------------------------------------------------------------------------


def _judge_outcomes(accounts: Accounts, orders: Mapping[int, Order], verdict: Verdict) -> None:
    """What came of every message, by three witnesses: what coordinators told, what the store holds, what ran.

    A coordinator that dies right after a commit does not tell of it. Then the sum on the board does, and the run.
    """
    known = accounts.sent | accounts.uncertain
    told_done = {one for one, told in accounts.told.items() if any(it.outcome == "done" for it in told)}
    told_dead = {one for one, told in accounts.told.items() if any(it.outcome == "dead" for it in told)}
    ran_well = {run.start.message for run in accounts.runs if run.how == "ok"}
    told_off = {one for one, told in accounts.told.items() if any(it.outcome in _CALLED_OFF for it in told)}
    # A message that was redriven has ended as its letter says.
    told_off |= {one for one, stone in accounts.stones.items() if stone.ending in _CALLED_OFF and stone.life < 2}
    told_done |= {one for one, stone in accounts.stones.items() if stone.ending == "done"}
    dead = (told_dead - accounts.stones.keys()) | accounts.letters.keys()
    dead |= accounts.stones.keys() - told_off - told_done  # and its letter was purged, or a later life called off
    told_dead -= accounts.stones.keys()
    done = told_done | (ran_well - dead - told_off)  # one whose host died with its outcome may have been called off
    wrong = verdict.violations

    # A coordinator that dies right after a commit does not tell of it, and what had not begun leaves no tombstone.
    off = called_off(accounts) | {
        one for one, number in known.items() if number in orders and orders[number].may_be_off
    }
    unheard = off - done - dead - told_off
    verdict.done, verdict.dead = len(done), len(dead)
    # What is larger than hosts read is reported, and stays for somebody to decide.
    kept = {one for one, number in known.items() if number in orders and orders[number].does == "oversized"}
    kept -= told_off | unheard
    wrong += [f"larger than hosts read, and settled or gone: {one}" for one in sorted(kept & (done | dead))]
    missing = sorted(accounts.sent.keys() - done - dead - kept - told_off - unheard)
    verdict.lost = [one for one in missing if parse_message_id(one).path not in accounts.left]
    wrong += [f"not done: {one}" for one in missing if one not in verdict.lost]
    verdict.committed_twice = len(told_done & dead)
    for told in accounts.told.values():
        verdict.committed_twice += len(told) - len({it.source for it in told})  # each life is settled once
    verdict.committed_twice += len(told_off & (told_done | told_dead))
    wrong += [f"nobody enqueued {one}, and it was settled" for one in sorted((done | dead) - known.keys())]
    wrong += [f"told to be done, and never ran to its end: {one}" for one in sorted(told_done - ran_well)]
    wrong += [f"told to be dead, without a dead letter: {one}" for one in sorted(told_dead - accounts.letters.keys())]
    for one in sorted(done | dead):
        order = orders.get(known.get(one, -1))
        if order is None:
            continue
        if order.dies and one in done:
            wrong.append(f"done, though it was to {order.does}: {one}")
        letter = accounts.letters.get(one)
        if not order.dies and letter is not None and letter.attempt < MAX_ATTEMPTS[order.task]:
            wrong.append(f"dead after {letter.attempt} attempts: {one}: {letter.failures[-1:]}")
    if accounts.board is None:
        wrong.append("there is no board")
        return
    board = accounts.board
    counted = [totals for queue, totals in board.totals.items() if queue != BEATS]
    verdict.cancelled = sum(totals.cancelled + totals.purged + totals.expired for totals in counted)
    verdict.redriven = sum(totals.redriven for totals in counted)
    settled = verdict.cancelled + sum(totals.done + totals.dead for totals in counted) - verdict.redriven
    exist = len(accounts.sent.keys() - kept) + len((done | dead | told_off) & accounts.uncertain.keys())
    exist += min(max(0, settled - exist), len(unheard & accounts.uncertain.keys()))
    wrong += [f"left on the board: {what}" for what in (board.marks, board.purges) if what]
    if settled > exist:
        verdict.committed_twice += settled - exist
        wrong.append(f"the board has settled {settled} messages, of {exist}")
    elif settled < exist:
        wrong.append(f"the board has settled only {settled} messages of {exist}")
    for path, state in accounts.board.sources.items():
        if not is_finished(path, state):
            wrong.append(f"left on the board: {path}: {state}")
    wrong += [f"left on the board: ticket {name} of {one.session}" for name, one in accounts.board.tickets.items()]


# ---- repeats -----------------------------------------------------------------------------------------------------


def _judge_repeats(accounts: Accounts, verdict: Verdict) -> None:
    fenced = set(accounts.fences)
    verdict.ran_twice = {"asked": 0, "redriven": 0, "died": 0, "fenced": 0, "unexplained": 0}
    for message, runs in accounts.by_message().items():
        begins = {id(life[0]) for life in lives_of(accounts, runs)[1:]}
        for run, following in pairwise(runs):
            reason = "redriven" if id(following) in begins else _why(accounts, run, following, fenced)
            verdict.ran_twice[reason] += 1
            if reason == "unexplained":
                verdict.unexplained.append(f"{message}: {run} and then {following}")
            if reason in ("died", "fenced"):
                verdict.finished_again += run.how == "ok"
                if following.start.attempt != run.start.attempt + 1:
                    continue  # it was lost once more, before it was started
                began = _trouble(accounts.faults, run, following.start)
                if began is not None:
                    verdict.recovery_s.append(following.start.at - began)


def _why(accounts: Accounts, run: Run, following: Run, fenced: set[str]) -> str:
    """Why a message was started again after this run.

    The death of a process explains what it was running, and what it had finished no better than with an error: what ended
    well is in the journal, what else it said may be lost with its agent.
    """
    start = run.start
    if run.how in _ASKED:
        return "asked"
    died = (
        run.how == "poison"
        or start.pid in accounts.dead_pids
        or (start.party, start.local_pid) in accounts.dead
        or start.session in accounts.bereft
    )
    if died and (run.last or run.how not in ("", "ok")):
        return "died"
    if start.session in fenced:
        return "unexplained" if _was_stored(accounts, run) else "fenced"
    return "fenced" if following.start.session in fenced else "unexplained"


def _was_stored(accounts: Accounts, run: Run) -> bool:
    """Whether a ledger of its session was stored that tells of its good end. One that was sent later may have been drafted
    before; the one after that was not."""
    if run.how != "ok" or run.followed_at is None:
        return False
    flushes = accounts.flushes.get(run.start.session, [])
    return len(flushes) - bisect_right(flushes, run.followed_at) >= 2


def _trouble(faults: list[Done], run: Run, following: Start) -> float | None:
    """When the trouble began that interrupted this run: the last that was done to its process or host in between."""
    if run.how == "poison":
        return run.ended_at
    times = [
        fault.at
        for fault in faults
        if fault.begins
        and run.start.at - _NOTED_S <= fault.at <= following.at
        and (run.start.pid in fault.pids or fault.party == run.start.party)
    ]
    return max(times, default=None)


# ---- invariants ------------------------------------------------------------------------------------------------------


def _attempts(accounts: Accounts, orders: Mapping[int, Order]) -> list[str]:
    """An attempt runs once (after a snooze: once more), and there are never more than allowed. Those that ended with their
    process, and with others that it ran, or their agent did, do not count; nor do those that never came to a start: their
    batch was being read when its reader died."""
    wrong = []
    known = accounts.sent | accounts.uncertain
    cut_short = Counter(run.start.session for run in accounts.runs if run.how in _CUT_SHORT or run.last)
    lives = ((message, life) for message, all_ in accounts.by_message().items() for life in lives_of(accounts, all_))
    for message, runs in lives:
        seen: dict[int, Run] = {}
        for run in runs:
            before = seen.get(run.start.attempt)
            if before is not None and before.how != "snooze":
                wrong.append(f"attempt {run.start.attempt} of {message} ran twice: {before} and {run}")
            seen[run.start.attempt] = run
        order = orders.get(known.get(message, -1))
        # The last of a process may have ended, and died unheard.
        spared = sum((run.how in _CUT_SHORT or run.last) and cut_short[run.start.session] > 1 for run in runs)
        spared += max(seen) - len(seen)
        if order is not None and max(seen) > MAX_ATTEMPTS[order.task] + spared:
            wrong.append(f"{message} was started as attempt {max(seen)} of {MAX_ATTEMPTS[order.task]}, {spared} spared")
    return wrong


def _claims(accounts: Accounts, _: object) -> list[str]:
    """Nothing runs that its host's ledger did not claim before."""
    claimed: dict[tuple[str, str], float] = {}
    for claim in accounts.claims:
        for ticket in claim.claims:
            key = (claim.session, ticket)
            claimed[key] = min(claim.at, claimed.get(key, claim.at))
    return [
        f"ran without a claim of its host: {run}"
        for run in accounts.runs
        if claimed.get((run.start.session, run.ticket), float("inf")) > run.start.at
    ]


def _boards(accounts: Accounts, _: object) -> list[str]:
    """Each turn of the board was written once, and epochs rise with turns."""
    wrong = []
    epochs: dict[int, tuple[int, str]] = {}
    for ruled in accounts.ruled:
        if ruled.outcome == "stored":
            epoch, nonce = epochs.setdefault(ruled.turn, (ruled.epoch, ruled.nonce))
            if nonce != ruled.nonce:
                wrong.append(f"turn {ruled.turn} of the board was stored twice, in epochs {epoch} and {ruled.epoch}")
    last = 0
    for turn, (epoch, _nonce) in sorted(epochs.items()):
        if epoch < last:
            wrong.append(f"turn {turn} of the board is of epoch {epoch}, after one of epoch {last}")
        last = max(last, epoch)
    return wrong


def _groups(accounts: Accounts, orders: Mapping[int, Order]) -> list[str]:
    """Messages of one group run one at a time and in order, except beside processes that were given up."""
    groups: dict[str, list[str]] = {}
    for message, number in accounts.sent.items():
        if orders[number].group:
            groups.setdefault(orders[number].group, []).append(message)
    runs = accounts.by_message()
    wrong = []
    for group, members in groups.items():
        free_at, before = float("-inf"), ""
        for message in sorted(members, key=_order_in_group):
            ends = [run.ended_at for run in runs.get(message, ()) if run.how == "ok" and run.ended_at is not None]
            starts = [run.start.at for run in runs.get(message, ())]
            if starts and min(starts) < free_at:
                wrong.append(f"{group}: {message} was started before {before} had ended")
            if ends:
                free_at, before = min(ends), message
    return wrong


def _order_in_group(message: str) -> tuple[int, str]:
    source = parse_source(parse_message_id(message).path)
    return source.order, source.batch


def _zombies(accounts: Accounts, concurrency: int) -> list[str]:
    """A process whose session was fenced starts nothing after that; save what it was about to start when it was
    stopped, between its last look at the clock and the first line of the task."""
    fenced_at: dict[str, float] = {}
    for ending in accounts.endings:
        if ending.how == "fence" and ending.outcome == "stored":
            fenced_at.setdefault(ending.session, ending.at)
    late: dict[tuple[str, int], dict[str, Run]] = {}
    for run in accounts.runs:
        if run.start.at > fenced_at.get(run.start.session, float("inf")):
            late.setdefault((run.start.session, run.start.pid), {})[run.call] = run
    return [
        f"started {len(runs)} calls after its session was fenced: {next(iter(runs.values()))}"
        for runs in late.values()
        if len(runs) > concurrency
    ]
