"""What is taken away from candidates and coordinators: election, the board, heartbeats, fences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from s3queue.core import cycle, elect, silence, survey
from s3queue.core.chores import fences
from s3queue.core.cycle import Cycled, Deposed, Lead
from s3queue.core.keys import Layout
from s3queue.core.ops import Unknown, get
from s3queue.core.plan import Planned, planning
from s3queue.store import Found, Stored
from s3queue.testing.simulate import Times, Weather
from tests.simulation.mutants import mutant
from tests.simulation.worlds import CALM, DOUBTED, LEADERS, PAUSED_AT_REST, PAUSES, SLOW, ZOMBIE


@mutant(cycle, "write", "I5", weather=LEADERS)
def unfenced_board(write: Any, key: str, body: bytes, **more: Any) -> Any:
    """The board is written only over the version that this coordinator knows."""
    if key == Layout().board:
        found = yield from get(key)
        assert isinstance(found, Found)
        more["if_version"] = found.version
    return (yield from write(key, body, **more))


@mutant(Lead, "beat", "I5", **PAUSED_AT_REST)
def a_heartbeat_replaces_whatever_stands(beat: Any, lead: Lead, **more: Any) -> Any:
    """A heartbeat, too, is written only over the version that this coordinator knows."""
    found = yield from get(lead.layout.board)
    assert isinstance(found, Found)
    lead.version = found.version
    return (yield from beat(lead, **more))


@mutant(Lead, "beat", "I5", **PAUSED_AT_REST)
def a_refused_heartbeat_is_tried_again(beat: Any, lead: Lead, **more: Any) -> Any:
    """A leader whose heartbeat was refused leads no more, and its board is worth nothing."""
    shown = yield from beat(lead, **more)
    if isinstance(shown, Deposed):
        found = yield from get(lead.layout.board)
        assert isinstance(found, Found)
        lead.version, lead.pending = found.version, None
        shown = yield from beat(lead, **more)
    return shown


@mutant(Lead, "beat", "I5", **DOUBTED)
def a_heartbeat_has_no_nonce_of_its_own(beat: Any, lead: Lead, *, nonce: str, **more: Any) -> Any:
    """Every write has a nonce of its own, so that one that was lost is not taken for the one before it."""
    return (yield from beat(lead, nonce=lead.board.nonce, **more))


@mutant(Lead, "beat", "I8", outlast=False, weather=CALM)
def what_ended_sessions_left_is_forgotten(beat: Any, lead: Lead, **more: Any) -> Any:
    """A session that ended when nothing but heartbeats are written is known to have ended, too."""
    shown = yield from beat(lead, **more)
    lead.ended = frozenset()
    return shown


@mutant(Lead, "beat", "lease", outlast=True, weather=CALM)
def a_leader_at_rest_writes_no_heartbeat(_: Any, lead: Lead, *, now: float, nonce: str) -> Any:
    """A leader writes at least every third of a lease, however rarely it polls."""
    lead.written_at = now
    yield from ()
    return Cycled(False, Planned(lead.board))


@mutant(elect, "patience", "lease", weather=SLOW)
def an_impatient_candidate(patience: Any, board: Any, lease_s: float) -> float:
    """A leader that lives is replaced only after it has been silent for a lease."""
    return float(patience(board, lease_s)) / 2


@mutant(
    elect,
    "stand",
    "I5",
    within=1500,
    weather=Weather(fault=0.0, chaos=0.12, kinds=("pause host", "kill agent"), ends=0.0, order=0.3),
    times=replace(Times(), pauses=(2.6, 4.6)),
    shared=True,
    candidates=0,
    hosts=3,
    batches=1,
    storm_s=20.0,
)
def the_term_of_another_is_led(stand: Any, view: Any, *more: Any, **terms: Any) -> Any:
    """Who was replaced before the answer to its election came leads nothing."""
    outcome = yield from stand(view, *more, **terms)
    return Stored(view.version) if isinstance(outcome, Stored) else outcome


@mutant(elect, "replace", "I5")
def the_epoch_stays(replace_: Any, board: Any, **fields: Any) -> Any:
    """Every election begins a new epoch."""
    if "epoch" in fields:
        fields["epoch"] -= 1
    return replace_(board, **fields)


@mutant(planning.Planning, "result", "I2")
def ticket_ids_are_used_again(result: Any, planning: Any) -> Any:
    """A ticket's id is never used twice."""
    planning.sequence = planning.board.sequence
    return result(planning)


@mutant(fences, "write", "I2 P1 I6 P3", **ZOMBIE)
def no_fence(write: Any, key: str, body: bytes, **more: Any) -> Any:
    """A silent host's tickets are free only when its ledger is fenced."""
    if key.startswith(Layout().hosts):
        return Stored("not written")
    return (yield from write(key, body, **more))


@mutant(silence, "patience", "P3", weather=PAUSES)
def impatient_fence(patience: Any, ledger: Any, own_s: float) -> float:
    """A session is fenced after the visibility timeout, not before."""
    return float(patience(ledger, own_s)) / 2


@mutant(survey, "hear", "P3 I11", weather=SLOW, within=300)
def silence_counts_from_the_first_sight(hear: Any, layout: Any, heard: Any, *more: Any) -> Any:
    """Silence is measured from the second look, since the first may be answered late."""
    told = yield from hear(layout, heard, *more)
    for state in heard.values():
        if state.since is None:
            state.since = more[2]
    return told


@mutant(
    survey,
    "hear",
    "P3 I11",
    within=300,
    weather=Weather(fault=0.3, fates=("served", "slow"), whose=("lead",), chaos=0.0, ends=0.0),
    times=replace(Times(), slow=(4.5,)),
    shared=True,
    candidates=0,
    hosts=1,
    storm_s=20.0,
)
def its_own_flush_is_as_old_as_the_cycle(hear: Any, layout: Any, heard: Any, hosts: Any, *more: Any) -> Any:
    """What a host of this process stored during a survey is younger than the survey."""
    at_start = {session: state.version for session, state in heard.items()}
    return (yield from hear(layout, heard, hosts, at_start, *more[1:]))


@mutant(
    fences,
    "write",
    "I8",
    weather=Weather(fault=0.0, chaos=0.05, kinds=("meddle",)),
)
def a_missing_ledger_is_left_alone(write: Any, key: str, body: bytes, **more: Any) -> Any:
    """A ledger that tickets name and that is missing is fenced by creating it."""
    if key.startswith(Layout().hosts) and more["if_version"] is None:
        return Unknown()
    return (yield from write(key, body, **more))


@mutant(silence, "patience", "P3", within=300, weather=CALM, patience=5.0, storm_s=30.0, hosts=2)
def a_hosts_own_timeout_does_not_count(_: Any, ledger: Any, own_s: float) -> float:
    """A host is fenced after its own visibility timeout or the coordinator's, whichever is longer."""
    return own_s


@mutant(elect, "patience", "lease", within=300, weather=CALM, patience=3.0, storm_s=30.0, hosts=2)
def a_leaders_own_lease_does_not_count(_: Any, board: Any, lease_s: float) -> float:
    """A leader is replaced after its own lease or the candidate's, whichever is longer."""
    return lease_s
