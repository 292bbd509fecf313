"""``python -m stress cron``: a year of schedules with a tick a minute, under coordinators that die at random.

What runs is the production rule, `s3queue.core.plan.schedules.admit`, on production boards, once a minute of simulated
time, with `s3queue.options.timetable`. The rest is simulated: leaders die, before or after their board is committed;
nobody leads for up to three hours; each leader has a clock of its own, up to 20 s off; schedules are edited; and every tick
that was admitted is settled by the next cycle. A new leader reads the committed board from its bytes. No store, host or
worker takes part: `python -m stress simulate` has those.

What is checked: each minute of the year is admitted once, in order, for each schedule, as the calendar says.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from msgspec.structs import replace

from s3queue.core.keys import schedule_in
from s3queue.core.plan import Settings, schedules
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Board, Control, Schedule, decode, encode
from s3queue.options.timetable import next_tick

#: The file of kept figures.
KEPT = Path("docs/assets/benchmarks/cron.json")
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_MINUTE_MS = 60_000
#: Of all schedules: every minute, by an interval or by a clock that changes twice a year.
_ZONES = ("", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
#: Beside them: once a day at a time that both changes of the clock hit.
_DAILY = (
    ("Europe/Berlin", 2, 30),
    ("America/New_York", 1, 30),
    ("America/New_York", 2, 30),
    ("Australia/Lord_Howe", 1, 45),
)
#: Of all cycles, after how many the leader dies; and seconds that a leader's clock is off at most.
_DEATHS, _SKEW_S = 1 / 120, 20.0
#: Minutes that nobody leads after a death: mostly a lease, sometimes long.
_GAPS = (0, 0, 1, 2, 5, 30, 180)


@dataclass
class Year:
    """
    Attributes:
        ticks: that were admitted. deaths, edits: that happened. longest: the most minutes made up for in one cycle.
    """

    many: int
    days: int
    random: random.Random
    ticks: int = 0
    deaths: int = 0
    lost: int = 0
    edits: int = 0
    made_up: int = 0
    cycles: int = 0
    board: Board = field(default_factory=lambda: Board("", 1))

    def __post_init__(self) -> None:
        self.control = Control("", 1, schedules={**_minutely(self.many), **_daily()})
        self._begin_ms = int(_BEGIN.timestamp() * 1000)
        self._end_ms = self._begin_ms + self.days * 86_400_000
        #: By schedule, its last tick; and of those once a day, what is to come.
        self._last = dict.fromkeys(_minutely(self.many), self._begin_ms)
        self._days = {name: _calendar(name, self._begin_ms, self._end_ms) for name in _daily()}
        self._skew_ms = 0
        self._settings = Settings(timetable=next_tick)

    def run(self) -> None:
        """Raises `AssertionError`: a tick is missing, comes twice, or is not in the calendar."""
        self._commit(self._cycle(self._begin_ms))
        now_ms = self._begin_ms + _MINUTE_MS // 2
        while now_ms < self._end_ms:
            now_ms += self._minute(now_ms)
        while any(last < self._end_ms - _MINUTE_MS for last in self._last.values()):
            self._commit(self._cycle(self._end_ms - 1))
        assert not any(self._days.values()), f"daily ticks that never came: {self._days}"

    def _minute(self, now_ms: int) -> int:
        """One cycle. Returns the milliseconds to the next."""
        after = self._cycle(now_ms + self._skew_ms)
        if self.random.random() >= _DEATHS:
            self._commit(after)
            if self.random.random() < 1 / 360:
                self._edit()
            return _MINUTE_MS
        self.deaths += 1
        if self.random.random() < 0.5:
            self._commit(after)  # it landed, whether or not its leader came to know
        else:
            self.lost += 1
        self.board = replace(decode(Board, "board", encode(self.board)), epoch=self.board.epoch + 1)
        self._skew_ms = int(self.random.uniform(-_SKEW_S, _SKEW_S) * 1000)
        return _MINUTE_MS * (1 + self.random.choice(_GAPS))

    def _cycle(self, now_ms: int) -> Board:
        """Settle what was admitted before, and admit what is due."""
        before = replace(self.board, sources={}) if self.board.sources else self.board
        planning = Planning(before, {}, now_ms, self._settings, None, 0, self.control)
        schedules.admit(planning, now_ms, is_held=False, deleted=_old(before))
        self.cycles += 1
        return planning.result().board

    def _commit(self, board: Board) -> None:
        self.board = board
        fresh = sorted(board.sources)
        self.ticks += len(fresh)
        self.made_up += len(fresh) > 2 * self.many
        last = self._last
        for path in fresh:
            name = schedule_in(path)
            tick_ms = int(path.split("/", 3)[3][:13])
            if name in last:
                assert tick_ms == last[name] + _MINUTE_MS, f"{path} comes after {last[name]}"
                last[name] = tick_ms
            else:
                assert self._days[name][:1] == [tick_ms], f"{path}; the calendar says {self._days[name][:1]}"
                del self._days[name][0]

    def _edit(self) -> None:
        """Give one schedule another revision."""
        name = self.random.choice(list(self.control.schedules))
        known = self.control.schedules[name]
        edited = replace(known, revision=self.random.randrange(1, 10**10))
        self.control = replace(
            self.control, turn=self.control.turn + 1, schedules={**self.control.schedules, name: edited}
        )
        self.edits += 1


def _minutely(many: int) -> dict[str, Schedule]:
    made = {}
    for number in range(many):
        zone = _ZONES[number % len(_ZONES)]
        when = {"cron": "* * * * *", "tz": zone} if zone else {"every_s": 60}
        made[f"minute-{number}"] = Schedule(1 + number, "q", catch_up="all", **when)
    return made


def _daily() -> dict[str, Schedule]:
    return {
        f"daily-{number}": Schedule(10_000 + number, "q", cron=f"{minute} {hour} * * *", tz=zone, catch_up="all")
        for number, (zone, hour, minute) in enumerate(_DAILY)
    }


def _calendar(name: str, begin_ms: int, end_ms: int) -> list[int]:
    """When a daily schedule is to tick, from the calendar alone: at that time of the day, the first of two, or the first
    minute after a gap."""
    zone, hour, minute = _DAILY[int(name.rpartition("-")[2])]
    found, day = [], _date(begin_ms) - timedelta(days=1)
    while day <= _date(end_ms):
        at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone))
        while at.astimezone(UTC).astimezone(at.tzinfo).replace(tzinfo=None) != at.replace(tzinfo=None):
            at += timedelta(minutes=1)
        found.append(int(at.timestamp() * 1000))
        day += timedelta(days=1)
    return [tick_ms for tick_ms in found if begin_ms < tick_ms < end_ms]


def _date(ms: int) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).date()


def _old(board: Board) -> set[tuple[str, int]]:
    return {(name, revision) for name, ticked in board.schedules.items() for revision in ticked.old}


@click.command("cron")
@click.option(
    "--schedules", "many", default=1000, show_default=True, help="Number of schedules, each with a tick a minute."
)
@click.option("--days", default=365, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--keep", is_flag=True, help=f"Keep the figures in {KEPT}, for docs/benchmarks.md.")
def command(many: int, days: int, seed: int, keep: bool) -> None:
    """Simulate schedules for a year in which coordinators die, and check that each tick is enqueued once."""
    began, year = time.process_time(), Year(many, days, random.Random(seed))
    year.run()
    seconds = time.process_time() - began
    told = {
        "schedules": many,
        "daily": len(_DAILY),
        "days": days,
        "from": f"{_BEGIN:%Y-%m-%d}",
        "ticks": year.ticks,
        "deaths": year.deaths,
        "lost": year.lost,
        "edits": year.edits,
        "made_up": year.made_up,
        "cycles": year.cycles,
        "cpu_s": round(seconds),
        "us_a_tick": round(seconds / year.ticks * 1e6, 1),
        "command": f"python -m stress cron --schedules {many} --days {days} --seed {seed}",
    }
    if keep:
        KEPT.write_text(json.dumps(told, indent=1) + "\n")
    click.echo(sentence(told))


def sentence(told: dict[str, Any]) -> str:
    return (
        f"{told['schedules']:,} schedules with a tick a minute and {told['daily']} with one a day, {told['days']} days "
        f"from {told['from']}: {told['ticks']:,} ticks, each once; {told['deaths']:,} leaders died, {told['lost']:,} of "
        f"them with a board that was not committed; {told['edits']:,} edits; {told['made_up']:,} of {told['cycles']:,} "
        f"cycles made up for missed ticks; {told['us_a_tick']} µs of CPU a tick, the check included"
    )


def section() -> str:
    """The section of docs/benchmarks.md; empty if no figures are kept."""
    if not KEPT.exists():
        return ""
    told = json.loads(KEPT.read_text())
    return f"""## Schedules over a year

`{told["command"]}`: {sentence(told)}.

Simulated: the production rule runs on production boards once a minute. Leaders die before or after their commit; for
up to three hours there is no leader; clocks are wrong by up to 20 s. Four time zones each change their clocks twice.
The next cycle settles every tick that was admitted. Store, hosts and workers are not simulated here:
`python -m stress simulate` and `python -m stress run --schedules` test them."""
