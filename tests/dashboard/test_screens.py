"""What the screens show, of what is in a store."""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec
import pytest
from msgspec import Raw
from s3queue_backends.memory import MemoryStore

from s3queue import Queue
from s3queue.core.chores.letter import dead_letter
from s3queue.core.keys import Layout, parse_message_id
from s3queue.core.records import Board, Failure, Leader, Ledger, Part, Place, SourceState, Tally, Ticket, encode
from s3queue.dashboard.render import indented, query, shortened, span, tail, visible
from tests.dashboard.conftest import Serve, say

LAYOUT = Layout()
DIED_MS = 1_800_000_000_000
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202etxt\x1b[31m"


def send(queue: Queue, task: str, *payloads: object) -> list[str]:
    return queue.send(task, [Raw(msgspec.msgpack.encode(one)) for one in payloads])


def bury(store: MemoryStore, message: str, text: str = "ValueError: no", cause: str = "error") -> None:
    """Write the letter of a message, as a coordinator does, and delete its batch."""
    ref = parse_message_id(message)
    found = store.get(LAYOUT.source(ref.path))
    letter = dead_letter(LAYOUT, ref.path, ref.index, found, (Failure(1, cause, text, DIED_MS),), "n", DIED_MS)  # type: ignore[arg-type]
    store.put(LAYOUT.dead(letter.queue, letter.message), encode(letter), if_version=None)
    store.delete([LAYOUT.source(ref.path)])


@pytest.fixture
def queue(store: MemoryStore) -> Queue:
    return Queue("mail", store)


def test_an_empty_namespace_says_what_to_do(serve: Serve) -> None:
    with serve().client() as client:
        for path in ("/", "/queues", "/hosts", "/coordinator"):
            assert "s3queue run MODULE" in client.get(path).text
        assert "No dead letters" in client.get("/queues/mail/dead").text
        assert "No messages wait here" in client.get("/queues/mail/messages").text


def test_the_overview_tells_what_the_summary_says(serve: Serve, store: MemoryStore) -> None:
    say(
        store,
        mail=Tally(ready=1_234_567, at_least=True, dead=3, died={"error": 2, "oom": 1}, hosts=1),
        images=Tally(ready=2),
    )
    with serve().client() as client:
        page = client.get("/").text
    assert "1,234,567" in page
    assert "≥" in page
    assert "images" in page
    assert "Not served" in page
    assert re.search(r"oom.*\n?.*queues/mail/dead\?cause=oom", page)


def test_pages_of_the_summary_ask_for_nothing_else(serve: Serve, store: MemoryStore) -> None:
    say(store, mail=Tally(ready=5))
    it = serve(every=3600.0)
    with it.client() as client:
        for path in ("/", "/queues", "/queues/mail", "/dead", "/hosts", "/coordinator", "/store", "/works"):
            assert client.get(path).status_code == 200
    assert it.app.reader.meter.as_dict() == {"put": 0, "get": 1, "list": 0, "delete": 0}


class TestHostile:
    """Whoever may enqueue writes payloads, names of tasks, headers and errors."""

    def test_it_is_shown_as_text(self, serve: Serve, store: MemoryStore, queue: Queue) -> None:
        (waits,) = queue.send(HOSTILE, [Raw(msgspec.msgpack.encode({HOSTILE: HOSTILE}))], headers={HOSTILE: HOSTILE})
        (died,) = send(queue, HOSTILE, {"text": HOSTILE})
        bury(store, died, f"Error: {HOSTILE}", HOSTILE)
        say(store, mail=Tally(ready=1, dead=1, died={HOSTILE: 1}, unfit={f"{HOSTILE}@": 1}))
        with serve().client() as client:
            for path, params in {
                "/": {},
                "/queues/mail": {},
                "/queues/mail/messages": {"task": HOSTILE},
                "/queues/mail/dead": {},
                "/queues/mail/groups": {},
                "/dead": {},
                f"/message?id={waits}": {},
                f"/message?id={died}": {},
                "/message": {"id": HOSTILE},
                f"/queues/{quote(HOSTILE, safe='')}": {},
            }.items():
                page = client.get(path, params=params or None).text
                assert "<script>" not in page, path
                assert "<img" not in page, path
                assert "\u202e" not in page, path
                assert "\x1b" not in page, path

    def test_what_is_not_seen_is_shown_by_its_number(self) -> None:
        assert visible("a\u202eb\x00\tc\n") == "a\\u202eb\\u0000\tc\n"
        assert visible("\ud800") == "\ufffd"

    def test_a_queue_that_has_no_such_name_is_a_mistake(self, serve: Serve) -> None:
        with serve().client() as client:
            assert client.get("/queues/a%2F..%2Fb/messages").status_code in (400, 404)
            assert client.get("/queues/a b").status_code == 400
            assert client.get("/message?id=nonsense").status_code == 400
            assert client.get("/queues/mail/messages?after=nonsense").status_code == 400
            assert client.get("/queues/mail/messages?state=nonsense").status_code == 400
            assert client.get("/queues/mail/dead?since=yesterday").status_code == 400

    @pytest.mark.parametrize(
        "path", ["../app.py", "%2e%2e/app.py", "vendor/../../app.py", "vendor", "", "x.py", "//etc/passwd"]
    )
    def test_only_what_is_static_is_served(self, serve: Serve, path: str) -> None:
        with serve().client() as client:
            assert client.get(f"/static/{path}").status_code == 404


class TestMessages:
    def test_a_page_leads_to_the_next(self, serve: Serve, queue: Queue) -> None:
        sent = send(queue, "send", *range(60))
        with serve().client() as client:
            first = client.get("/queues/mail/messages").text
            after = re.search(r'href="([^"]*after=[^"]*)" rel="next"', first)
            assert after is not None
            second = client.get(after[1].replace("&amp;", "&")).text
        assert first.count('<td class="id">') == 50
        assert second.count('<td class="id">') == 10
        assert tail(sent[0]) in first
        assert tail(sent[59]) in second

    def test_a_filter_finds_a_task(self, serve: Serve, queue: Queue) -> None:
        send(queue, "send", 1)
        (other,) = send(queue, "resize", 2)
        with serve().client() as client:
            page = client.get("/queues/mail/messages?task=resize").text
            assert page.count('<td class="id">') == 1
            assert tail(other) in page
            part = client.get(
                "/queues/mail/messages?task=none", headers={"hx-request": "true", "hx-target": "rows"}
            ).text
            assert "<html" not in part
            assert "No messages like that" in part

    def test_a_page_says_what_it_cost(self, serve: Serve, queue: Queue) -> None:
        send(queue, "send", 1, 2, 3)
        with serve().client() as client:
            assert "2 GET, 2 LIST" in client.get("/queues/mail/messages").text


class TestOneMessage:
    def test_one_that_waits(self, serve: Serve, queue: Queue) -> None:
        (sent,) = send(queue, "send", {"user": 7})
        with serve().client() as client:
            page = client.get(f"/message?id={sent}").text
        assert "ready" in page
        assert "&#34;user&#34;: 7" in page
        assert "2 GET, 1 LIST" in page

    def test_one_that_runs_tells_its_host_and_fencing_token(
        self, serve: Serve, store: MemoryStore, queue: Queue
    ) -> None:
        (sent,) = send(queue, "send", {"user": 7})
        path = parse_message_id(sent).path
        ticket = Ticket("session-9", (Part(path, 0, 1, 2),))
        failures: dict[int, tuple[Failure, ...]] = {
            0: (Failure(1, "oom", "killed by the kernel", DIED_MS, "box-4:7", "3-9"),)
        }
        board = Board(
            "n", 3, leader=Leader("session-9"), tickets={"3-17": ticket}, sources={path: SourceState(failures=failures)}
        )
        store.put(LAYOUT.board, encode(board), if_version=None)
        ledger = Ledger("n", "session-9", place=Place(name="box-9:44"))
        store.put(LAYOUT.host("session-9"), encode(ledger), if_version=None)
        with serve().client() as client:
            page = client.get(f"/message?id={sent}").text
        assert "Attempt 1: oom" in page
        assert re.search(r"box-4:7 · <abbr [^>]*>token</abbr> 12884901897<", page)
        assert "Attempt 2: running" in page
        assert "box-9:44" in page
        assert str((3 << 32) + 17) in page

    def test_one_that_died(self, serve: Serve, store: MemoryStore, queue: Queue) -> None:
        (sent,) = send(queue, "send", {"user": 7})
        bury(store, sent, "Traceback\n  File x\nValueError: no user 7")
        with serve().client() as client:
            page = client.get(f"/message?id={sent}").text
        assert "<summary>ValueError: no user 7</summary>" in page
        assert "Dead" in page

    def test_one_that_nobody_knows(self, serve: Serve, queue: Queue, store: MemoryStore) -> None:
        (sent,) = send(queue, "send", {"user": 7})
        store.delete([LAYOUT.source(parse_message_id(sent).path)])
        with serve().client() as client:
            assert "Not known" in client.get(f"/message?id={sent}").text


class TestLetters:
    def test_groups_and_filters(self, serve: Serve, store: MemoryStore, queue: Queue) -> None:
        for number, message in enumerate(send(queue, "send", *range(5))):
            bury_one = f"ValueError: no user {number}" if number < 3 else "OSError: disk"
            ref = parse_message_id(message)
            found = store.get(LAYOUT.source(ref.path))
            failure = Failure(1, "error" if number < 3 else "oom", bury_one, DIED_MS)
            letter = dead_letter(LAYOUT, ref.path, ref.index, found, (failure,), "n", DIED_MS)  # type: ignore[arg-type]
            store.put(LAYOUT.dead("mail", letter.message), encode(letter), if_version=None)
        with serve().client() as client:
            groups = client.get("/queues/mail/groups", headers={"hx-request": "true"}).text
            assert re.findall(r'<td class="n">(\d+)</td>', groups) == ["3", "2"]
            assert "5 GET, 1 LIST" in groups
            page = client.get("/queues/mail/dead?cause=oom").text
            assert page.count("OSError: disk</td>") == 2
            assert "no user" not in page
            assert "No dead letters like that" in client.get("/queues/mail/dead?task=none").text

    def test_what_many_want_at_once_is_read_once(self, serve: Serve, store: MemoryStore, queue: Queue) -> None:
        (sent,) = send(queue, "send", 1)
        bury(store, sent)
        it = serve()
        with it.client() as client:
            pages = {re.sub(r"\d\d:\d\d:\d\d", "", client.get("/queues/mail/groups").text) for _ in range(3)}
            assert len(pages) == 1


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.25, "250 ms"),
        (5.25, "5.2 s"),
        (61, "61 s"),
        (300, "5 min"),
        (7500, "2 h 5 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_time_is_told_in_one_or_two_units(seconds: float | None, told: str) -> None:
    assert span(seconds) == told


def test_a_query_leaves_out_what_is_empty() -> None:
    assert query(a="x&y", b="", c=None) == "?a=x%26y"
    assert query() == ""


def test_what_is_no_json_is_shown_as_it_is() -> None:
    assert indented('{"a":1}') == '{\n  "a": 1\n}'
    assert indented("{") == "{"
    assert shortened("abc", 2) == "ab\n… and 1 characters more"
