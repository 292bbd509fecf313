"""One function per promise, and four rules that stand between promises and invariants."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from s3queue.core.keys import parse_source
from s3queue.core.records import FATAL_CAUSES
from s3queue.testing.simulate import bounds
from s3queue.testing.simulate.chronicle import BoardAt, LedgerAt, Run, process
from s3queue.testing.simulate.lives import begun
from s3queue.testing.simulate.moves import illegal, unfounded
from s3queue.testing.simulate.posts import SETTLED, Message, Move, Post
from s3queue.testing.simulate.producers import NEWCOMER
from s3queue.testing.simulate.story import Story, damaged
from s3queue.testing.simulate.verdicts import OK, Verdict, first, unknown

#: Seconds of a snoozed message whose own wait was lost with its worker; see `s3queue.runtime.agent.deaths`.
_LOST_SNOOZE_S = 1.0


def _stuck(story: Story) -> set[Message]:
    """Messages that cannot come to an end, since the store refuses a key that they need."""
    paths = story.drained.stuck if story.drained is not None else ()
    return {story.first((path, index)) for path in paths for index in range(parse_source(path).count)}


def _is_called_off(story: Story, path: str, n: int) -> bool:
    """Whether somebody cancelled the one message of this batch before its producer sent it again."""
    ends = story.committed.get((path, 0), [])
    return parse_source(path).count == 1 and any(
        at < n and how in ("cancelled", "absent", "purged") for at, how in ends
    )


def p1_no_accepted_message_is_lost(story: Story) -> Verdict:
    """What was accepted is stored, and every stored message comes to an outcome that somebody vouches for."""

    def faults() -> Iterator[str]:
        for path, n in story.accepted.items():
            if story.landed.get(path, n) >= n:
                yield f"event {n}: {path} was accepted, and is not stored"
        for path, n in story.maimed.items():
            if not _is_called_off(story, path, n):
                yield f"event {n}: {path} was accepted, and not stored as it was sent"
        yield from (why for rule, why in illegal(story) if rule == "P1")
        yield from (why for rule, why in unfounded(story) if rule == "P1")
        if _at_rest(story):
            stuck = _stuck(story)
            for path in story.landed.keys() - story.targets.keys():
                for index in range(parse_source(path).count):
                    if (path, index) not in story.committed and (path, index) not in stuck:
                        yield f"message {index} of {path} was never committed"

    verdict = first(faults())
    return verdict if verdict != OK or _at_rest(story) else unknown("not drained")


def p2_committed_exactly_once(story: Story) -> Verdict:
    """One outcome for each message, recorded once, with a dead letter where it is dead."""

    def faults() -> Iterator[str]:
        for (path, index), commits in story.committed.items():
            if len(commits) > 1:
                yield f"message {index} of {path} was committed {len(commits)} times"
        if _at_rest(story):
            totals = list(story.boards[-1].board.totals.values()) if story.boards else []
            done, dead = sum(one.done for one in totals), sum(one.dead for one in totals)
            cancelled = sum(one.cancelled + one.purged + one.expired for one in totals)
            stored = sum(parse_source(path).count for path in story.landed.keys() - story.targets.keys())
            stored += len(begun(story))
            stored += len({path for state in story.boards for path in state.board.sources if path.startswith("tick/")})
            stuck = len(_stuck(story) - story.committed.keys())
            absent = sum(
                commits[0][1] == "absent" and one[0] in story.landed for one, commits in story.committed.items()
            )
            if done + dead + cancelled + absent + stuck != stored:
                counts = f"{done} done, {dead} dead and {cancelled} cancelled, purged or expired"
                yield f"{stored} messages were stored; the board counts {counts}"

    verdict = first(faults())
    return verdict if verdict != OK or _at_rest(story) else unknown("not drained")


def p3_runs_once_unless_something_died(story: Story) -> Verdict:
    """A second run needs a task that asked for it, a process that died, or a host that was silent for long enough."""

    def faults() -> Iterator[str]:
        for session, over in story.ended.items():
            assert over.ledger is not None
            was = story.ledger_before(session, over.n)
            dozed = was is not None and was.ledger is not None and was.ledger.dozing is not None  # then: I22
            if over.ledger.fenced and not dozed and not _was_silent(story, session, over):
                yield f"event {over.n}: {session} was fenced, and was alive"
        for message, runs in story.by_message.items():
            for before, run in pairwise(runs):
                if not _may_run_again(story, before, run) and not damaged(story, run.started.session, run.n):
                    yield (
                        f"event {run.n}: {message} runs again; {before.started.session} ran it at event {before.n} "
                        f"({before.outcome or 'not over'}) and was not over"
                    )

    return first(faults())


def _may_run_again(story: Story, before: Run, run: Run) -> bool:
    over = story.ended.get(before.started.session)
    if over is not None and over.n < run.n:
        return True
    ended = before.ended_n is not None and before.ended_n < run.n
    return ended and before.outcome in ("retry", "snooze", "killed")


def is_known_dead(story: Story, session: str, n: int) -> bool:
    return story.dead.get(session, n) < n or story.reaped.get(session, n) < n or damaged(story, session, n)


def _was_silent(story: Story, session: str, over: LedgerAt) -> bool:
    n = over.n
    if is_known_dead(story, session, n):
        return True
    before = story.ledger_before(session, n)
    if before is None or before.ledger is None:
        return True
    return over.at - before.at > (before.ledger.visibility_timeout or story.settings.visibility_timeout)


def p4_a_dead_worker_costs_no_finished_work(story: Story) -> Verdict:
    """What ended well does not run again, unless its host was taken over by others."""

    def faults() -> Iterator[str]:
        for message, runs in story.by_message.items():
            for before, run in pairwise(runs):
                if before.outcome != "ok" or before.ended_n is None or before.ended_n > run.n:
                    continue
                session = before.started.session
                over = story.ended.get(session)
                if damaged(story, session, run.n) or damaged(story, run.started.session, run.n):
                    continue
                if over is None or story.is_bequeathed(session, over):
                    yield f"event {run.n}: {message} runs again, and ended well in {before.started.who}"

    return first(faults())


def p5_a_dead_host_costs_at_most_what_it_had_not_flushed(story: Story) -> Verdict:
    """What a stored ledger says ended well does not run again."""

    def faults() -> Iterator[str]:
        for message, runs in story.by_message.items():
            for run in runs:
                outcome = story.outcomes.get((run.started.ticket, run.started.offset))
                if outcome is None or outcome.kind != "ok" or damaged(story, run.started.session, len(story.events)):
                    continue
                for again in runs:
                    if again.n > outcome.n and not damaged(story, again.started.session, again.n):
                        yield f"event {again.n}: {message} runs again; event {outcome.n} says that it ended well"
        yield from (why for rule, why in illegal(story) if rule == "P5")

    return first(faults())


def p6_nothing_is_enqueued_twice(story: Story) -> Verdict:
    """Each batch is admitted once, however often and however late its producer's requests arrive."""

    def faults() -> Iterator[str]:
        admitted: set[tuple[str, int]] = set()
        for move in story.moves:
            if move.old is None and move.new != SETTLED:
                if move.message in admitted:
                    yield f"event {move.n}: {move.message} is admitted again"
                admitted.add(move.message)

    return first(faults())


