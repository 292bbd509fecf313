"""Objects of schedules that nothing names are deleted, and no others."""

from __future__ import annotations

from msgspec import Raw

from s3queue.core.declare import Declared, set_schedule
from s3queue.core.keys import tick_path
from s3queue.core.ops import Put
from s3queue.core.records import (
    Control,
    Message,
    Ready,
    Schedule,
    SourceState,
    Ticked,
    decode,
    encode,
    encode_batch,
    encode_message,
)
from tests.core.hands import Hand, run
from tests.core.office import Office
from tests.core.world import LAYOUT, NOW_MS, board

DAY_MS, HOUR_S = 86_400_000, 3600.0


def declared(name: str, made_ms: int = NOW_MS - DAY_MS) -> Declared:
    body = encode_batch([encode_message(Message("t", Raw(b"\xc0")))], made_ms)
    return Declared(name, Schedule(1, "q", "t", every_s=3600), body)


def objects(office: Office) -> list[str]:
    return [key.removeprefix(LAYOUT.schedule("")) for key in office.keys(LAYOUT.schedule(""))]


def lost(office: Office, one: Declared) -> str:
    """Its object is stored, and whoever did that ended before the control was changed."""
    hand = Hand(set_schedule(LAYOUT, one, "lost"), office.store)
    put = hand.until(Put, LAYOUT.schedule(""))
    hand.do()
    hand.lose()
    return str(put.key.removeprefix(LAYOUT.schedule("")))


def walk(office: Office, hours: int = 3) -> None:
    for _ in range(hours * 4):
        office.cycle(after_s=HOUR_S / 4)


def test_object_whose_schedule_was_never_named_is_deleted_and_no_other() -> None:
    office = Office()
    run(set_schedule(LAYOUT, declared("kept"), "n"), office.store)
    control = decode(Control, "", office.body(LAYOUT.control))
    gone = lost(office, declared("gone"))
    young = lost(office, declared("young", NOW_MS))
    office.write(LAYOUT.schedule("odd.1"), b"not a schedule")
    walk(office, 1)
    assert gone in objects(office)
    walk(office)
    assert set(objects(office)) == {f"kept.{control.schedules['kept'].revision}", young, "odd.1"}


def test_nothing_is_deleted_by_a_control_that_is_not_the_present_one() -> None:
    """An operator of a newer release may have named the object since."""
    office = Office()
    run(set_schedule(LAYOUT, declared("kept"), "n"), office.store)
    gone = lost(office, declared("gone"))
    office.cycle()
    present = office.body(LAYOUT.control)
    office.write(LAYOUT.control, b'{"format": 99}')
    walk(office)
    assert gone in objects(office)
    office.write(LAYOUT.control, present)
    walk(office)
    assert gone not in objects(office)


def test_what_the_board_names_stays() -> None:
    tick = tick_path("q", 5, 1_700_000_000_000, "s", 7)
    office = Office(
        board(states={tick: SourceState(ready=(Ready(0, 1, 1),))}, schedules={"s": Ticked(8, NOW_MS, 0, (9,))})
    )
    office.write(LAYOUT.control, encode(Control("n", 1)))
    for revision in (6, 7, 8):
        office.write(LAYOUT.schedule(f"s.{revision}"), declared("s").body)
    walk(office)
    assert set(objects(office)) == {"s.7", "s.8"}


def test_nothing_is_listed_where_nobody_has_schedules_or_a_newer_release_may_name_some() -> None:
    for before in (board(), board(states={"wish/q": SourceState()}, schedules={"s": Ticked(8, 1)})):
        office = Office(before)
        office.write(LAYOUT.control, encode(Control("n", 1)))
        office.write(LAYOUT.schedule("gone.1"), declared("gone").body)
        walk(office)
        assert "gone.1" in objects(office)
