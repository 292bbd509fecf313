"""The surroundings of an agent process: clocks, events, the machine, and the memory shared with its workers."""

from __future__ import annotations

import math
import os
import secrets
import time
import traceback
from collections.abc import Callable, Collection

from s3queue.config import Config
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.pacing import ack_s
from s3queue.core.plan import Settings
from s3queue.core.produce import largest_source
from s3queue.core.records import About, Place, Usage
from s3queue.io.clock import clock
from s3queue.io.folder import machine
from s3queue.io.knocks import Knocker
from s3queue.io.wakeups import WakeSocket, waiters, wake
from s3queue.observe.ears import Ear
from s3queue.observe.events import Events
from s3queue.options.timetable import next_tick
from s3queue.runtime.local import life
from s3queue.runtime.local.journal import TOGETHER, Journal
from s3queue.runtime.local.memory import rss_of
from s3queue.store import Capabilities
from s3queue.version import __version__

#: Seconds between two looks at the memory of the processes of this host.
WEIGH_S = 10.0
#: Seconds after which the ledger says since when a message runs. Shorter tasks cost it nothing.
LONG_S = 5.0
#: Messages of which it says so at most, those that run longest; and seconds between two looks at what runs.
LONGEST, GLANCE_S = 20, 2.0


def plan_settings(config: Config, capabilities: Capabilities) -> Settings:
    """The coordinator's settings, from both."""
    return Settings(
        visibility_timeout=config.visibility_timeout,
        leader_lease=config.leader_lease,
        ticket_target=config.ticket_target,
        ack_s=ack_s(config, capabilities),
        window_s=config.dedup_window + config.enqueue_deadline,
        max_parked=config.max_parked,
        max_board_bytes=min(config.max_board_bytes, capabilities.max_body_bytes),
        max_attempts=config.max_attempts,
        max_source_bytes=largest_source(config.max_message_bytes),
        summary_s=max(10.0 if capabilities.requests_cost else 2.0, capabilities.min_rewrite_s),
        dead_retention=config.dead_retention,
        letter_retention=math.inf if config.dead_letter_retention is None else config.dead_letter_retention,
        census_s=5.0 if capabilities.requests_cost else 1.0,
        timetable=next_tick,
        idle_lease=config.idle_lease if capabilities.requests_cost else 0.0,
        letters_at_once=CHORES_AT_ONCE if capabilities.requests_cost else 1,
    )


class Surroundings:
    """An `s3queue.core.agent.Environment`.

    Args:
        url: of the store: where local producers send wake-ups.
        trusted: called when the trust window was extended after it had run out.
        empty: called when the served queues are empty.
        ears: processes of this host that listen to events.

    Attributes:
        worker_pids: tells the processes of the workers that live.
        deaths: of workers that nobody had asked to end, by cause.
    """

    def __init__(
        self,
        config: Config,
        url: str,
        session: str,
        place: Place,
        journal: Journal,
        *,
        trusted: Callable[[], None],
        empty: Callable[[], None],
        ears: tuple[Ear, ...] = (),
    ) -> None:
        self.deaths: dict[str, int] = {}
        self.worker_pids: Callable[[], Collection[int]] = tuple
        self._weigh_at, self._rss_bytes = 0.0, 0
        self._glance_at = 0.0
        self._since: dict[str, dict[int, int]] = {}
        self._config, self._url, self._session, self._place = config, url, session, place
        self._journal, self._trusted, self._empty = journal, trusted, empty
        self.events = Events("agent", config.history, ears)
        self.wakes: WakeSocket | None = None
        self._knocker = None if config.knock_key is None else Knocker(config.knock_key, config.namespace)

    now = staticmethod(clock)

    @staticmethod
    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    @staticmethod
    def nonce() -> str:
        return secrets.token_hex(8)

    def is_gone(self, session: str, place: Place) -> bool:
        # A session of our supervisor belongs to an earlier agent, which was reaped before we were started.
        ours = bool(place.machine) and place == self._place and session != self._session
        return ours or life.gone(place)

    @staticmethod
    def is_local(place: Place) -> bool:
        return bool(place.machine) and place.machine == machine()

    def wake_machine(self) -> None:
        wake(self._url, self._config.namespace, but=self.wakes)

    def knock(self, addresses: Collection[str]) -> None:
        if self._knocker is not None:
            self._knocker.knock(addresses)

    def wake_waiters(self) -> None:
        wake(self._url, waiters(self._config.namespace))

    def trust(self, until: float) -> None:
        expired = self._journal.trust_until < clock()
        self._journal.trust_until = until
        if expired:
            self._trusted()

    def usage(self) -> dict[str, Usage]:
        return self._journal.usage()

    def about(self) -> About:
        """Its memory is read every ten seconds: it takes a file for each process."""
        now, pids = clock(), self.worker_pids()
        if now >= self._weigh_at:
            self._weigh_at = now + WEIGH_S
            self._rss_bytes = sum(map(rss_of, (os.getpid(), *pids)))
        if now >= self._glance_at:
            self._glance_at = now + GLANCE_S
            self._since = self._running_since(now)
        return About(__version__, len(pids), dict(self.deaths), self._rss_bytes, self._since)

    def _running_since(self, now: float) -> dict[str, dict[int, int]]:
        """By ticket and offset, when the messages began that run longest. Those of a task that takes several messages at
        once are not told apart, and left out."""
        long: list[tuple[float, str, int]] = []
        for number in range(self._journal.workers):
            worker = self._journal.worker(number)
            for one in worker.running():
                if now - one.started >= LONG_S and one.message != TOGETHER and (row := worker.row(one.row)) is not None:
                    long.append((one.started, row.ticket, row.base + one.message))
        since: dict[str, dict[int, int]] = {}
        for started, ticket, offset in sorted(long)[:LONGEST]:
            since.setdefault(ticket, {})[offset] = self.now_ms() - round((now - started) * 1000)
        return since

    def queues_are_empty(self) -> None:
        self._empty()

    def wants(self, kind: str) -> bool:
        return self.events.wants(kind)

    def emit(self, kind: str, **fields: object) -> None:
        if self.events.wants(kind):
            self.events.emit(kind, **fields)

    def warn(self, key: str, text: str) -> None:
        self.events.warn(key, text)

    def fault(self, what: str, fault: Exception) -> None:
        told = "".join(traceback.format_exception(fault))
        self.events.warn(
            f"fault {what}", f"unexpected error in a {what}, which is tried again; please report it:\n{told}"
        )

    def mark(self, what: str) -> None:
        """For the simulator."""