def suspects_run_alone(story: Story) -> Verdict:
    """A message whose process or host died under it is ticketed alone from then on, and runs in a process with nothing
    else."""

    def faults() -> Iterator[str]:
        suspects: set[Message] = set()
        tickets: set[str] = set()
        for move in story.moves:
            old, new = move.old, move.new
            if old is not None and old.ticket and _was_fatal(story, move, old):
                suspects.add(story.first(move.message))
            if (
                new is not None
                and new.ticket
                and story.first(move.message) in suspects
                and story.tickets[new.ticket][1].size > 1
            ):
                yield f"event {move.n}: ticket {new.ticket} holds {move.message} and others"
            if new is not None and new.ticket and story.first(move.message) in suspects:
                tickets.add(new.ticket)
        for run in story.runs:
            if run.started.ticket in tickets:
                for other in story.beside(run):
                    yield f"event {run.n}: {run.message} runs beside {other.message} in {run.started.who}"

    return first(faults())


def _was_fatal(story: Story, move: Move, old: Post) -> bool:
    """Whether its process or host died while this ticket was out, for all that is known."""
    outcome = story.outcomes.get((old.ticket, old.offset))
    if outcome is not None and outcome.n < move.n:
        failure = outcome.failed.failure if outcome.failed is not None else None
        return failure is not None and failure.cause in FATAL_CAUSES
    over = story.ended.get(story.tickets[old.ticket][1].session)
    return over is not None and over.ledger is not None and (over.ledger.unread or old.ticket in over.ledger.claims)


