"""Records outlive releases: samples of every format, as its releases stored them, are read for ever.

The files in ``samples/format-N`` are not made by this code: whoever adds a field adds a sample that has it, and never
touches the others.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from s3queue.core.keys import parse_source
from s3queue.core.records import (
    FORMAT,
    Answer,
    Board,
    Chosen,
    Control,
    DeadLetter,
    Ending,
    Failed,
    Failure,
    HostTally,
    Leader,
    Ledger,
    LetterRequest,
    Life,
    Mark,
    Memo,
    Offer,
    Origin,
    Part,
    Place,
    Progress,
    QueueMeta,
    Ready,
    Report,
    Request,
    RetiredPage,
    Schedule,
    SourceState,
    Summary,
    Tally,
    Ticked,
    Ticket,
    Totals,
    Unfit,
    Usage,
    Waiting,
    decode,
    decode_batch,
    decode_message,
    decode_moved,
)
from s3queue.errors import CorruptRecord
from tests.records.kinds import KINDS

SAMPLES = Path(__file__).parent / "samples"
_PATH = "in/mail/5/1700000000000-0a1-3"
_MOVED = "later/1700000050000-mail/5/1700000000000-00000000030000000007-2.2a"
_GROUPED = "later/1700000100000-mail/1/1700000000001-0a2-1-customer=207"

EXPECTED = {
    "format-1/request.json": Request(
        "4f21", "cancel", "p00~in~mail~5~1700000000000-0a1-3~1", f"p00~{_MOVED.replace('/', '~')}~0", "wrong list"
    ),
    "format-1/answer.json": Answer("do/1700000000000-0123456789abcdef", "cancelled"),
    "format-1/letter-request.json": LetterRequest(
        "4f31",
        "redrive",
        "mail",
        (
            Chosen("p00~in~mail~5~1700000000000-0a1-3~1", 1, "v7", b"\x81\xa1a"),
            Chosen("p00~in~mail~5~1700000000000-0a1-3~2", 2),
        ),
    ),
    "format-1/board-lives.json": Board(
        "4f32",
        4,
        sources={
            "dead/mail/2/p00~in~mail~5~1700000000000-0a1-3~1": SourceState(
                dying=(0,), endings={0: Ending("edited", "do/1700000070000-0123456789abcdef.dead")}, letter="v7"
            )
        },
        totals={"mail": Totals(dead=3, redriven=1, letters_purged=1, expired=2, purged=4)},
        edits={"do/1700000070000-0123456789abcdef.dead": "redriven 0"},
    ),
    "format-1/board-control.json": Board(
        "4f22",
        4,
        sources={_PATH: SourceState(1, dying=(2,), endings={2: Ending("cancelled")})},
        totals={"mail": Totals(1, cancelled=1)},
        control=3,
        answers={"do/1700000000000-0123456789abcdef": "cancelled"},
        marks={_PATH: {1: Mark(("do/1700000000001-0123456789abcdef",), "wrong list")}},
    ),
    "format-1/board.json": Board(
        "4f1c",
        7,
        42,
        Leader("h1", Place("boot-1", "/run/life", "web-1:77")),
        360_000,
        3,
        {"7-2": Ticket("h1", (Part(_PATH, 1, 3, 1), Part(_GROUPED, 0, 1, 2)), (0, 1))},
        {
            _PATH: SourceState(
                1,
                (Ready(0, 1, 1),),
                (Waiting(2, 2, 1_700_000_050_000),),
                (1,),
                {2: (Failure(1, "error", "ValueError: no", 1_700_000_040_000),)},
            ),
            _GROUPED: SourceState(),
        },
        {"mail": Totals(10, 1, 4)},
    ),
    "format-1/board-empty.json": Board("4f1d", 1),
    "format-1/board-settings.json": Board(
        "4f1e",
        2,
        sources={
            _PATH: SourceState(
                1, (Ready(0, 2, 1),), spared={0: 1}, unfit=(Unfit(0, 2, "send@,1a2b", 1_700_000_050_000),)
            )
        },
        leader_lease=15.0,
        window_s=1260.0,
    ),
    "format-1/board-moves.json": Board(
        "4f1f",
        3,
        sources={_PATH: SourceState(1, failures={2: (Failure(1, "error", "ValueError: no", 1_700_000_040_000),)})},
        moves={_MOVED: ((_PATH, 1), (_PATH, 2))},
        full=("failures",),
    ),
    "format-1/ledger.json": Ledger(
        "77aa",
        "h1",
        False,
        False,
        4,
        {"mail": Offer(5, 0.25)},
        Place("boot-1", "/run/life", "web-1:77"),
        ("7-2", "7-3"),
        {
            "7-2": Report(
                (0, 2, 5, 6),
                (3, 4),
                {2: Failed("retry", 1.5, Failure(1, "error", "no", 1_700_000_040_000)), 4: Failed("snooze", 2.0)},
            )
        },
    ),
    "format-1/ledger-fenced.json": Ledger("77ab", "h2", fenced=True),
    "format-1/ledger-unread.json": Ledger("77ac", "h3", fenced=True, claims=("7-9",), unread=True),
    "format-1/ledger-usage.json": Ledger(
        "77ad",
        "h4",
        slots=2,
        usage={"host": Usage(9, 8, 7, 6, 5, 4, 3, 2, 1), "worker": Usage(get=70, received=70_000)},
    ),
    "format-1/ledger-unfit.json": Ledger(
        "77ae",
        "h5",
        slots=2,
        offers={"mail": Offer(5, tasks={"send": "1a2b3c4d"})},
        claims=("7-2",),
        reports={
            "7-2": Report(
                failed={
                    0: Failed("unfit", 0.0, Failure(1, "unknown_task", "no task 'post'", 1_700_000_040_000), "post@")
                }
            )
        },
        visibility_timeout=30.0,
    ),
    "format-1/ledger-memos.json": Ledger(
        "77af",
        "h6",
        claims=("7-2",),
        reports={"7-2": Report(memos={1: Memo(3.0, 10.0, "resizing", b"\x81\xa4page\x07")})},
    ),
    "format-1/board-memos.json": Board(
        "4f23",
        3,
        sources={_PATH: SourceState(1, (Ready(0, 1, 1),), (Waiting(1, 1, 1_700_000_050_000),))},
        memos={_PATH: {1: Memo(3.0, 10.0, "resizing", b"\x81\xa4page\x07")}},
    ),
    "format-1/summary-progress.json": Summary(
        "9b.s",
        7,
        1_700_000_100_000,
        hosts=(
            HostTally("h1", slots=4, progress=(Progress("p00~in~mail~5~1700000000000-0a1-3~1", 3.0, 10.0, "half"),)),
        ),
    ),
    "format-1/control-schedules.json": Control(
        "c9",
        7,
        schedules={
            "mail.digest": Schedule(
                9856956921,
                "mail",
                "digest",
                2,
                "30 2 * * *",
                tz="Europe/Berlin",
                catch_up="all",
                paused_ms=0,
                from_ms=1_700_000_000_000,
                digest="0f3a",
            ),
            "beat": Schedule(7, "raw", every_s=60, since_ms=1_699_999_000_000),
        },
    ),
    "format-1/board-schedules.json": Board(
        "5a",
        4,
        sources={"tick/mail/2/1700000060000-mail.digest.9856956921": SourceState(0, (Ready(0, 1, 1),))},
        control=7,
        schedules={
            "mail.digest": Ticked(9856956921, 1_700_000_060_000, 0, (12,)),
            "old": Ticked(5, 1_700_000_000_000, 1_700_000_030_000),
        },
    ),
    "format-1/ledger-clock.json": Ledger("7b", "h1", slots=2, clock_ms=1_700_000_061_234),
    "format-1/retired.json": RetiredPage(("1700000000000-0a1", "1700000000001-0a2"), 361_000),
    "format-1/dead-lives.json": DeadLetter(
        "9a",
        "p00~in~mail~5~1700000000000-0a1-3~1",
        "mail",
        "send",
        3,
        headers={"trace": "1"},
        sent_ms=1_700_000_000_000,
        died_ms=1_700_000_061_000,
        tombstone=True,
        ending="done",
        life=2,
        lives=(Life(1, 3, 1_700_000_061_000, Failure(3, "killed", "signal 9", 1_700_000_060_000)),),
        turn=40,
        ticket="7-2",
        ended_ms=1_700_000_090_000,
        edit="do/1700000070000-0123456789abcdef",
        payload_at=1,
        payload_bytes=70_000,
    ),
    "format-1/dead.json": DeadLetter(
        "99",
        "p00~in~mail~5~1700000000000-0a1-3~1",
        "mail",
        "send",
        3,
        (Failure(3, "killed", "signal 9", 1_700_000_060_000),),
        b"\x82\xa4args\x91\x01\xa6kwargs\x80",
        '{"args":[1],"kwargs":{}}',
        False,
        {"trace": "1"},
        1_700_000_000_000,
        1_700_000_061_000,
        False,
    ),
    "format-1/meta.json": QueueMeta("12", "lifo", 1),
    "format-1/control.json": Control("c1", 4, {"mail": 0, "slow": 1_700_000_900_000}),
    "format-1/summary.json": Summary(
        "9a.s",
        7,
        1_700_000_100_000,
        "h1",
        1_700_000_050_000,
        2048,
        {
            "mail": Tally(
                ready=5000,
                running=2,
                waiting=1,
                at_least=True,
                dead=3,
                done=9,
                failed=4,
                oldest_ms=1_700_000_000_000,
                out_per_s=1.5,
                mean_s=0.25,
                died={"error": 2, "oom": 1},
                unfit={"send@": 1},
                hosts=1,
                paused=True,
            )
        },
        (HostTally("h1", "web-1:77", 4, 2, ("mail",), usage={"worker": Usage(1, 2, 3)}),),
        ("board",),
        ("s3queue/p00/in/junk",),
        1,
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_is_read_as_what_it_meant(name: str) -> None:
    expected = EXPECTED[name]
    assert decode(type(expected), name, (SAMPLES / name).read_bytes()) == expected


def test_sample_of_a_batch_is_read_as_what_it_meant() -> None:
    batch = decode_batch("batch", (SAMPLES / "format-1/batch.msgpack").read_bytes())
    messages = [decode_message("batch", raw) for raw in batch.messages]
    assert batch.sent_ms == 1_700_000_000_000
    assert [(one.task, msgspec.msgpack.decode(one.payload), one.headers) for one in messages] == [
        ("send", {"args": [1], "kwargs": {}}, {"trace": "1"}),
        ("", [None, True, 2.5, b"\x00"], {}),
    ]


def test_sample_of_a_moved_batch_is_read_as_what_it_meant() -> None:
    batch = decode_batch("batch", (SAMPLES / "format-1/batch-moved.msgpack").read_bytes())
    (raw,) = batch.messages
    assert decode_message("batch", raw).headers == {"trace": "1"}
    assert decode_moved("batch", raw).origin == Origin(
        "p00~in~mail~5~1700000000000-0a1-3~1", 1_700_000_000_000, (Failure(1, "killed", "SIGKILL", 1_700_000_040_000),)
    )
    source = parse_source(_MOVED)
    assert (source.count, source.attempt, source.alone) == (2, 2, True)


def test_every_format_has_samples_of_every_record_and_every_sample_is_tested() -> None:
    formats = {folder.name for folder in SAMPLES.iterdir()}
    assert formats == {f"format-{number}" for number in range(1, FORMAT + 1)}
    files = {f"{path.parent.name}/{path.name}" for path in SAMPLES.glob("*/*")}
    for number in range(1, FORMAT + 1):
        kinds = {type(expected) for name, expected in EXPECTED.items() if name.startswith(f"format-{number}/")}
        assert kinds == set(KINDS.values())
    batches = {f"format-{number}/batch{what}.msgpack" for number in range(1, FORMAT + 1) for what in ("", "-moved")}
    assert files == {*EXPECTED, *batches}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("format_", [b"0", b"2", b"999", b'"1"', b"null", b"-1"])
def test_sample_of_an_unknown_format_is_left_alone(name: str, format_: bytes) -> None:
    body = (SAMPLES / name).read_bytes().replace(b'"format": 1', b'"format": ' + format_)
    with pytest.raises(CorruptRecord):
        decode(type(EXPECTED[name]), name, body)


def test_batch_of_an_unknown_format_is_left_alone() -> None:
    body = (SAMPLES / "format-1/batch.msgpack").read_bytes().replace(b"\xa6format\x01", b"\xa6format\x02")
    with pytest.raises(CorruptRecord, match="format 2"):
        decode_batch("batch", body)


def test_message_without_headers_is_read() -> None:
    """As the shortest form of an array-like record has it."""
    assert decode_message("key", Raw(msgspec.msgpack.encode(["t", 1]))).headers == {}
