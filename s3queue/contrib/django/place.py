"""The store and the settings of a backend, shared by all backends of a process with the same options. Django makes a
backend for each thread, and under ASGI for each request: with connections for each of them there would be far too many.
"""

from __future__ import annotations

from typing import Any

from s3queue.config import Config, current_store, load, times_configured
from s3queue.queue import Queue
from s3queue.store import ObjectStore, as_store

__all__ = ["Place", "place_of"]


class Place:
    """A store and the settings for it.

    Args:
        store: a store or its URL, opened at the first use; None: that of this process.
        settings: override those of the environment and the file.
    """

    def __init__(self, store: ObjectStore | str | None, settings: dict[str, Any]) -> None:
        self._given, self._settings = store, settings
        self._opened: ObjectStore | None = None
        self._config: Config | None = None
        self._configured = 0
        self._queues: dict[str, Queue] = {}

    @property
    def is_named(self) -> bool:
        """Whether a store is named anywhere."""
        return self._given is not None or load().store_url is not None

    @property
    def store(self) -> ObjectStore:
        """The store. Raises `ConfigError`: none is named."""
        if self._given is None:
            return current_store()
        if self._opened is None:
            self._opened = as_store(self._given)
        return self._opened

    @property
    def config(self) -> Config:
        """The settings. Raises `ConfigError`: there is no such setting, or a value does not fit."""
        if self._config is None or self._configured != times_configured():
            self._configured, self._config = times_configured(), load(**self._settings).config
        return self._config

    def queue(self, name: str) -> Queue:
        """A queue. Cached, because it has read its settings."""
        kept = self._queues.get(name)
        if kept is None or kept.store is not self.store or kept.config is not self.config:
            kept = self._queues[name] = Queue(name, self.store, config=self.config)
        return kept


_places: dict[str, Place] = {}


def place_of(store: ObjectStore | str | None, settings: dict[str, Any]) -> Place:
    """The place with these options."""
    return _places.setdefault(repr((store, sorted(settings.items()))), Place(store, settings))