def innocents_pay_nothing(story: Story) -> Verdict:
    """The death of a worker costs an attempt of the message that was over its time limit, or of the only one there was; and
    of nothing else."""

    def faults() -> Iterator[str]:
        for offset, outcome in story.outcomes.items():
            failure = outcome.failed.failure if outcome.failed is not None else None
            runs = [run for run in story.by_offset.get(offset, ()) if run.outcome == "killed" and run.n < outcome.n]
            if failure is None or not runs or failure.cause not in _DEATHS:
                continue
            run, what = runs[-1], f"event {outcome.n}: offset {offset[1]} of ticket {offset[0]}"
            guilty = run.overran if story.overran_in(run) else not story.company(run)
            if outcome.kind != "interrupted" and not guilty:
                yield f"{what} pays for a death that others may have caused: {failure}"
            elif outcome.kind == "interrupted" and guilty and not story.is_will(offset[0], outcome.n):
                yield f"{what} does not pay for the death that it caused: {failure}"

    return first(faults())


#: Causes with which the death of a worker is told.
_DEATHS = (FATAL_CAUSES | {"interrupted"}) - {"lost"}


def what_is_unfit_goes_where_it_fits(story: Story) -> Verdict:
    """What a host gave back because it does not know the task goes only to hosts that say they do."""

    def faults() -> Iterator[str]:
        unknown_tasks: dict[Message, str] = {}
        for move in story.moves:
            old, new = move.old, move.new
            outcome = None if old is None else story.outcomes.get((old.ticket, old.offset))
            if outcome is not None and outcome.kind == "unfit" and outcome.failed is not None and outcome.n < move.n:
                unknown_tasks[move.message] = outcome.failed.token.partition("@")[0]
            lost = old is not None and old.ticket and damaged(story, story.tickets[old.ticket][1].session, move.n)
            hastened = story.is_hastened(move.message, move.n)
            if lost or hastened or (new is not None and new.kind in ("waiting", "moving")):
                unknown_tasks.pop(move.message, None)  # too many of those wait on the board: it is tried again anywhere
            task = unknown_tasks.get(move.message)
            if task is None or new is None or not new.ticket or (old is not None and new.ticket == old.ticket):
                continue
            session = story.tickets[new.ticket][1].session
            state = story.ledger_before(session, move.n)
            queue = parse_source(move.message[0]).queue
            offers = state.ledger.offers if state is not None and state.ledger is not None else {}
            if offers and task not in offers[queue].tasks:
                yield f"event {move.n}: ticket {new.ticket} gives {move.message} to {session}, which does not know {task}"

    return first(faults())


#: Boards that may be written while a batch waits and a host is idle; and one more for so many batches that are stored.
_PATIENCE, _BATCHES_A_BOARD = 20, 1


def nobody_is_hidden(story: Story) -> Verdict:
    """A batch that can be assigned is, within a number of cycles, whatever lies before it."""

    def faults() -> Iterator[str]:
        idle = [(state.n, _idle_for(story, state)) for state in story.boards if state.at > story.calm]
        admitted: dict[str, int] = {}
        limited = bounds.bounded(story)
        for state in story.boards:
            for path in state.board.sources:
                admitted.setdefault(path, state.n)
        most = _PATIENCE + len(story.landed) // _BATCHES_A_BOARD
        for path, landed in story.landed.items():
            source = parse_source(path)
            if source.group is not None or source.due_ms is not None or source.queue in limited:
                continue
            waited = [n for n, queues in idle if landed < n < admitted.get(path, n + 1) and source.queue in queues]
            if len(waited) > most:
                yield f"event {waited[most]}: {path} waits since event {landed}, and a host is idle"

    return first(faults())


def _idle_for(story: Story, state: BoardAt) -> set[str]:
    """Queues of which a living host could have run one more message, for all that this board says. Not of paused ones."""
    out: dict[str, int] = {}
    for ticket in state.board.tickets.values():
        out[ticket.session] = out.get(ticket.session, 0) + ticket.left
    queues: set[str] = set()
    for session in story.ledgers:
        ledger = story.ledger_before(session, state.n)
        alive = ledger is not None and ledger.ledger is not None and not ledger.ledger.over
        if alive and ledger is not None and ledger.ledger is not None and out.get(session, 0) < ledger.ledger.slots:
            queues.update(ledger.ledger.offers)
    paused = (control.paused for _, control in story.controls if control.turn == state.board.control)
    return queues.difference(*paused)


