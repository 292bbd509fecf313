"""What schedules may cost, in requests: nothing but one GET of a worker for each tick."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from s3queue.core.keys import Layout
from s3queue.testing.simulate import Outcome, Scene, Seeded, Weather, run
from s3queue.testing.simulate.history import Deleted, Started, Wrote

_CALM = Scene(
    hosts=1,
    machines=1,
    batches=1,
    most=1,
    storm_s=20.0,
    weather=Weather(fault=0.0, chaos=0.0, ends=0.0, order=1.0),
)


def puts(outcome: Outcome) -> Counter[str]:
    """By the first part of the key below the root."""
    home = Layout().root + "/"
    return Counter(event.key.removeprefix(home).split("/")[0] for event in outcome.events if isinstance(event, Wrote))


def test_tick_is_no_object_and_is_not_deleted() -> None:
    outcome = run(Seeded(1), replace(_CALM, schedules=1))
    ticks = {event.path for event in outcome.events if isinstance(event, Started) and event.path.startswith("tick/")}
    assert len(ticks) >= 5
    layout = Layout()
    written = {event.key for event in outcome.events if isinstance(event, Wrote)}
    deleted = {key for event in outcome.events if isinstance(event, Deleted) for key in event.keys}
    objects = {key for key in written if key.startswith(layout.schedule(""))}
    assert len(objects) < len(ticks), "an object for each revision, and none for a tick"
    assert not any("tick" in key for key in written | deleted)
    assert puts(outcome)["retired"] <= 4, "the batch and the requests, and no tick"


def test_without_schedules_nothing_of_them_is_stored() -> None:
    outcome = run(Seeded(1), _CALM)
    kinds = puts(outcome)
    assert kinds["schedules"] == 0
    layout = Layout()
    bodies = [event.body for event in outcome.events if isinstance(event, Wrote) and event.key.startswith(layout.home)]
    assert bodies
    assert not any(b"clock_ms" in body or b'"schedules"' in body for body in bodies)
    assert layout.control not in {event.key for event in outcome.events if isinstance(event, Wrote)}
