"""Stores that break one promise each. A suite that passes one of them tests nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from s3queue_backends import MemoryStore

from s3queue.errors import OutcomeUnknown, StoreUnavailable
from s3queue.store import Conflict, Found, Listed, Missing, Stored, Unchanged


class IgnoresIfVersion(MemoryStore):
    """Takes the condition and overwrites: servers that know the header from nowhere."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        found = super().get(key)
        return super().put(key, body, if_version=found.version if isinstance(found, Found) else None)


class CreatesOverExisting(IgnoresIfVersion):
    """Ignores ``If-None-Match: *`` only."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if if_version is None:
            return super().put(key, body, if_version=None)
        return MemoryStore.put(self, key, body, if_version=if_version)


class ChecksThenActs(IgnoresIfVersion):
    """Compares, then writes, with room between."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        found = self.get(key)
        if (found.version if isinstance(found, Found) else None) != if_version:
            return Conflict()
        time.sleep(0.002)
        return super().put(key, body, if_version=if_version)


class CreatesOnReplace(MemoryStore):
    """Takes a replace of a missing object for a create."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if isinstance(self.get(key), Missing):
            return super().put(key, body, if_version=None)
        return super().put(key, body, if_version=if_version)


class RetriesInside(MemoryStore):
    """Sends every put twice, as an SDK does after an answer it did not see, and reports the second answer."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        super().put(key, body, if_version=if_version)
        return super().put(key, body, if_version=if_version)


class CallsUnknownUnavailable(MemoryStore):
    """After a lost answer says that nothing was applied. Only `an_unanswered_put_that_landed_is_unknown` can tell."""

    lost = False

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        outcome = super().put(key, body, if_version=if_version)
        if self.lost:
            raise StoreUnavailable("put", key)
        return outcome


class ResendsUnanswered(MemoryStore):
    """After a lost answer sends the put again."""

    lost = False
    sent = 0

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        tries = 3 if self.lost else 1
        self.sent += tries
        outcome = [super(ResendsUnanswered, self).put(key, body, if_version=if_version) for _ in range(tries)][-1]
        if self.lost:
            raise OutcomeUnknown("put", key)
        return outcome


class KeepsWhatArrives(MemoryStore):
    """Stores an empty object where the connection of a put breaks after the headers."""

    lost = False

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        outcome = super().put(key, b"" if self.lost else body, if_version=if_version)
        if self.lost:
            raise OutcomeUnknown("put", key)
        return outcome


class DeletesNothing(MemoryStore):
    """Takes a delete for granted: a bucket under retention, a policy that swallows it."""

    def delete(self, keys: Sequence[str]) -> None: ...


class ListsByUtf16(MemoryStore):
    """Orders as JavaScript and Java do."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        found = sorted(super().list(prefix, after=after), key=lambda entry: entry.key.encode("utf-16-be"))
        return found[:limit]


class ListsUnordered(MemoryStore):
    """Like a directory bucket."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return super().list(prefix, after=after, limit=limit)[::-1]


class ListsByFolderName(MemoryStore):
    """Orders folders by their names, and pages by the bytes of keys."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return sorted(super().list(prefix, after=after), key=lambda entry: entry.key.split("/"))[:limit]


class ListsFromInclusive(MemoryStore):
    """Begins with ``after`` instead of after it."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        found = list(super().list(prefix, after=after, limit=limit))
        there = self.get(after) if after.startswith(prefix) else Missing()
        return [Listed(after, there.version, len(there.body)), *found][:limit] if isinstance(there, Found) else found


class ListsOnlyFullPages(MemoryStore):
    """Never gives more than 900 at once, though there are more."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return super().list(prefix, after=after, limit=min(limit, 900))


class IgnoresLimit(MemoryStore):
    """Gives a full page whatever was asked for."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return super().list(prefix, after=after)


class ListsByFolder(MemoryStore):
    """Takes the prefix for a folder, as obstore does."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return super().list(prefix if prefix.endswith("/") or not prefix else f"{prefix}/", after=after, limit=limit)


class ListsEventually(MemoryStore):
    """Shows the listing as it was one write ago."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: Sequence[Listed] = []

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        shown, self._shown = self._shown, super().list(prefix, after=after, limit=limit)
        return shown


class ReadsStale(MemoryStore):
    """Answers the first get after a write from a cache."""

    def __init__(self) -> None:
        super().__init__()
        self._cache: dict[str, Found | Unchanged | Missing] = {}

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        fresh = super().get(key, unless=unless)
        stale = self._cache.get(key, fresh)
        self._cache[key] = fresh
        return stale


class ListsOtherVersions(MemoryStore):
    """Quotes ETags in listings and nowhere else."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return [e._replace(version=f'"{e.version}"') for e in super().list(prefix, after=after, limit=limit)]


class AlwaysUnchanged(MemoryStore):
    """Answers 304 to any ``If-None-Match``."""

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        return super().get(key) if unless is None else Unchanged()


class NeverUnchanged(MemoryStore):
    """Ignores ``unless``."""

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        return super().get(key)


class DeleteNeedsAll(MemoryStore):
    """Deletes nothing when one of the keys is gone already."""

    def delete(self, keys: Sequence[str]) -> None:
        if not any(isinstance(self.get(key), Missing) for key in keys):
            super().delete(keys)


class DeletesAThousand(MemoryStore):
    """Forgets what is beyond one request."""

    def delete(self, keys: Sequence[str]) -> None:
        super().delete(keys[:1000])


class DeletesByPrefix(MemoryStore):
    """Removes the folder as well."""

    def delete(self, keys: Sequence[str]) -> None:
        super().delete([entry.key for key in keys for entry in self.list(key)])


class DecodesKeys(MemoryStore):
    """Takes ``%41`` for ``A`` and ``+`` for a space."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        return super().put(key.replace("%20", " ").replace("+", " "), body, if_version=if_version)


