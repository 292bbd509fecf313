"""Every broken store is caught, by the check that names what it breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from s3queue.testing import conformance
from s3queue.testing.conformance import NotConforming, faults
from s3queue.testing.conformance.puts import a_created_object_is_read_back
from tests.conformance.broken import (
    BROKEN,
    Broken,
    CallsUnknownUnavailable,
    DeletesNothing,
    KeepsWhatArrives,
    ResendsUnanswered,
)

CHECKS = {check.__name__: check for check in (*conformance.CHECKS, *conformance.STRICTER)}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.store.__name__}-{broken.caught_by}")
def test_broken_store_is_caught(broken: Broken) -> None:
    with pytest.raises(NotConforming):
        CHECKS[broken.caught_by](broken.store(), "broken/")


class Losing:
    """Loses what a broken store sends, by telling the store."""

    def __init__(self, store: CallsUnknownUnavailable | ResendsUnanswered | KeepsWhatArrives) -> None:
        self._store = store

    @contextmanager
    def lose_answers(self) -> Iterator[None]:
        self._store.lost = True
        try:
            yield
        finally:
            self._store.lost = False

    lose_requests = cut_requests = refuse = lose_answers

    @property
    def seen(self) -> int:
        return self._store.sent if isinstance(self._store, ResendsUnanswered) else 0


def test_lost_answer_taken_for_a_refusal_is_caught() -> None:
    store = CallsUnknownUnavailable()
    with pytest.raises(NotConforming, match="expected OutcomeUnknown, got StoreUnavailable"):
        faults.an_unanswered_put_that_landed_is_unknown(store, "broken/", Losing(store))


def test_put_sent_again_after_a_lost_answer_is_caught() -> None:
    store = ResendsUnanswered()
    with pytest.raises(NotConforming, match="requests for one put"):
        faults.an_unanswered_put_is_sent_once(store, "broken/", Losing(store))


def test_put_of_which_a_part_is_kept_is_caught() -> None:
    store = KeepsWhatArrives()
    with pytest.raises(NotConforming, match="after a put that was cut short"):
        faults.a_put_that_is_cut_short_stores_nothing(store, "broken/", Losing(store))


def test_store_whose_delete_removes_nothing_ends_the_run() -> None:
    with pytest.raises(NotConforming, match="expected none left"):
        conformance.run(a_created_object_is_read_back, DeletesNothing())


def test_every_check_has_a_store_that_fails_it() -> None:
    """A list of exceptions, each with its reason, so that a new check cannot be added without a broken store."""
    alone = {
        "a_version_read_by_get_can_be_replaced",  # the same promise, from the other side
        "a_replace_with_an_equal_body_succeeds",
        "a_version_of_another_object_does_not_match",
        "no_update_is_lost_among_processes",  # broken stores here live in one process
        "one_of_many_processes_creates",
        "a_forked_child_uses_the_store_of_its_parent",
        "a_closed_store_opens_again",
        "a_delete_ignores_versions",
    }
    assert {check.__name__ for check in conformance.CHECKS} - {broken.caught_by for broken in BROKEN} == alone
