"""What hosts ask of the store stays counted while they come and go."""

from __future__ import annotations

from s3queue.core.chores.usages import Usages
from s3queue.core.hearing import Heard
from s3queue.core.records import HostTally, Ledger, Place, Summary, Usage


def ledger(session: str, puts: int, name: str = "") -> Ledger:
    return Ledger("n", session, place=Place(name=name or session), usage={"host": Usage(puts)})


def there(*ledgers: Ledger) -> dict[str, Heard]:
    return {one.session: Heard("1", one) for one in ledgers}


class Told:
    """One coordinator."""

    def __init__(self) -> None:
        self.heard: dict[str, Heard] = {}
        self.usages = Usages(self.heard)

    def see(self, *ledgers: Ledger) -> int:
        """Puts of all, by what is listed and what is gone."""
        self.heard.clear()
        self.heard.update(there(*ledgers))
        self.usages.see(ledgers)
        return self.total(*ledgers)

    def total(self, *ledgers: Ledger) -> int:
        past = self.usages.past.get("host", Usage()).put
        return past + sum({one.place.name: one.usage["host"].put for one in ledgers}.values())


def test_host_that_is_gone_stays_counted() -> None:
    it = Told()
    assert it.see(ledger("a", 10), ledger("b", 5)) == 15
    assert it.see(ledger("b", 6)) == 16
    assert it.see() == 16
    assert it.see(ledger("c", 1)) == 17


def test_next_session_of_a_supervisor_goes_on_counting_and_counts_once() -> None:
    it = Told()
    it.see(ledger("a", 10, "web:1"))
    assert it.see(ledger("a", 10, "web:1"), ledger("b", 12, "web:1")) == 12
    assert it.see(ledger("b", 13, "web:1")) == 13


def test_supervisor_that_has_begun_anew_under_the_same_name_adds_to_what_was() -> None:
    it = Told()
    it.see(ledger("a", 10, "pod:1"))
    assert it.see(ledger("b", 2, "pod:1")) == 12


def test_host_whose_ledger_cannot_be_read_is_not_gone() -> None:
    it = Told()
    it.see(ledger("a", 10))
    it.heard["a"] = Heard("2", None)
    it.usages.see(())
    assert it.usages.past == {}
    assert it.see(ledger("a", 11)) == 11


def test_new_coordinator_goes_on_with_those_that_left_before_and_in_between() -> None:
    it = Told()
    stays = ledger("stays", 7)
    it.see(stays)
    stored = Summary(
        "n",
        1,
        0,
        hosts=(
            HostTally("stays", "stays", usage={"host": Usage(6)}),
            HostTally("left", "left", usage={"host": Usage(4)}),
        ),
        past={"host": Usage(100), "worker": Usage(get=3)},
    )
    it.usages.inherit(stored)
    assert it.total(stays) == 111
    assert it.usages.past["worker"] == Usage(get=3)
    assert it.see(ledger("stays", 8)) == 112
