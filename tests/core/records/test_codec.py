from __future__ import annotations

import msgspec
import pytest

from s3queue.core.records import (
    Board,
    DeadLetter,
    Failed,
    Failure,
    Leader,
    Ledger,
    Offer,
    Part,
    Place,
    QueueMeta,
    Ready,
    Report,
    RetiredPage,
    SourceState,
    Ticket,
    Totals,
    Waiting,
    decode,
    encode,
)
from s3queue.errors import CorruptRecord
from tests.core.world import path

RECORDS = [
    Board(
        "n", 3, 9, Leader("h1", Place("m", "/run/life", "host")), 77, 5,
        {"3-4": Ticket("h1", (Part(path(1), 0, 1, 2),), (0, 1))},
        {path(1): SourceState(1, (Ready(0, 1, 1),), (Waiting(2, 3, 4),), (5,), {5: (Failure(1, "error", "x", 2),)})},
        {"q": Totals(1, 2, 3)},
    ),
    Ledger(
        "n", "s", True, False, 4, {"q": Offer(5, 0.25)}, Place(), ("1-0",),
        {"1-0": Report((0, 1), (2, 3), {4: Failed("dead", 1.5)})},
    ),
    RetiredPage(("a", "b"), 7),
    DeadLetter("n", "m", "q", "t", 3, (Failure(1, "oom"),), b"\xff\x00", "{}", True, {"h": "v"}, 1, 2, True),
    QueueMeta("n", "lifo", 2),
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
class TestEvery:
    def test_it_survives_the_round_trip(self, record: msgspec.Struct) -> None:
        assert decode(type(record), "k", encode(record)) == record

    def test_it_says_which_format_it_is_in(self, record: msgspec.Struct) -> None:
        assert msgspec.json.decode(encode(record))["format"] == 1

    def test_fields_of_a_later_release_are_skipped(self, record: msgspec.Struct) -> None:
        body = encode(record)[:-1] + b',"later":{"x":[1]}}'
        assert decode(type(record), "k", body) == record

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda body: b"",
            lambda body: body[:-1],
            lambda body: body.replace(b'"format":1', b'"format":2'),
            lambda body: body.replace(b',"format":1', b""),
            lambda body: body.replace(b'"n"', b'"\xff"').replace(b'"a"', b'"\xff"'),
            lambda body: b'{"x":' + b"[" * 100_000,
            lambda body: b"[]",
            lambda body: b"\x00" * 20,
        ],
    )
    def test_what_cannot_be_read_is_corrupt(self, record: msgspec.Struct, spoil: object) -> None:
        with pytest.raises(CorruptRecord):
            decode(type(record), "k", spoil(encode(record)))  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [{"ok": [1]}, {"ok": [3, 1]}, {"released": [0, 2, 2, 4]}, {"ok": [-1, 2]}])
def test_a_report_whose_offsets_are_no_ranges_is_corrupt(wrong: dict[str, list[int]]) -> None:
    body = msgspec.json.encode({"nonce": "n", "session": "s", "format": 1, "reports": {"1-0": wrong}})
    with pytest.raises(CorruptRecord):
        decode(Ledger, "k", body)


HEAD = '"nonce":"n","format":1'


@pytest.mark.parametrize(
    "fields",
    [
        '"slots":-1',
        '"slots":1e400',
        '"slots":99999999999999999999999999',
        '"visibility_timeout":1e300',
        '"visibility_timeout":-1',
        '"offers":{"q":{"mean_s":1e-320}}',
        '"offers":{"q":{"mean_s":-0.5}}',
        '"offers":{"q":{"mean_s":NaN}}',
        '"offers":{"q":{"max_attempts":0}}',
        '"reports":{"1-0":{"failed":{"-1":["dead"]}}}',
        '"reports":{"1-0":{"failed":{"0":["retry",1e308]}}}',
        '"reports":{"1-0":{"failed":{"0":["retry",0,[-1,"error"]]}}}',
        '"usage":{"host":[-1]}',
    ],
)
def test_a_ledger_with_a_number_that_none_can_have_is_corrupt(fields: str) -> None:
    with pytest.raises(CorruptRecord):
        decode(Ledger, "k", f'{{{HEAD},"session":"s",{fields}}}'.encode())


@pytest.mark.parametrize(
    "fields",
    [
        '"epoch":-1',
        '"epoch":2147483648',
        '"epoch":1,"sequence":4294967296',
        '"epoch":1,"uptime_ms":-1',
        '"epoch":1,"leader_lease":1e9',
        '"epoch":1,"tickets":{"1-0":["s",[["in/q/5/1-1-1",0,1,0]]]}',
        '"epoch":1,"tickets":{"1-0":["s",[["in/q/5/1-1-1",0,1000000000000,1]]]}',
        '"epoch":1,"tickets":{"1-0":["s",[["in/q/5/1-1-1",0,3,1]],[0,4]]}',
        '"epoch":1,"tickets":{"1-0":["s",[["in/q/5/1-1-1",0,3,1]],[2,1]]}',
        '"epoch":1,"sources":{"x":{"settled":-1}}',
        '"epoch":1,"sources":{"x":{"settled":1001}}',
        '"epoch":1,"sources":{"x":{"ready":[[0,1,0]]}}',
        '"epoch":1,"sources":{"x":{"waiting":[[0,1,-5]]}}',
        '"epoch":1,"totals":{"q":{"done":-1}}',
    ],
)
def test_a_board_with_a_number_that_none_can_have_is_corrupt(fields: str) -> None:
    with pytest.raises(CorruptRecord):
        decode(Board, "k", f"{{{HEAD},{fields}}}".encode())
