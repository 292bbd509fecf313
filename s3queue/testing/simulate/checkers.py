"""All checkers by name, and the situations that must happen sometimes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from s3queue.core.records import PURGE_LETTERS
from s3queue.testing.simulate import (
    bounds,
    dozing,
    glances,
    halts,
    invariants,
    lives,
    newcomers,
    once,
    promises,
    results,
    steering,
    ticking,
)
from s3queue.testing.simulate.history import Deleted
from s3queue.testing.simulate.lives import begun
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict

CHECKERS: dict[str, Callable[[Story], Verdict]] = {
    "I1": invariants.i1_a_fenced_ledger_never_changes,
    "I2": invariants.i2_a_message_is_in_one_place,
    "I3": invariants.i3_one_outcome,
    "I4": invariants.i4_sources_are_deleted_when_settled,
    "I5": invariants.i5_epochs_rise,
    "I6": invariants.i6_an_attempt_runs_once,
    "I7": invariants.i7_attempts_are_counted,
    "I8": invariants.i8_everything_drains,
    "I9": invariants.i9_a_finished_source_never_runs_again,
    "I10": invariants.i10_groups_go_in_order,
    "I11": invariants.i11_nothing_runs_unclaimed,
    "I12": results.i12_a_result_is_shown_when_its_message_is_committed,
    "I13": steering.i13_a_cancelled_message_does_not_start,
    "I14": bounds.i14_no_limit_is_passed,
    "I15": ticking.i15_a_tick_is_enqueued_once,
    "I16": lives.i16_a_life_answers_one_death,
    "I17": once.i17_what_is_enqueued_only_once_is,
    "I18": steering.i18_a_purge_ends_what_was_there_and_nothing_later,
    "I19": steering.i19_a_paused_queue_gets_no_ticket,
    "I20": steering.i20_an_answer_stays_true,
    "I21": bounds.i21_no_lane_waits_while_others_are_served,
    "I22": dozing.i22_a_dozing_host_can_claim_before_it_is_fenced,
    "I23": results.i23_results_are_stored_first_and_swept_last,
    "P1": promises.p1_no_accepted_message_is_lost,
    "P2": promises.p2_committed_exactly_once,
    "P3": promises.p3_runs_once_unless_something_died,
    "P4": promises.p4_a_dead_worker_costs_no_finished_work,
    "P5": promises.p5_a_dead_host_costs_at_most_what_it_had_not_flushed,
    "P6": promises.p6_nothing_is_enqueued_twice,
    "notes": promises.what_was_noted_comes_back,
    "breaker": bounds.an_open_breaker_lets_one_through,
    "halts": halts.a_paused_task_does_not_start,
    "expiry": bounds.nothing_begins_after_it_expired,
    "glance": glances.a_result_is_readable_exactly_when_its_message_is_committed,
    "letters": glances.a_letter_holds_its_message,
    "newer": newcomers.what_a_newer_release_has_entered_stays,
    "alone": promises.suspects_run_alone,
    "innocent": promises.innocents_pay_nothing,
    "fits": promises.what_is_unfit_goes_where_it_fits,
    "hidden": promises.nobody_is_hidden,
    "lease": promises.leaders_are_replaced_when_silent,
    "give-up": promises.only_the_fenced_give_up,
    "raise": promises.no_step_raises,
}


def judge(story: Story) -> dict[str, Verdict]:
    """What every checker says of a history."""
    return {name: check(story) for name, check in CHECKERS.items()}


#: What ought to happen in some schedule of many; if it never does, something is not being tested.
SOMETIMES = (
    "a request took effect and was not answered",
    "a request was lost",
    "a batch was stored without its body",
    "a late request took effect",
    "a late request came to nothing",
    "the store was there for nobody",
    "the store refused a key for ever",
    "a read took longer than it was waited for",
    "a leader was deposed",
    "a leader that was gone was replaced at once",
    "a leader resigned",
    "a board in doubt was sent again",
    "an unanswered election was found out",
    "a leader wrote a heartbeat between cycles",
    "a leader was deposed by its heartbeat",
    "a heartbeat was not answered",
    "a new leader read retired pages",
    "a silent host was fenced",
    "a fenced host was refused",
    "a missing ledger was fenced",
    "what a fenced host had claimed ran again",
    "a host left",
    "a host dozed",
    "a dozing host claimed",
    "a leader announced a longer lease",
    "a chore let the board go first",
    "a journal outlived its agent",
    "a flush was not answered",
    "a worker waited for the trust window",
    "messages were recalled",
    "messages were released",
    "a message snoozed",
    "a message expired with its host",
    "a host ended what it ran, since it was silent",
    "messages expired before any host had them",
    "a limit was reached",
    "a circuit breaker opened",
    "a circuit breaker closed",
    "a message went on from what it had noted",
    "a message fitted no host at first",
    "a message of a paused task was given back",
    "an operator saw that a paused task is idle",
    "a waiting message was moved off the board",
    "a message ran that was moved off the board",
    "a poison message died alone",
    "a late request of a producer was refused",
    "a producer gave up",
    "a retired page left the window",
    "an operator saw that a change holds",
    "a host declared its schedules",
    "a schedule ticked",
    "missed ticks were made up for",
    "an operator was told: purged",
    "a running message was told that it is cancelled",
    "a cancelled message ended with its process",
    *(f"an operator was told: {answer}" for answer in ("cancelled", "ready", "running", "done", "over", "absent")),
    *(f"an operator was told of letters: {answer}" for answer in ("redriven", "purged", "no", "some of them")),
    "a redriven message was done",
    "a redriven message died again",
    "a letter got another payload",
    "an old tombstone was deleted",
    "an old dead letter was purged",
    "a newer release led",
    "a leader left alone what a newer release has entered",
    "a host left a ticket of a newer release alone",
)


def happened(story: Story) -> Iterator[str]:
    """What is worth having happened, and shows only in the whole history."""
    for over in story.ended.values():
        if over.ledger is not None and over.ledger.fenced and not over.who.endswith("/host"):
            yield "a silent host was fenced"
            if over.ledger.unread:
                yield "a missing ledger was fenced"
    if story.given_up:
        yield "a fenced host was refused"
    if any(outcome.kind == "released" for outcome in story.outcomes.values()):
        yield "messages were released"
    if any(
        key.startswith(story.layout.retired)
        for event in story.events
        if isinstance(event, Deleted)
        for key in event.keys
    ):
        yield "a retired page left the window"
    if story.forgotten:
        yield "an old tombstone was deleted"
    is_purged = any(letter.ending == "purged" for states in story.letter_states.values() for _, letter in states)
    if is_purged and not any(request.kind == PURGE_LETTERS for _, request in story.letter_requests.values()):
        yield "an old dead letter was purged"
    for life in begun(story):
        ends = {how for _, how in story.committed.get(life, ())}
        if "done" in ends:
            yield "a redriven message was done"
        if "dead" in ends:
            yield "a redriven message died again"
        if any(run.started.payload.startswith(b"\xabedited") for run in story.by_message.get(life, ())):
            yield "a letter got another payload"
    yield from bounds.happened(story)
    if story.moved_off:
        yield "a waiting message was moved off the board"
    if any(run.message[0] in story.targets for run in story.runs):
        yield "a message ran that was moved off the board"
    for earlier, state in pairwise(story.boards):
        ticks = [path for path in state.board.sources.keys() - earlier.board.sources.keys() if path.startswith("tick/")]
        if ticks:
            yield "a schedule ticked"
        if len(ticks) > 3:
            yield "missed ticks were made up for"
    last = story.settings.max_attempts
    for runs in story.by_message.values():
        for before, run in pairwise(runs):
            fence = story.ended.get(before.started.session)
            if fence is not None and fence.n < run.n and not fence.who.endswith("/host"):
                yield "what a fenced host had claimed ran again"
        if runs[-1].started.attempt == last and [run.outcome for run in runs] == ["killed"] * last:
            tickets = [story.tickets[run.started.ticket][1].size for run in runs]
            if tickets[1:] == [1] * (last - 1):
                yield "a poison message died alone"
