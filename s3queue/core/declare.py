"""Make schedules exist: an object with task and payload for each revision, then a control that names it.

The object is stored before anything names it. Its revision is random, and an object is created once, so that two writers
that change one schedule at the same time never share an object; the control decides which of them counts.

An object is offered to one control only. A change that met a conflict may have been stored before that of the others, and
what they replace is deleted. So the next try stores objects of its own. One that nothing names is deleted a day later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from itertools import count
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core.keys import Layout
from s3queue.core.operate import try_to_change
from s3queue.core.ops import Overtaken, Step, Unknown, get, put
from s3queue.core.records import Control, Schedule, decode
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Stored

#: Most revisions that are tried for one object.
_TRIES = 5


class Declared(NamedTuple):
    """A schedule that is to be.

    Attributes:
        schedule: its revision is not looked at.
        body: its object: a batch of one message.
    """

    name: str
    schedule: Schedule
    body: bytes


def declare(
    layout: Layout,
    declared: Collection[Declared],
    knows: Collection[tuple[str, str]],
    nonce: str,
    now_ms: int,
) -> Step[Control | Unknown]:
    """Make the control name the schedules that the code of a host declares, and no others that were declared before for
    tasks that the host knows. Schedules and pauses set by operators stay.

    Args:
        knows: queue and name of the tasks of the host.
        nonce: fresh.

    Returns:
        Control: it stands. Unknown: no answer; try again.

    Raises:
        CorruptRecord: the stored control is damaged, or of a newer release.

    Asks: one Get where nothing is to be changed; else one Put for each new object, and those of `change`. All of it again
    for each change of others in between.
    """
    return (yield from _until_settled(nonce, lambda own: _declare(layout, declared, knows, own)))


def _declare(
    layout: Layout, declared: Collection[Declared], knows: Collection[tuple[str, str]], nonce: str
) -> Step[Control | Overtaken | Unknown]:
    found = yield from get(layout.control)
    before = decode(Control, layout.control, found.body) if isinstance(found, Found) else Control("")
    wanted = {one.name: one for one in declared}
    revisions: dict[str, int] = {}
    for name, one in wanted.items():
        if _differs(before, one):
            revision = yield from _store(layout, one, nonce)
            if isinstance(revision, Unknown):
                return revision
            revisions[name] = revision

    def edit(control: Control) -> Control:
        schedules = {
            name: schedule
            for name, schedule in control.schedules.items()
            if name in wanted or not schedule.digest or (schedule.queue, schedule.task) not in knows
        }
        for name, revision in revisions.items():
            if _differs(control, wanted[name]):
                schedules[name] = _placed(control, wanted[name], revision)
        return control if schedules == control.schedules else replace(control, schedules=schedules)

    return before if edit(before) == before else (yield from try_to_change(layout, edit, nonce))


def set_schedule(layout: Layout, one: Declared, nonce: str) -> Step[Control | Unknown]:
    """Make the control name this schedule, whatever it named before. As `declare`."""
    return (yield from _until_settled(nonce, lambda own: _set(layout, one, own)))


def _set(layout: Layout, one: Declared, nonce: str) -> Step[Control | Overtaken | Unknown]:
    revision = yield from _store(layout, one, nonce)
    if isinstance(revision, Unknown):
        return revision

    def edit(control: Control) -> Control:
        return replace(control, schedules={**control.schedules, one.name: _placed(control, one, revision)})

    return (yield from try_to_change(layout, edit, nonce))


def _until_settled(
    nonce: str, attempt: Callable[[str], Step[Control | Overtaken | Unknown]]
) -> Step[Control | Unknown]:
    for number in count():
        outcome = yield from attempt(f"{nonce}.{number}")
        if not isinstance(outcome, Overtaken):
            return outcome
    raise AssertionError


def _differs(control: Control, one: Declared) -> bool:
    known = control.schedules.get(one.name)
    return known is None or bool(known.digest and known.digest != one.schedule.digest)


def _placed(control: Control, one: Declared, revision: int) -> Schedule:
    known: Mapping[str, Schedule] = control.schedules
    schedule = replace(one.schedule, revision=revision)
    if (before := known.get(one.name)) is not None:
        schedule = replace(schedule, paused_ms=before.paused_ms, from_ms=before.from_ms)
    return schedule


def _store(layout: Layout, one: Declared, nonce: str) -> Step[int | Unknown]:
    """Store the object under a revision of its own. Asks: one Put; more where it is not answered."""
    for number in range(_TRIES):
        drawn = sha256(f"{nonce} {one.name} {number}".encode()).digest()
        revision = 1 + int.from_bytes(drawn[:8]) % (10**10 - 1)
        key = layout.schedule(f"{one.name}.{revision}")
        for _ in range(_TRIES):
            outcome = yield from put(key, one.body, None)
            if not isinstance(outcome, Unknown):
                break
        if isinstance(outcome, Unknown):
            return outcome
        found = outcome if isinstance(outcome, Stored) else (yield from get(key))
        if isinstance(outcome, Stored) or (isinstance(found, Found) and found.body == one.body):
            return revision  # a conflict with our own earlier put
    raise CorruptRecord(layout.schedule(one.name), "every revision that was drawn is taken")
