"""Cron expressions over both clock changes of a year, as Debian's cron(8) and the documentation of cronsim say.

Europe/Berlin in 2025: at 02:00 on 30 March the clock shows 03:00; at 03:00 on 26 October it shows 02:00 again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from s3queue.errors import ConfigError
from s3queue.options.timetable import check_timetable, next_tick

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def ticks(cron: str, after: str, upto: str, tz: str = BERLIN) -> list[str]:
    """As the clock on the wall shows them, with the offset from UTC."""
    found, at = [], next_tick(cron, tz, ms(after))
    while at is not None and at <= ms(upto):
        found.append(datetime.fromtimestamp(at / 1000, ZoneInfo(tz)).strftime("%d %H:%M:%S %z"))
        at = next_tick(cron, tz, at)
    return found


class TestSpring:
    """The hour from 02:00 to 03:00 is skipped."""

    FROM, UPTO = "2025-03-29T12:00+01:00", "2025-03-31T12:00+02:00"

    def test_a_time_that_is_skipped_runs_as_soon_as_it_was(self) -> None:
        assert ticks("30 2 * * *", self.FROM, self.UPTO) == ["30 03:00:00 +0200", "31 02:30:00 +0200"]

    def test_two_skipped_times_are_one_tick(self) -> None:
        assert ticks("15,45 2 * * *", self.FROM, self.UPTO) == [
            "30 03:00:00 +0200",
            "31 02:15:00 +0200",
            "31 02:45:00 +0200",
        ]

    def test_what_follows_the_clock_skips_the_hour(self) -> None:
        found = ticks("*/30 * * * *", "2025-03-30T01:15+01:00", "2025-03-30T03:45+02:00")
        assert found == ["30 01:30:00 +0100", "30 03:00:00 +0200", "30 03:30:00 +0200"]

    def test_an_hour_by_name_follows_the_clock_where_its_minutes_do(self) -> None:
        assert ticks("*/30 2 * * *", self.FROM, self.UPTO) == ["31 02:00:00 +0200", "31 02:30:00 +0200"]

    def test_the_day_has_23_hours(self) -> None:
        assert len(ticks("@hourly", "2025-03-29T23:30+01:00", "2025-03-30T23:30+02:00")) == 23


class TestAutumn:
    """The hour from 02:00 to 03:00 comes twice."""

    FROM, UPTO = "2025-10-25T12:00+02:00", "2025-10-27T12:00+01:00"

    def test_a_time_that_comes_twice_runs_the_first_time(self) -> None:
        assert ticks("30 2 * * *", self.FROM, self.UPTO) == ["26 02:30:00 +0200", "27 02:30:00 +0100"]

    def test_what_follows_the_clock_runs_twice(self) -> None:
        found = ticks("*/30 * * * *", "2025-10-26T01:45+02:00", "2025-10-26T03:15+01:00")
        assert found == [
            "26 02:00:00 +0200",
            "26 02:30:00 +0200",
            "26 02:00:00 +0100",
            "26 02:30:00 +0100",
            "26 03:00:00 +0100",
        ]

    def test_the_day_has_25_hours(self) -> None:
        assert len(ticks("@hourly", "2025-10-25T23:30+02:00", "2025-10-26T23:30+01:00")) == 25

    @pytest.mark.parametrize("minute", [0, 15, 29, 30, 31, 59])
    def test_who_asks_in_the_second_hour_is_told_of_tomorrow(self, minute: int) -> None:
        """The library alone says 02:30 again: a schedule that is edited or resumed just then would run twice."""
        assert ticks("30 2 * * *", f"2025-10-26T02:{minute:02}+01:00", self.UPTO) == ["27 02:30:00 +0100"]

    def test_half_an_hour_comes_twice_on_lord_howe(self) -> None:
        found = ticks("45 1 * * *", "2025-04-05T12:00+11:00", "2025-04-07T12:00+10:30", LORD_HOWE)
        assert found == ["06 01:45:00 +1100", "07 01:45:00 +1030"]


@pytest.mark.parametrize("tz", ["UTC", BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize("cron", ["*/30 * * * *", "0 */2 * * *", "30 2 * * *", "0 9 * * MON-FRI", "0 12 L * *"])
def test_a_year_is_that_of_the_library_in_one_go(cron: str, tz: str) -> None:
    """Asked again after each tick, as a coordinator asks, it gives the same year as one walk of the library."""
    begin, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    walk = [int(tick.timestamp()) * 1000 for tick in _until(CronSim(cron, begin.astimezone(ZoneInfo(tz))), end)]
    asked, at = [], next_tick(cron, tz, int(begin.timestamp() * 1000))
    while at is not None and at < end.timestamp() * 1000:
        asked.append(at)
        at = next_tick(cron, tz, at)
    assert asked == walk
    assert len(set(asked)) == len(asked)


def _until(walk: CronSim, end: datetime) -> list[datetime]:
    found = []
    for tick in walk:
        if tick.timestamp() >= end.timestamp():
            break
        found.append(tick)
    return found


@given(
    cron=st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 1-3 * * *", "5,35 */3 * * *", "0 0 * * SUN"]),
    tz=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE]),
    after=st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001
    ahead=st.timedeltas(timedelta(0), timedelta(days=2)),
)
def test_no_tick_lies_between_a_time_and_its_next_tick(cron: str, tz: str, after: datetime, ahead: timedelta) -> None:
    """Whatever time in between is asked about, the answer is the same."""
    after_ms = int(after.replace(tzinfo=UTC).timestamp()) * 1000
    tick = next_tick(cron, tz, after_ms)
    assert tick is not None
    between = min(after_ms + int(ahead.total_seconds()) * 1000, tick - 1)
    assert next_tick(cron, tz, between) == tick


@pytest.mark.parametrize("cron", ["", "* * * *", "60 * * * *", "* * * * * * *", "a b c d e", "0 0 31 2 *"])
def test_what_is_no_expression_is_refused(cron: str) -> None:
    with pytest.raises(ConfigError, match="cron"):
        check_timetable(cron, "UTC", "cron")


@pytest.mark.parametrize("tz", ["", "Europe/Nowhere", "../etc/passwd", "CEST+"])
def test_what_is_no_time_zone_is_refused(tz: str) -> None:
    with pytest.raises(ConfigError, match="time zone"):
        check_timetable("* * * * *", tz, "cron")
