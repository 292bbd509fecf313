"""The parts of a world, its clocks, and its faults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from s3queue.core.plan import Settings
from s3queue.core.records import Breaker, Limit, Limits
from s3queue.testing.simulate.choices import Choices

#: What may become of a request. ``served`` first. What is not possible for a read or a delete is left out there.
#: ``unanswered``: applied, no answer. ``late``: no answer, applied after the sender gave up. ``dropped``: no answer, never
#: applied. ``refused``: 503, and tried again at once by the driver. ``slow``: applied later, and answered then.
#: ``outage``: refused for longer than the driver's patience. ``truncated``: no answer; of a batch an empty object is
#: stored, anything else is dropped.
FATES = ("served", "unanswered", "late", "dropped", "refused", "slow", "outage", "truncated")
#: What may happen to processes and hosts.
KINDS = (
    "kill worker",
    "kill agent",
    "kill host",
    "kill candidate",
    "pause host",
    "pause worker",
    "pause candidate",
    "drain host",
    "give back",
    "meddle",
    "refuse",
    "outage",
    "kill operator",
    "kill caller",
    "pause caller",
)


_SETTINGS = Settings(
    visibility_timeout=4.0,
    leader_lease=2.0,
    ticket_target=0.3,
    window_s=13.0,
    max_parked=1,
    max_attempts=3,
    unfit_pause=2.0,
    summary_s=1.0,
    census_s=0.5,
    result_grace_s=6.0,
    purge_page=2,
)


@dataclass(frozen=True)
class Times:
    """All in seconds of virtual time. Smaller than in production, in about the same proportions.

    Attributes:
        late: how long after it was sent a request may land. The greatest is below ``window_s`` less the deadline.
        slow: how long a request may be on its way before it is applied and answered.
        pauses: how long a process may stand still; some are longer than lease and visibility timeout.
        tasks: how long a message runs. delays: after how long it is to run again.
        restart: how long until something new comes in place of what ended.
        results: for how long what tasks return is kept.
        again: how long a producer waits for another try. between: and between two batches.
    """

    settings: Settings = _SETTINGS
    enqueue_deadline: float = 4.0
    ack: float = 0.2
    busy: float = 0.3
    latency: float = 0.02
    unanswered: float = 0.4
    patience: float = 1.0
    late: tuple[float, ...] = (0.1, 0.5, 1.2, 3.0, 5.5, 8.5)
    slow: tuple[float, ...] = (0.1, 0.5, 1.5, 4.5)
    pauses: tuple[float, ...] = (0.7, 2.6, 4.6, 9.0)
    tasks: tuple[float, ...] = (0.05, 0.0, 0.4, 1.3, 5.0)
    delays: tuple[float, ...] = (0.0, 0.4, 1.5)
    restart: tuple[float, ...] = (0.1, 1.0, 3.0)
    results: tuple[float, ...] = (30.0, 1.0)
    again: tuple[float, ...] = (0.05, 1.0, 2.5)
    between: tuple[float, ...] = (0.0, 0.3, 1.0)


#: Of worlds with pauses in which hosts doze, and leaders announce a longer lease. An idle leader polls every 3.6 s.
DOZY = Times(
    settings=_SETTINGS._replace(visibility_timeout=2.0, leader_lease=4.5, idle_lease=9.0),
    between=(0.0, 7.0, 11.0),
)


@dataclass(frozen=True)
class Weather:
    """
    Attributes:
        fault: of all requests, how many have another fate than ``served``.
        whose: only requests of such actors: ``host`` and ``lead`` of an agent, ``main`` of a producer or candidate.
        chaos: of all moves, before how many something happens to a process.
        order: how often the one whose turn it is moves.
        ends: of all messages, how many end otherwise than ``ok``.
    """

    fault: float = 0.04
    fates: tuple[str, ...] = FATES
    whose: tuple[str, ...] = ()
    chaos: float = 0.01
    kinds: tuple[str, ...] = KINDS
    order: float = 0.6
    ends: float = 0.15


@dataclass(frozen=True)
class Scene:
    """
    Attributes:
        machines: hosts are spread over so many; those of one see each other's processes end.
        shared: every agent is also a candidate, with one view of the board for both roles, as in production. Otherwise
            hosts only host, and ``candidates`` are hosts without workers that coordinate.
        billed: requests cost money, so that polls and writes are paced.
        shapes: what kinds of batches producers send; see `s3queue.testing.simulate.producers`.
        operators: those who pause and resume queues meanwhile. halts: and tasks.
        redrivers: who redrive and purge dead letters.
        deaths: of all attempts during the storm, how many are the last ones, whatever they are.
        notes: some attempts note something for the next.
        callers: those who enqueue something only once, behind the same few gates.
        readers: those who ask for results. With any, tasks keep what they return.
        crowd: batches of one group that each producer sends before all others.
        patience: time-outs and leases of every other host are so many times as long.
        limits: what hosts declare of the first queue; operators change it, if there are any.
        page: the longest page of a survey; small ones make it skip and come back.
        width: of how many the next one to move is chosen.
        storm_s: how long there are faults.
        doze_s: hosts without work write so rarely; 0: as often as others.
        outlast: go on until the last retired page has left the window.
        newer: a coordinator of a newer release leads now and then.
        schedules: who change schedules meanwhile; if there are any, hosts declare some, too.
        astray_s: how far the wall clock of the first machine is ahead.
    """

    machines: int = 2
    hosts: int = 2
    workers: int = 1
    slots: int = 2
    shared: bool = True
    billed: bool = False
    candidates: int = 0
    producers: int = 1
    batches: int = 3
    most: int = 3
    crowd: int = 0
    operators: int = 0
    halts: bool = False
    redrivers: int = 0
    deaths: float = 0.0
    notes: bool = False
    readers: int = 0
    callers: int = 0
    limits: Limits | None = None
    patience: float = 1.0
    shapes: tuple[str, ...] = ("plain",)
    page: int = 1000
    width: int = 4
    storm_s: float = 6.0
    doze_s: float = 0.0
    outlast: bool = False
    schedules: int = 0
    astray_s: float = 0.0
    newer: bool = False
    weather: Weather = Weather()
    times: Times = Times()


def settings_of(scene: Scene, number: int) -> Settings:
    """What the host with this number lives by."""
    settings = scene.times.settings
    factor = scene.patience if number % 2 else 1.0
    if scene.redrivers and not scene.billed:
        settings = settings._replace(letters_at_once=1)  # as where a store has one writer at a time
    return settings._replace(
        visibility_timeout=settings.visibility_timeout * factor, leader_lease=settings.leader_lease * factor
    )


#: Each schedule has one of these. Few kinds of trouble at a time find more than all at once.
_WEATHERS = (
    Weather(fault=0.08, chaos=0.02),
    Weather(fault=0.2, chaos=0.0),
    Weather(fault=0.0, chaos=0.04),
    Weather(fault=0.3, fates=("served", "late", "unanswered"), chaos=0.02, kinds=("pause host", "pause candidate")),
    Weather(fault=0.15, fates=("served", "slow", "late", "dropped"), chaos=0.04, kinds=("kill worker", "kill agent")),
    Weather(fault=0.03, chaos=0.06, kinds=("pause host", "pause worker", "pause candidate", "kill candidate")),
    Weather(fault=0.03, chaos=0.04, kinds=("drain host", "kill host", "give back"), order=0.4),
    Weather(fault=0.1, fates=("served", "slow", "outage", "refused"), chaos=0.02, kinds=("kill agent", "meddle")),
    Weather(fault=0.6, whose=("main",), chaos=0.01, kinds=("kill host", "kill agent")),
    Weather(fault=0.05, chaos=0.03, kinds=("outage", "kill host", "pause host")),
    Weather(fault=0.1, chaos=0.02, kinds=("kill candidate", "kill agent", "pause candidate"), ends=0.6),
    Weather(fault=0.05, chaos=0.04, kinds=("refuse", "kill worker", "kill host"), ends=0.4),
)
_SHAPES = (
    ("plain",),
    ("plain", "grouped", "later"),
    ("plain", "poison", "bomb"),
    ("plain", "corrupt", "later", "urgent"),
    ("grouped",),
    ("grouped", "grouped later"),
    ("plain", "other", "urgent", "new"),
)
#: Limits, and what is sent where they hold.
_BOUNDED: tuple[tuple[Limits | None, tuple[str, ...]], ...] = (
    (Limits(Limit(max_running=1)), ("plain", "keyed", "grouped")),
    (Limits(Limit(max_running=2), Limit(max_running=1)), ("keyed", "keyed", "plain")),
    (Limits(each=Limit(max_running=1), fair=True), ("keyed", "keyed", "keyed brief")),
    (Limits(Limit(rate=2.0), Limit(rate=1.0)), ("keyed", "plain")),
    (Limits(fair=True, weights={"b": 2}, ageing_s=1.0), ("keyed", "keyed", "urgent", "keyed later", "grouped")),
    (Limits(breaker=Breaker(2, 3.0, 1.5)), ("plain", "other")),
    (None, ("brief", "plain", "keyed brief", "brief later")),
)


def draw(choices: Choices) -> Scene:
    """A small world; which one is part of the schedule."""
    scene = Scene(
        weather=choices.choose(_WEATHERS),
        shapes=choices.choose(_SHAPES),
        shared=choices.choose((True, False)),
        billed=choices.choose((False, True)),
        hosts=choices.choose((2, 1, 3)),
        workers=choices.choose((1, 2)),
        slots=choices.choose((2, 1, 3)),
        producers=choices.choose((1, 2)),
        most=choices.choose((3, 5)),
        page=choices.choose((1000, 1000, 2)),
        storm_s=choices.choose((4.0, 7.0, 10.0)),
    )
    outlast, operators, redrivers = choices.choose(
        ((False, 0, 0), (True, 0, 0), (False, 1, 0), (False, 2, 0), (False, 3, 0), (False, 1, 1), (False, 0, 2)),
        calm=0.65,
    )
    scene = replace(scene, outlast=outlast, operators=operators, redrivers=redrivers, halts=operators > 2)
    scene = replace(scene, notes=scene.weather.ends > Weather.ends)
    if redrivers:
        weather = replace(scene.weather, chaos=scene.weather.chaos / 3)
        scene = replace(scene, deaths=0.6, storm_s=20.0, weather=weather)
        if choices.choose((False, True), calm=0.7):
            settings = scene.times.settings._replace(dead_retention=16.0, letter_retention=5.0)
            scene = replace(scene, times=replace(scene.times, settings=settings))
    readers, callers = choices.choose(((0, 0), (2, 0), (0, 3)), calm=0.7)
    scene = replace(scene, readers=0 if redrivers else readers, callers=callers)
    limits, shapes = choices.choose(((None, ()), *_BOUNDED), calm=0.75)
    if limits is not None:
        scene = replace(scene, limits=limits, shapes=shapes)
    elif shapes:
        scene = replace(scene, shapes=shapes)
    if scene.billed and choices.choose((False, True), calm=0.7):
        scene = replace(scene, doze_s=4.0, times=DOZY, storm_s=scene.storm_s + 16.0)
    if not operators and choices.choose((False, True), calm=0.85):
        scene = replace(scene, schedules=1)
    if choices.choose((False, True), calm=0.9):
        scene = replace(scene, newer=True)
    return scene if scene.shared else replace(scene, candidates=2)
