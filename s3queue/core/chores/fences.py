"""The fence: ends a silent session, by compare-and-swap of its ledger, so that its tickets are free."""

from __future__ import annotations

from msgspec.structs import replace

from s3queue.core.chores.troubles import Troubles
from s3queue.core.hearing import Heard, heard_of
from s3queue.core.keys import Layout
from s3queue.core.ops import Overtaken, Step, Unknown, get, write
from s3queue.core.records import encode, encode_over
from s3queue.core.silence import Silent
from s3queue.errors import CorruptRecord, StoreError, StoreUnsupported
from s3queue.store import Found, Missing, Stored


class Fences:
    """
    Args:
        heard: the coordinator's; updated when a fence is known to be stored.

    Attributes:
        done: sessions that were ended, not reported yet.
        corrupt: ledgers that cannot be decoded, not reported yet.
    """

    def __init__(self, layout: Layout, heard: dict[str, Heard], troubles: Troubles) -> None:
        self._layout, self._heard, self._troubles = layout, heard, troubles
        self._wanted: dict[str, Silent] = {}
        self._under_way: set[str] = set()
        self.done: list[str] = []
        self.corrupt: list[CorruptRecord] = []

    def follow(self, wanted: dict[str, Silent]) -> None:
        """Set the sessions to end."""
        self._wanted = wanted

    def take(self, now: float, nonce: str) -> Step[bool] | None:
        for session in self._wanted:
            if session not in self._under_way and self._troubles.allow(self._layout.host(session), now):
                silent = self._wanted.pop(session)
                self._under_way.add(session)
                # The nonce of a fence has a dot, that of `end_session` has none: audits tell them apart by it.
                return self._fence(session, silent, f"{nonce}.f", now)
        return None

    def _fence(self, session: str, silent: Silent, nonce: str, now: float) -> Step[bool]:
        """A ledger that was not read is only read: its host may doze, and is judged anew.

        Asks: one Put; after an unanswered Put or a Conflict, one Get; at most two of both. Or one Get.
        """
        key, version = self._layout.host(session), silent.version
        ledger = replace(silent.ledger, nonce=nonce)
        try:
            if not silent.is_read:
                there = yield from get(key)
                if isinstance(there, Found):
                    before = self._heard.get(session)
                    if before is None or before.version != version:
                        return True  # a survey has looked since
                    heard = self._heard[session] = heard_of(key, there, self.corrupt)
                    if there.version != version:
                        return True
                    heard.since = before.since
                    if heard.ledger is not None:
                        return True
            there_now = self._heard.get(session)
            body = encode(ledger)
            if there_now is not None and there_now.ledger is not None and there_now.version == version:
                body = encode_over(ledger, there_now.ledger, there_now.body)
            outcome = yield from write(key, body, nonce=nonce, if_version=version, tries=2)
        except StoreUnsupported:  # proof that the store breaks its promises: the host ends
            raise
        except StoreError as fault:
            self._troubles.met(key, fault, now)
            return False
        finally:
            self._under_way.discard(session)
        self._troubles.over(key)
        match outcome:
            case Stored(stored):
                self._heard[session] = Heard(stored, ledger)
                self.done.append(session)
            case Overtaken(Found() as found):
                self._heard[session] = heard_of(key, found, self.corrupt)  # it lives
            case Overtaken(Missing()):
                self._heard.pop(session, None)
            case Unknown():
                return False  # the next survey shows what came of it
        return True
