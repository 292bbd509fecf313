"""What is taken away from what outlives a board: sources, retired pages, dead letters, fenced ledgers."""

from __future__ import annotations

from typing import Any

from s3queue.core import chores, cycle, hearing, produce, survey
from s3queue.core.agent import leading
from s3queue.core.agent.hosting import Hosting
from s3queue.core.chores import Chores, fences, letters, pages
from s3queue.core.cycle import Doubt, Lead
from s3queue.core.keys import Layout
from s3queue.core.ops import Unknown, delete, get
from s3queue.core.plan import Planned, assign, is_finished
from s3queue.core.term import Term
from s3queue.errors import StoreDenied
from s3queue.store import Missing, Stored
from s3queue.testing.simulate import Weather
from tests.simulation.mutants import mutant
from tests.simulation.worlds import DOUBT, LATE, LEADERS, REFUSED, SLOW_READS, SUCCESSION, SUPERSEDED, UNANSWERED


@mutant(produce, "get", "P1", weather=Weather(fault=0.3, fates=("served", "truncated"), whose=("main",), chaos=0.0))
def a_conflict_on_a_create_is_taken_for_ours(_: Any, key: str) -> Any:
    """What stands under the key of a batch is looked at before it is taken for an earlier try."""
    yield from ()
    return Missing()


@mutant(produce, "put", "P1", weather=UNANSWERED)
def no_answer_is_an_answer(put_: Any, *args: Any) -> Any:
    """A batch is accepted when the store says so."""
    outcome = yield from put_(*args)
    return Stored("perhaps") if isinstance(outcome, Unknown) else outcome


@mutant(survey, "_read_key", "raise", shapes=("corrupt",))
def a_stranger_stops_the_coordinator(read_key: Any, seen: Any, layout: Any, item: Any) -> Any:
    """What cannot be read is left alone and reported, and the rest goes on."""
    source = read_key(seen, layout, item)
    if source is None:
        raise seen.corrupt[-1]
    return source


@mutant(Lead, "_commit", "I4", weather=LEADERS)
def deleted_before_the_commit(commit: Any, lead: Lead, planned: Planned, *more: Any) -> Any:
    """A source is deleted when a committed board says that it is settled."""
    finished = [path for path, state in planned.board.sources.items() if is_finished(path, state)]
    yield from delete([lead.layout.source(path) for path in finished])
    return (yield from commit(lead, planned, *more))


@mutant(chores, "is_finished", "I4")
def deleted_when_all_is_out(_: Any, path: str, state: Any) -> bool:
    """A source is deleted only after every message in it is settled."""
    return not (state.ready or state.waiting or state.dying)


@mutant(assign, "tickets", "P6 I9", weather=LATE)
def no_window(tickets: Any, planning: Any, sources: Any, window: Any, *more: Any) -> None:
    """A source whose id is in the window is never admitted again."""
    tickets(planning, sources, (), *more)


@mutant(Term, "uptime_ms", "P6 I9", weather=LATE, within=400)
def the_window_closes_early(_: Any, term: Term, now: float) -> int:
    """An id stays in the window until no request of its producer can land any more."""
    return term.uptime_base_ms + int((now - term.since) * 20_000)


@mutant(leading, "take_office", "I9")
def uptime_begins_anew(take_office: Any, *args: Any) -> Any:
    """The clock of the window survives a change of leader."""
    lead = yield from take_office(*args)
    lead.term.uptime_base_ms = 0
    return lead


@mutant(cycle, "list_all", "P6 I9", within=300, **SUCCESSION)
def a_new_leader_forgets(_: Any, prefix: str) -> Any:
    """A new coordinator loads the retired pages before it assigns anything."""
    yield from ()
    return []


@mutant(pages, "put", "P6 I9", within=300, **SUCCESSION)
def the_page_is_not_stored(put_: Any, key: str, *more: Any) -> Any:
    """A finished source leaves the board only when its id is on a stored page."""
    if key.startswith(Layout().retired):
        return Stored("not written")
    return (yield from put_(key, *more))


@mutant(letters, "put", "P1", weather=UNANSWERED, shapes=("poison", "corrupt"))
def a_dead_letter_is_taken_for_stored(put_: Any, key: str, *more: Any) -> Any:
    """A dead message counts as settled only when its dead letter is stored."""
    outcome = yield from put_(key, *more)
    return Stored("perhaps") if isinstance(outcome, Unknown) and "/dead/" in key else outcome


@mutant(letters.Letters, "_write", "P1", within=300, shapes=("poison", "corrupt"))
def one_letter_for_all(write_letters: Any, of: letters.Letters, path: str, state: Any, *more: Any) -> Any:
    """Every dead message has a letter of its own, unless nobody can read it."""
    news = yield from write_letters(of, path, state, *more)
    if any(one == path for one, _ in of.written):
        of.written.update((path, index) for index in state.dying)
    return news


@mutant(Lead, "_commit", "I4 I11", weather=DOUBT)
def a_board_in_doubt_is_taken_for_stored(commit: Any, lead: Lead, planned: Planned, *more: Any) -> Any:
    """What follows from a board is done when it is known to stand."""
    outcome = yield from commit(lead, planned, *more)
    if isinstance(outcome, Doubt):
        lead.pending, lead.board, lead.version = None, planned.board, "perhaps"
        lead.view.learn(planned.board, "perhaps")
        return lead._cycled(True, planned, *more[-2:])
    return outcome


@mutant(Chores, "follow", "I1", within=1200, **SUPERSEDED)
def a_ledger_is_deleted_as_soon_as_fenced(follow: Any, of: Chores, facts: Any, heard: Any, *more: Any) -> None:
    """A fenced ledger is deleted only after a board that was planned knowing of the fence."""
    over = frozenset(name for name, state in heard.items() if state.ledger and state.ledger.over)
    follow(of, facts._replace(ended=over), heard, *more)


@mutant(Chores, "follow", "I1")
def idle_ledgers_are_deleted(follow: Any, of: Chores, facts: Any, heard: Any, *more: Any) -> None:
    """A ledger is deleted only when it is over."""
    follow(of, facts._replace(ended=frozenset(heard)), heard, *more)


@mutant(fences.Fences, "_fence", "I1", within=300, weather=SLOW_READS)
def an_unread_ledger_is_fenced_unread(fence: Any, of: fences.Fences, session: str, silent: Any, *more: Any) -> Any:
    """A ledger that could not be read is read before it is fenced: it may be over already."""
    return (yield from fence(of, session, silent._replace(is_read=True), *more))


@mutant(hearing, "get_within", "I8", within=300, weather=REFUSED)
def an_unreadable_ledger_stops_the_cycle(_: Any, keys: Any, within_s: float) -> Any:
    """A ledger that cannot be read is passed over."""
    found: list[Any] = []
    for key in keys:
        found.append((yield from get(key)))
    return found


@mutant(Lead, "_cycle", "I8", within=300, weather=REFUSED, shapes=("poison",))
def a_refused_letter_stops_the_cycle(cycle_: Any, lead: Lead, *args: Any) -> Any:
    """Nothing but the board's own write stops a cycle."""
    if any("#" in key for key in lead.chores.troubles.keys):
        raise StoreDenied("put", "a dead letter")
    return (yield from cycle_(lead, *args))


@mutant(Hosting, "_is_shut_out", "I8", within=300, weather=REFUSED, hosts=1, shapes=("plain",))
def a_session_that_is_shut_out_stays(_: Any, of: Hosting, fault: Exception) -> bool:
    """A host whose ledger the store refuses for ever begins another session."""
    return False
