"""What the parts of an agent share: the store and the way to it, the clock, the view of the board."""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from s3queue.config import Config
from s3queue.core.elect import View
from s3queue.core.keys import Layout
from s3queue.core.ops import Step
from s3queue.core.plan import Settings
from s3queue.core.records import Leader, Place
from s3queue.errors import StoreUnavailable
from s3queue.observe.events import Events
from s3queue.core.pacing import Pace, ack_s
from s3queue.runtime.drive import Driver
from s3queue.runtime.meter import Meter
from s3queue.store import Capabilities, ObjectStore

T = TypeVar("T")

#: Requests that an agent has under way at a time: the ledger's, the coordinator's, and a probe of emptiness.
_THREADS = 4
#: Reads under way at a time: a cycle reads the ledger of each host that has news, and a new coordinator all retired pages.
#: Fewer where nobody is far away.
READERS, LOCAL_READERS = 64, 8


def plan_settings(config: Config, capabilities: Capabilities) -> Settings:
    """What the coordinator needs to know of both."""
    return Settings(
        visibility_timeout=config.visibility_timeout,
        leader_lease=config.leader_lease,
        ticket_target=config.ticket_target,
        ack_s=ack_s(config, capabilities),
        window_s=config.dedup_window + config.enqueue_deadline,
        max_parked=config.max_parked,
        max_attempts=config.max_attempts,
    )


class Station:
    """One agent's footing. All its parts run in one event loop; only requests run in threads.

    Attributes:
        view: of the board; what this process commits as coordinator, its host sees without a request.
        url: where local producers send wake-ups.
        driver: for the host's own requests.
    """

    def __init__(
        self, store: ObjectStore, config: Config, session: str, place: Place, as_host: Meter, as_coordinator: Meter
    ) -> None:
        self.config, self.session, self.place = config, session, place
        self.layout = Layout(config.namespace)
        self.view = View()
        self.url = store.url
        self.events = Events("agent", config.history)
        self.pace = Pace(config, store.capabilities)
        self.settings = plan_settings(config, store.capabilities)
        readers = READERS if store.capabilities.requests_cost else LOCAL_READERS
        self.driver, self._coordinator = (
            Driver(store, meter, readers=readers, patience_s=2.0, on_retry=self.unavailable)
            for meter in (as_host, as_coordinator)
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3queue-store")

    @property
    def me(self) -> Leader:
        return Leader(self.session, self.place)

    @staticmethod
    def nonce() -> str:
        return secrets.token_hex(8)

    @staticmethod
    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    async def run(self, step: Step[T]) -> T:
        """A step of the host."""
        return await self.driver.run_async(step, self._threads)

    async def coordinate(self, step: Step[T]) -> T:
        """A step of the coordinator, or of one that stands for it."""
        return await self._coordinator.run_async(step, self._threads)

    def unavailable(self, fault: StoreUnavailable) -> None:
        """Say once, not a thousand times, that the store does not answer. What is claimed goes on meanwhile."""
        self.events.warn("store", f"the store does not answer; trying again: {fault}")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.driver.close()
        self._coordinator.close()
        self.events.close()


class Bell:
    """An event that is waited for with a time-out, and is forgotten once it was heard."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def heard(self, within_s: float) -> bool:
        """Wait at most so long for it. Returns whether it rang."""
        if not self._event.is_set() and within_s > 0:
            try:
                async with asyncio.timeout(within_s):
                    await self._event.wait()
            except TimeoutError:
                return False
        rang = self._event.is_set()
        self._event.clear()
        return rang