class DropsEmpty(MemoryStore):
    """Takes an empty body for a folder marker."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return [entry for entry in super().list(prefix, after=after, limit=limit) if entry.size]


class KeepsText(MemoryStore):
    """Takes a body for text."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        return super().put(key, body.replace(b"\r\n", b"\n"), if_version=if_version)


class KeepsTombstones(MemoryStore):
    """Lets nothing be created where something was."""

    def __init__(self) -> None:
        super().__init__()
        self._gone: set[str] = set()

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        return Conflict() if key in self._gone else super().put(key, body, if_version=if_version)

    def delete(self, keys: Sequence[str]) -> None:
        self._gone.update(keys)
        super().delete(keys)


class CutsLarge(MemoryStore):
    """Keeps the last part of a body that was sent in parts."""

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        return super().put(key, body[-5_000_000:], if_version=if_version)


class SharesOneBuffer(MemoryStore):
    """Not made for threads: what one sends, another may store."""

    def __init__(self) -> None:
        super().__init__()
        self._body = b""
        self._turn = threading.Lock()

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        self._body = body
        time.sleep(0.001)
        return super().put(key, self._body, if_version=if_version)


class VersionsByKey(MemoryStore):
    """One version for everything that was ever under a key."""

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        found = super().get(key)
        if isinstance(found, Found):
            return Unchanged() if unless == "v" else Found(found.body, "v")
        return found

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        there = super().get(key)
        if isinstance(there, Found) != (if_version == "v"):
            return Conflict()
        super().put(key, body, if_version=there.version if isinstance(there, Found) else None)
        return Stored("v")

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return [entry._replace(version="v") for entry in super().list(prefix, after=after, limit=limit)]


class Broken(NamedTuple):
    store: type[MemoryStore]
    caught_by: str


BROKEN = (
    Broken(IgnoresIfVersion, "a_stale_replace_conflicts_and_changes_nothing"),
    Broken(IgnoresIfVersion, "one_of_many_threads_replaces"),
    Broken(IgnoresIfVersion, "no_update_is_lost_among_threads"),
    Broken(CreatesOverExisting, "a_second_create_conflicts_and_changes_nothing"),
    Broken(CreatesOverExisting, "one_of_many_threads_creates"),
    Broken(ChecksThenActs, "one_of_many_threads_creates"),
    Broken(ChecksThenActs, "one_of_many_threads_replaces"),
    Broken(CreatesOnReplace, "a_replace_of_a_missing_object_conflicts_and_creates_nothing"),
    Broken(RetriesInside, "a_created_object_is_read_back"),
    Broken(RetriesInside, "one_of_many_threads_creates"),
    Broken(ListsByUtf16, "a_listing_is_complete_and_in_byte_order"),
    Broken(ListsUnordered, "a_listing_is_complete_and_in_byte_order"),
    Broken(ListsUnordered, "a_listing_spans_folders_in_byte_order"),
    Broken(ListsByFolderName, "a_listing_in_pages_spans_folders_that_begin_alike"),
    Broken(ListsFromInclusive, "a_listing_in_pages_misses_nothing"),
    Broken(ListsFromInclusive, "a_listing_starts_after_a_key"),
    Broken(ListsOnlyFullPages, "a_listing_goes_on_across_pages"),
    Broken(IgnoresLimit, "a_listing_stops_at_its_limit"),
    Broken(ListsByFolder, "a_prefix_is_bytes_and_not_a_folder"),
    Broken(ListsEventually, "listings_follow_writes"),
    Broken(ReadsStale, "reads_follow_writes"),
    Broken(ListsOtherVersions, "a_listing_reports_what_get_reports"),
    Broken(ListsOtherVersions, "a_version_from_a_listing_can_be_replaced"),
    Broken(AlwaysUnchanged, "a_get_unless_a_version_sends_only_what_changed"),
    Broken(NeverUnchanged, "a_get_unless_a_version_sends_only_what_changed"),
    Broken(DeleteNeedsAll, "a_delete_is_idempotent"),
    Broken(DeletesNothing, "a_delete_is_idempotent"),
    Broken(DeletesAThousand, "a_delete_takes_more_than_a_thousand_keys"),
    Broken(DeletesByPrefix, "a_delete_removes_only_what_it_names"),
    Broken(DecodesKeys, "odd_keys_are_kept"),
    Broken(DropsEmpty, "an_empty_body_is_kept"),
    Broken(KeepsText, "any_bytes_are_kept"),
    Broken(KeepsTombstones, "a_removed_object_can_be_created_anew"),
    Broken(CutsLarge, "a_large_body_is_kept"),
    Broken(SharesOneBuffer, "many_threads_use_one_store"),
    Broken(VersionsByKey, "a_replace_names_the_version_it_replaces"),
    Broken(VersionsByKey, "no_update_is_lost_among_threads"),
)