def leaders_are_replaced_when_silent(story: Story) -> Verdict:
    """A leader is replaced when it resigned, is gone, or has written nothing for a lease; and one that lives writes."""

    def faults() -> Iterator[str]:
        for before, state in pairwise(story.boards):
            leader = before.board.leader
            if state.board.epoch == before.board.epoch or leader is None or leader.session == process(state.who):
                continue
            if process(state.who) == NEWCOMER:  # it does not wait, as nobody has to
                continue
            if min(sessions.get(leader.session, state.n) for sessions in (story.dead, story.reaped)) < state.n:
                continue
            lease_s = before.board.leader_lease or story.settings.leader_lease
            if not before.board.is_busy:  # whoever knows of work does not wait for a longer lease
                lease_s = min(lease_s, story.settings.leader_lease)
            if state.at - before.at <= lease_s:
                yield f"event {state.n}: {leader.session} was replaced {state.at - before.at:.2f} s after it wrote"
            elif before.at > story.calm:
                yield f"event {state.n}: {leader.session} was replaced, and nothing kept it from writing"

    return first(faults())


def only_the_fenced_give_up(story: Story) -> Verdict:
    """A session that takes itself for fenced is over, or gone, or has no answer to its first write. One that may hold what
    is limited also gives up once its last stored write is as old as the visibility timeout."""
    is_limited = any(control.limits for _, control in story.controls)

    def lapsed(session: str, n: int) -> bool:
        *_, before, last = (one for one in story.ledgers[session] if one.n < n)
        if last.ledger is None or not (is_limited or last.ledger.limits):
            return False
        return story.events[n].at - before.at >= last.ledger.visibility_timeout

    def faults() -> Iterator[str]:
        for n, session in story.given_up:
            state = story.ledger_before(session, n)
            writes = sum(one.n < n for one in story.ledgers.get(session, ()))
            stands = state is not None and state.ledger is not None and not state.ledger.over
            if writes > 1 and stands and not damaged(story, session, n) and not lapsed(session, n):
                yield f"event {n}: {session} gave up, and its ledger stands"

    return first(faults())


def no_step_raises(story: Story) -> Verdict:
    """Expected outcomes are values. Only an outage of the store ends a step with an exception."""
    return first(story.raised)


def _at_rest(story: Story) -> bool:
    return story.drained is not None and not story.drained.why


def what_was_noted_comes_back(story: Story) -> Verdict:
    """An attempt is given what the message itself has noted, and never less than an earlier one was given. If the attempt
    before it said how it ended, and its ledger was stored, it is given the last that this one noted. What is over leaves
    nothing behind."""
    order = {memo: at for at, memo in enumerate(memo for run in story.runs for memo in run.memos)}

    def faults() -> Iterator[str]:
        for message, runs in story.by_message.items():
            newest, known, expected = -1, set[str](), -1
            for run in runs:
                memo = run.started.memo
                sound = not damaged(story, run.started.session, run.n)
                if memo and memo not in known:
                    yield f"event {run.n}: {message} is given {memo!r}, which it never noted"
                if sound and order.get(memo, -1) < max(newest, expected):
                    yield f"event {run.n}: {message} is given {memo!r}, and had noted something later"
                newest, expected = max(newest, order.get(memo, -1)), -1
                known.update(run.memos)
                if run.memos and _has_told(story, run):
                    expected = order[run.memos[-1]]
        if _at_rest(story) and story.boards and not _stuck(story) and story.boards[-1].board.memos:
            yield f"the last board holds {story.boards[-1].board.memos}"

    return first(faults()) if order else OK


def _has_told(story: Story, run: Run) -> bool:
    """Whether a stored ledger says what this attempt said of its end; a journal only knows that it ended."""
    outcome = story.outcomes.get((run.started.ticket, run.started.offset))
    if outcome is None or outcome.failed is None or run.outcome not in ("retry", "snooze"):
        return False
    failure = outcome.failed.failure
    is_told = outcome.failed.delay_s != _LOST_SNOOZE_S if failure is None else not failure.text
    return outcome.kind == run.outcome and is_told
