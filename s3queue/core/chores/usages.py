"""Store requests of hosts, including those that are gone: counters that never fall while hosts come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import astuple

from s3queue.core.hearing import Heard
from s3queue.core.records import Ledger, Summary, Usage


class _Known:
    """The requests of one supervisor. Each of its sessions goes on counting where the one before stopped."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.usage: dict[str, Usage] = {}

    def enter(self, session: str, usage: Mapping[str, Usage]) -> None:
        self.sessions.add(session)
        for role, asked in usage.items():
            self.usage[role] = _of_two(max, self.usage.get(role, Usage()), asked)

    def goes_on_from(self, before: _Known) -> bool:
        """Whether these counts continue the earlier ones. Otherwise a new supervisor has the same name."""
        return all(
            mine >= its
            for role, usage in before.usage.items()
            for mine, its in zip(astuple(self.usage.get(role, Usage())), astuple(usage), strict=True)
        )


class Usages:
    """
    Attributes:
        past: by role, of supervisors that are gone.
    """

    def __init__(self, heard: Mapping[str, Heard]) -> None:
        self._heard = heard
        self.past: dict[str, Usage] = {}
        self._known: dict[str, _Known] = {}

    def see(self, ledgers: Iterable[Ledger]) -> None:
        """Take over the counts of these hosts."""
        before, self._known = (
            self._known,
            _by_name((ledger.place.name or ledger.session, ledger.session, ledger.usage) for ledger in ledgers),
        )
        self._forget(before)

    def inherit(self, before: Summary) -> None:
        """Take over the counts of another coordinator."""
        for role, usage in before.past.items():
            self._add(role, usage)
        self._forget(_by_name((host.name or host.session, host.session, host.usage) for host in before.hosts))

    def _forget(self, before: Mapping[str, _Known]) -> None:
        for name, known in before.items():
            now = self._known.get(name)
            if now is None and any(session in self._heard for session in known.sessions):
                self._known[name] = known  # its ledger cannot be read now
            elif now is None or not now.goes_on_from(known):
                for role, usage in known.usage.items():
                    self._add(role, usage)

    def _add(self, role: str, usage: Usage) -> None:
        self.past[role] = _of_two(lambda one, other: one + other, self.past.get(role, Usage()), usage)


def _by_name(said: Iterable[tuple[str, str, Mapping[str, Usage]]]) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for name, session, usage in said:
        found.setdefault(name, _Known()).enter(session, usage)
    return found


def _of_two(join: Callable[[int, int], int], one: Usage, other: Usage) -> Usage:
    return Usage(*map(join, astuple(one), astuple(other)))
