"""One function per invariant. Each reads the history and says ok, bad, or unknown.

Where somebody removed a ledger by hand, its session cannot keep the rules that rest on it; those sessions are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.keys import Source, parse_source
from s3queue.core.plan import is_finished
from s3queue.core.ranges import members
from s3queue.core.records import Board, Ticket
from s3queue.testing.simulate.chronicle import LedgerAt, Run, process
from s3queue.testing.simulate.moves import illegal, unfounded
from s3queue.testing.simulate.posts import posts
from s3queue.testing.simulate.story import Story, damaged
from s3queue.testing.simulate.verdicts import Verdict, first, unknown


def i1_a_fenced_ledger_never_changes(story: Story) -> Verdict:
    """Nor one that was left; it may only be deleted, once no board names it. Nothing comes back after that but a fence."""

    def faults() -> Iterator[str]:
        for session, states in story.ledgers.items():
            before: LedgerAt | None = None
            for state in states:
                if before is not None:
                    yield from _ledger_faults(story, session, before, state)
                before = state

    return first(faults())


def _ledger_faults(story: Story, session: str, before: LedgerAt, state: LedgerAt) -> Iterator[str]:
    what = f"event {state.n}: the ledger of {session}"
    was_over = before.ledger is not None and before.ledger.over
    if state.ledger is None:
        if state.who == "somebody":
            return
        if not was_over:
            yield f"{what} was deleted while it lived"
        board = story.board_before(state.n)
        if board is not None and any(ticket.session == session for ticket in board.tickets.values()):
            yield f"{what} was deleted while the board named it"
    elif was_over:
        yield f"{what} changed after it was over"
    elif before.ledger is None and not state.ledger.over:
        yield f"{what} came back to life"


def i2_a_message_is_in_one_place(story: Story) -> Verdict:
    """In one ticket at most; and a ticket stays what it is, and with whom it is, and is never used again."""

    def faults() -> Iterator[str]:
        yield from story.doubled
        before: dict[str, Ticket] = {}
        used: set[str] = set()
        for state in story.boards:
            for name, ticket in state.board.tickets.items():
                known = before.get(name)
                if known is None:
                    if name in used:
                        yield f"event {state.n}: ticket {name} came back"
                    used.add(name)
                elif known != ticket:
                    grown = set(members(ticket.taken)) >= set(members(known.taken))
                    if (known.session, known.parts) != (ticket.session, ticket.parts) or not grown:
                        yield f"event {state.n}: ticket {name} changed from {known} to {ticket}"
            before = state.board.tickets
        yield from (why for rule, why in illegal(story) if rule == "I2")

    return first(faults())


def i3_one_outcome(story: Story) -> Verdict:
    """A message is done or dead once, and does not run after that. What a ledger said of it stays said."""

    def faults() -> Iterator[str]:
        yield from story.changed_outcomes
        yield from (why for rule, why in illegal(story) if rule == "I3")
        for message, commits in story.committed.items():
            if len(commits) > 1:
                yield f"{message} was committed {len(commits)} times: {commits}"
            for run in story.by_message.get(message, ()):
                if run.n > commits[0][0] and not damaged(story, run.started.session, run.n):
                    yield f"event {run.n}: {message} runs, and was {commits[0][1]} at event {commits[0][0]}"

    return first(faults())


def i4_sources_are_deleted_when_settled(story: Story) -> Verdict:
    """Every message of a deleted source had been settled on a committed board."""
    finished: dict[str, int] = {}
    for state in story.boards:
        for path, source in state.board.sources.items():
            if path not in finished and is_finished(path, source):
                finished[path] = state.n
    return first(
        f"event {n}: {who} deleted {path}, which was not settled"
        for path in story.landed
        for n, who, there in story.sources[path]
        if not there and finished.get(path, n) >= n
    )


def i5_epochs_rise(story: Story) -> Verdict:
    """One writer per epoch, and after it only later ones. Every board follows the one before it."""

    def faults() -> Iterator[str]:
        epoch, turn, founder = 0, 0, ""
        for state in story.boards:
            board, who = state.board, process(state.who)
            if board.turn != turn + 1:
                yield f"event {state.n}: turn {board.turn} after turn {turn}"
            if board.epoch == epoch + 1:
                founder = who
                if board.leader is None or board.leader.session != who:
                    yield f"event {state.n}: {who} began epoch {board.epoch} for {board.leader}"
            elif board.epoch != epoch:
                yield f"event {state.n}: epoch {board.epoch} after epoch {epoch}"
            elif who != founder:
                yield f"event {state.n}: {who} wrote in the epoch of {founder}"
            epoch, turn = board.epoch, board.turn

    return first(faults())


def i6_an_attempt_runs_once(story: Story) -> Verdict:
    """Unless the task asked for the same attempt again (a snooze)."""

    def faults() -> Iterator[str]:
        for message, runs in story.by_message.items():
            last: dict[int, Run] = {}
            for run in runs:
                before = last.get(run.started.attempt)
                if before is not None and not _snoozed(before, run):
                    yield (
                        f"event {run.n}: attempt {run.started.attempt} of {message} runs again in {run.started.who}; "
                        f"it ran in {before.started.who} at event {before.n} ({before.outcome or 'not over'})"
                    )
                last[run.started.attempt] = run

    return first(faults())


def _snoozed(before: Run, run: Run) -> bool:
    return before.outcome == "snooze" and before.ended_n is not None and before.ended_n < run.n


def i7_attempts_are_counted(story: Story) -> Verdict:
    """Never more than the maximum; each failure counts, and nothing else does."""

    def faults() -> Iterator[str]:
        for run in story.runs:
            if run.started.attempt - story.spared(run.message, run.n) > story.settings.max_attempts:
                yield f"event {run.n}: attempt {run.started.attempt} of {run.message}"
        yield from (why for rule, why in illegal(story) if rule == "I7")
        yield from (why for rule, why in unfounded(story) if rule == "I7")

    return first(faults())


def i8_everything_drains(story: Story) -> Verdict:
    """Once faults stop, all is done within a bound, and nothing is left that nobody needs."""
    drained, layout = story.drained, story.layout
    if drained is None:
        return unknown("the history stops before its end")

    def faults() -> Iterator[str]:
        if drained.why:
            yield f"not at rest at {drained.at:.1f} s: {drained.why}"
        uptime_ms = story.boards[-1].board.uptime_ms if story.boards else 0
        # A leader without work writes, and looks, once in a lease at least.
        slack_s = max(5.0, 2 * story.settings.leader_lease)
        kept = (f"{layout.root}/{one}/" for one in ("aside", "dead", "meta", "payloads"))
        others = *kept, layout.results, layout.gates, layout.schedule("")
        for key in drained.keys:
            if key in story.pages:
                page = story.pages[key][1]
                expired = page.uptime_ms + (story.settings.window_s + slack_s) * 1000 < uptime_ms
                if expired and drained.at > story.calm + 5.0 and not story.is_unheard(key):
                    yield f"{key} has left the window, and is still there"
            elif key in (layout.board, layout.control, layout.summary) or key.startswith(layout.hosts):
                continue
            elif key.startswith(layout.home):
                if layout.path(key) in story.landed and layout.path(key) not in drained.stuck:
                    yield f"{key} is still there"
            elif not key.startswith((layout.home, layout.answers, *others)):
                yield f"{key} is still there"

    return first(faults())


def i9_a_finished_source_never_runs_again(story: Story) -> Verdict:
    """A source that has left the board is not admitted again. The clock that says for how long is never ahead of time, and
    never goes back."""

    def faults() -> Iterator[str]:
        uptime_ms = 0
        for state in story.boards:
            if not uptime_ms <= state.board.uptime_ms <= (state.at - story.boards[0].at) * 1000 + 1:
                yield f"event {state.n}: the uptime is {state.board.uptime_ms} ms, and was {uptime_ms} ms"
            uptime_ms = state.board.uptime_ms
        gone: set[str] = set()
        before: set[str] = set()
        for state in story.boards:
            now = set(state.board.sources)
            for path in sorted(now & gone):
                if is_finished(path, state.board.sources[path]):
                    continue  # somebody asked to cancel what was forgotten
                yield f"event {state.n}: {path} was finished, and is on the board again"
            gone |= before - now
            before = now

    return first(faults())


def i10_groups_go_in_order(story: Story) -> Verdict:
    """Of one group one message at a time is out, and none before those that were there when it was admitted. Where no
    survey sees everything: none before those that were there when it was stored."""
    if not any(parse_source(path).group for path in story.landed):
        return unknown("no groups")
    return first(_group_faults(story))


def _group_faults(story: Story) -> Iterator[str]:
    admitted_at: dict[str, int] = {}
    known: set[str] = set()
    for state in story.boards:
        board = state.board
        for path in board.sources:
            if path not in admitted_at:
                seen = story.survey_before(state.who, state.n) or 0
                admitted_at[path] = min(seen, story.landed.get(path, seen)) if story.short_surveys else seen
        if board.tickets.keys() <= known:
            continue
        for name in sorted(board.tickets.keys() - known):
            part = board.tickets[name].parts[0]
            source = parse_source(part.source)
            if source.group is not None:
                yield from _out_of_turn(story, board, state.n, name, source, part.start, admitted_at)
        known |= board.tickets.keys()
    for run in story.runs:
        yield from _overlaps(story, run)


def _out_of_turn(
    story: Story, board: Board, n: int, name: str, source: Source, index: int, admitted_at: dict[str, int]
) -> Iterator[str]:
    if board.tickets[name].size != 1:
        yield f"event {n}: ticket {name} holds more than one message of group {source.group}"
    places = posts(board, [])
    for path, others in places.items():
        if path != source.path and (source.is_borrowed or path.startswith("dead/")):
            other = parse_source(path)
            out = [post.ticket for post in others.values() if post.kind == "ticket"]
            if out and (other.queue, other.group) == (source.queue, source.group):
                yield f"event {n}: tickets {name} and {out[0]} hold messages of one group"
    if source.is_borrowed:
        return  # it goes before what waits, and after what has begun
    for path, landed in story.landed.items():
        other = parse_source(path)
        if (other.queue, other.group) != (source.queue, source.group) or path > source.path:
            continue
        if path not in places:
            # What is due is in line by when it was sent.
            behind = other.due_ms is None and source.due_ms is not None and other.rank > source.rank
            if not behind and path not in admitted_at and landed < admitted_at[source.path]:
                yield f"event {n}: ticket {name} is before {path}, which nobody has seen"
            continue
        for at, post in places[path].items():
            if post.kind == "ticket" and (path, at) != (source.path, index):
                yield f"event {n}: tickets {name} and {post.ticket} hold messages of one group"
            earlier = other.rank < source.rank or (path == source.path and at < index)
            live = post.kind in ("ready", "waiting", "ticket")
            if earlier and live and landed < admitted_at[source.path]:
                yield f"event {n}: ticket {name} is before message {at} of {path}, which is {post}"


def _overlaps(story: Story, run: Run) -> Iterator[str]:
    source = parse_source(run.started.path)
    if source.group is None:
        return
    for before in story.runs:
        if before.n >= run.n:
            return
        other = parse_source(before.started.path)
        over = story.ended.get(before.started.session)
        if (
            (other.queue, other.group) == (source.queue, source.group)
            and (before.ended_n is None or before.ended_n > run.n)
            and (over is None or over.n > run.n)
        ):
            yield f"event {run.n}: {run.message} runs while {before.message} of the same group does"


def i11_nothing_runs_unclaimed(story: Story) -> Verdict:
    """When a message starts, its host's stored ledger claims its ticket, and is not over."""

    def faults() -> Iterator[str]:
        for run in story.runs:
            session, ticket, n = run.started.session, run.started.ticket, run.n
            if damaged(story, session, n):
                continue
            state = story.ledger_before(session, n)
            if state is None or state.ledger is None:
                yield f"event {n}: {session} runs ticket {ticket} and has no ledger"
            elif state.ledger.over:
                yield f"event {n}: {session} runs ticket {ticket} and is over since event {state.n}"
            elif ticket not in state.ledger.claims:
                yield f"event {n}: {session} runs ticket {ticket}, which it does not claim"
            known = story.tickets.get(ticket)
            if known is None or known[0] > n or known[1].session != session:
                yield f"event {n}: {session} runs ticket {ticket}, which no board gave it"
                continue
            offset = run.started.offset
            part = next(known[1].spans((offset, offset + 1)), None)
            if part is None or (part.source, part.start, part.attempt) != (*run.message, run.started.attempt):
                yield f"event {n}: offset {offset} of ticket {ticket} is {part}, and {run.message} runs"

    return first(faults())
