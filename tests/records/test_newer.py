"""An older leader over a newer board: what it does not know survives a read, a change and a write.

The samples in ``newer`` are the records of this format with fields in all places that this release does not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core.cycle import take_office
from s3queue.core.elect import View, look, resign, stand
from s3queue.core.last_will import end_session
from s3queue.core.records import (
    Board,
    Leader,
    Ledger,
    Report,
    Ticket,
    decode,
    encode,
    encode_over,
    encode_with,
    newer,
)
from s3queue.store import Found, Stored
from tests.core.hands import run
from tests.core.world import LAYOUT, NOW_MS, SETTINGS, whole_cycle
from tests.records.kinds import KINDS, RECORDS

SAMPLES = Path(__file__).parent / "newer"
BOARD = (SAMPLES / "board.json").read_bytes()
LEDGER = (SAMPLES / "ledger.json").read_bytes()
_PATH = "in/mail/5/1700000000000-0a1-3"


def plain(body: bytes) -> Any:
    return msgspec.json.decode(body)


def replaced(body: bytes, **fields: object) -> dict[str, Any]:
    """The board as it is stored after these changes."""
    board = decode(Board, "k", body)
    found = plain(encode_over(replace(board, **fields), board, body))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("damage", [b'"zz\xff":1', b'"zz":"\xff\xfe"', b'"zz":1e999'])
def test_damage_that_no_reader_looks_at_stops_nobody_from_replacing_a_record(damage: bytes) -> None:
    for kind, sample in ((Board, BOARD), (Ledger, LEDGER)):
        body = sample.rstrip().removesuffix(b"}") + b"," + damage + b"}"
        record = decode(kind, "k", body)
        assert newer(record, body) == {}
        assert decode(kind, "k", encode_over(record, record, body)) == record


class TestBoard:
    def test_fields_of_the_board_its_tickets_and_sources_survive(self) -> None:
        after, before = replaced(BOARD, turn=43), plain(BOARD)
        assert after["shards"] == before["shards"]
        assert after["tickets"]["7-2"][3:] == before["tickets"]["7-2"][3:] == [{"lane": 1}]
        assert after["tickets"]["7-2"][1][0][4:] == ["p"]
        assert after["sources"][_PATH]["held"] == [1, 2]
        assert after["sources"][_PATH]["ready"][0][3:] == [{"x": 1}]
        assert after["sources"][_PATH]["failures"]["2"][0][7:] == ["trace"]
        assert after["totals"]["mail"]["late"] == 3
        assert after["turn"] == 43

    def test_what_is_over_takes_with_it_what_is_not_known_of_it(self) -> None:
        after = replaced(BOARD, tickets={}, sources={})
        assert after["shards"] == plain(BOARD)["shards"]
        assert "tickets" not in after

    def test_what_changes_loses_what_was_said_of_its_former_self_only(self) -> None:
        board = decode(Board, "k", BOARD)
        state = replace(board.sources[_PATH], settled=2, ready=())
        after = replaced(BOARD, sources={_PATH: state})
        assert after["sources"][_PATH]["held"] == [1, 2]
        assert "ready" not in after["sources"][_PATH]
        ticket = replace(board.tickets["7-2"], taken=(0, 1))
        assert replaced(BOARD, tickets={"7-2": ticket})["tickets"]["7-2"][3:] == [{"lane": 1}]

    def test_it_is_read_as_before_by_this_release(self) -> None:
        board = decode(Board, "k", BOARD)
        assert decode(Board, "k", encode_over(board, board, BOARD)) == board

    def test_all_of_an_older_leaders_term_carries_it_along(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.board, BOARD, if_version=None)
        view = View()
        run(look(view, LAYOUT, 0.0), store)
        assert isinstance(run(stand(view, LAYOUT, Leader("old"), "n1"), store), Stored)
        assert self.stored(store)["shards"] == plain(BOARD)["shards"]
        lead = run(take_office(view, LAYOUT, SETTINGS, 1000.0, NOW_MS), store)
        for number in range(3):
            lead.written_at = 0.0
            run(whole_cycle(lead, now=1000.0 + number, now_ms=NOW_MS, nonce=f"c{number}"), store)
        run(resign(view, LAYOUT, "n2"), store)
        after = self.stored(store)
        assert after["turn"] > 45
        assert "leader" not in after
        assert after["shards"] == plain(BOARD)["shards"]
        assert after["sources"][_PATH]["held"] == [1, 2]

    def stored(self, store: MemoryStore) -> Any:
        found = store.get(LAYOUT.board)
        assert isinstance(found, Found)
        return plain(found.body)


class TestLedger:
    def test_a_fenced_ledger_keeps_what_its_fencer_does_not_know(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.host("h1"), LEDGER, if_version=None)
        store.put(LAYOUT.board, encode(Board("b", 1, 1, Leader("h1"))), if_version=None)
        view = View()
        run(look(view, LAYOUT, 0.0), store)
        lead = run(take_office(view, LAYOUT, SETTINGS, 1000.0, NOW_MS), store)
        run(whole_cycle(lead, now=1001.0, now_ms=NOW_MS, nonce="c"), store)
        run(whole_cycle(lead, now=1002.0, now_ms=NOW_MS, nonce="d", gone=("h1",)), store)
        self.check(store)

    def test_so_does_one_that_the_next_agent_ends(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.host("h1"), LEDGER, if_version=None)
        board = Board("b", 7, 1, tickets={"7-2": Ticket("h1", decode(Board, "k", BOARD).tickets["7-2"].parts)})
        view = View(board, "v")
        assert run(end_session(view, LAYOUT, "h1", {"7-2": Report(ok=(1, 2))}, ["n1"]), store)
        after = self.check(store)
        assert after["reports"]["7-2"]["ok"] == [0, 2]
        assert after["reports"]["7-2"]["why"] == "so"

    def check(self, store: MemoryStore) -> Any:
        found = store.get(LAYOUT.host("h1"))
        assert isinstance(found, Found)
        after = plain(found.body)
        assert after["fenced"]
        assert after["zone"] == "eu-1"
        assert after["offers"]["mail"]["weight"] == 2
        return after


@pytest.mark.parametrize("name", ["board", "ledger"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_record_of_this_release_has_nothing_newer(name: str, data: st.DataObject) -> None:
    record = data.draw(RECORDS[name])
    assert newer(record, encode(record)) == {}
    assert encode_with(record, {}) == encode(record)
    assert plain(encode_with(record, {"nothing of it": {}})) == plain(encode(record))


@pytest.mark.parametrize("name", ["board", "ledger"])
@settings(max_examples=40, deadline=None)
@given(data=st.data(), more=st.dictionaries(st.text("xyz_", min_size=6), st.integers() | st.text("ab"), min_size=1))
def test_whatever_it_does_not_know_survives(name: str, data: st.DataObject, more: dict[str, Any]) -> None:
    record = data.draw(RECORDS[name])
    body = msgspec.json.encode(plain(encode(record)) | more)
    assert plain(encode_over(record, record, body)) == plain(body)
    assert decode(KINDS[name], "k", encode_over(record, record, body)) == record


def test_a_sample_is_what_it_is_taken_for() -> None:
    assert decode(Board, "k", BOARD).epoch == 7
    assert decode(Ledger, "k", LEDGER).session == "h1"
