"""One operator: ``python -m stress.chaos.operator SPEC``. Does one thing, waits for what comes of it, and writes that down.

Whoever started it may kill it anywhere.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

import s3queue
from s3queue import Queue
from s3queue.config import Config, configure
from s3queue.errors import StoreUnavailable
from s3queue.io.clock import clock
from s3queue.runtime.local.life import die_with_parent
from s3queue.store import open_store
from stress.chaos.clocks import Clock
from stress.chaos.notes import Answered, Asked, Notebook, Sent, read
from stress.chaos.plan import QUEUES

#: Of the newest messages, among how many it chooses; and how many of them it cancels.
_NEWEST, _SOME = 400, 6
#: Seconds for which it waits, and for which a queue is paused.
_PATIENCE_S, _PAUSE_S = 20.0, 0.5


class OperatorSpec(Struct, frozen=True):
    """
    Attributes: as of `stress.chaos.host.HostSpec`.
        draw: what it does, and to what.
    """

    party: str
    store: str
    folder: str
    settings: dict[str, str | int | float]
    clock: str
    draw: float


class Operator:
    def __init__(self, spec: OperatorSpec) -> None:
        self._folder = Path(spec.folder)
        self._config = Config(**spec.settings)  # type: ignore[arg-type]
        self._store = open_store(spec.store)
        configure(store=self._store, config=self._config)
        self._notes = Notebook(self._folder / "operators", spec.party)
        self._draw = random.Random(spec.draw)
        self._queue = Queue(self._draw.choice(QUEUES), self._store, config=self._config)
        self._force = self._draw.choice((None, 0.0, 0.5))

    def act(self) -> None:
        verbs = self.cancel, self.cancel_many, self.pause, self.purge, self.redrive, self.purge_letters
        self._draw.choices(verbs, (4, 1, 3, 1, 6, 1))[0]()

    def cancel(self) -> None:
        """Some of the newest messages, one by one."""
        ids = self._newest()
        for one in self._draw.sample(ids, min(_SOME, len(ids))):
            handle = s3queue.message(one, self._store, config=self._config)
            cancel = partial(handle.cancel, force_after=self._force, timeout=_PATIENCE_S)
            self._do("cancel", handle.queue, (one,), cancel)

    def cancel_many(self) -> None:
        """All that waits in a queue, with one command."""

        def change() -> str:
            found = self._queue.cancel(state="waiting", wait=False, timeout=_PATIENCE_S)
            return str(found.answers)

        self._do("cancel_many", self._queue.name, (), change)

    def pause(self) -> None:
        def pause() -> str:
            self._queue.pause(wait="idle", timeout=_PATIENCE_S)
            return "idle"

        self._do("pause", self._queue.name, (), pause)
        time.sleep(_PAUSE_S)

        def resume() -> str:
            self._queue.resume(timeout=_PATIENCE_S)
            return "resumed"

        self._do("resume", self._queue.name, (), resume)

    def purge(self) -> None:
        def purge() -> str:
            return str(self._queue.purge(force_after=self._force, timeout=_PATIENCE_S))

        self._do("purge", self._queue.name, (), purge)

    def redrive(self) -> None:
        """All that is dead in a queue; twice, as somebody does who is not sure that it worked."""

        def redrive() -> str:
            return str(self._queue.redrive(rate=self._draw.choice((None, 20.0)), timeout=_PATIENCE_S))

        for _ in range(2):
            self._do("redrive", self._queue.name, (), redrive)

    def purge_letters(self) -> None:
        def purge() -> str:
            return str(self._queue.purge_letters(cause="rejected", timeout=_PATIENCE_S))

        self._do("purge_letters", self._queue.name, (), purge)

    def _newest(self) -> list[str]:
        """Ids that producers were told of."""
        sent = [note for file in (self._folder / "sent").glob("*.jsonl") for note in read(file)]
        stored = sorted((note for note in sent if isinstance(note, Sent)), key=lambda note: note.at)
        return [one for note in stored for one in note.ids][-_NEWEST:]

    def _do(self, kind: str, queue: str, ids: tuple[str, ...], call: Callable[[], str]) -> None:
        """The first note is from before anything is sent, the second from after the answer."""
        asked = Asked(clock(), kind, queue, ids)
        self._notes.write(asked)
        try:
            answer = call()
        except (TimeoutError, StoreUnavailable):
            return
        self._notes.write(Answered(clock(), asked.at, kind, queue, ids, answer))


def main(spec: OperatorSpec) -> None:
    die_with_parent()
    Clock(Path(spec.clock)).install()
    Operator(spec).act()


if __name__ == "__main__":
    main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=OperatorSpec))
