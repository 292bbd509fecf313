"""Actions: confirmed, performed, told to the audit."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import httpx
import pytest
from s3queue_backends.memory import MemoryStore

from s3queue import ConfigError, Queue
from s3queue.config import Config
from s3queue.core.keys import Layout
from s3queue.core.records import Control, decode
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.works import Work, Works
from s3queue.events import decode_event
from s3queue.operate.schedules import Schedules
from s3queue.store import Found
from tests.dashboard.conftest import Serve
from tests.dashboard.serve import form_token
from tests.dashboard.test_screens import bury
from tests.deadline import DEADLINE_S

LAYOUT = Layout()


def events(folder: Path) -> list[object]:
    return [decode_event(line) for file in folder.glob("dashboard-*.jsonl") for line in file.read_bytes().splitlines()]


def control(store: MemoryStore) -> Control:
    found = store.get(LAYOUT.control)
    assert isinstance(found, Found)
    return decode(Control, LAYOUT.control, found.body)


def test_a_pause_is_confirmed_then_done_and_told_once(serve: Serve, store: MemoryStore, tmp_path: Path) -> None:
    with serve(allow=["pause"], config=Config(history=str(tmp_path))).client() as client:
        question = client.get("/act/pause?queue=mail")
        assert "s3queue pause mail" in question.text
        assert store.get(LAYOUT.control) == store.get("nothing")
        answer = client.post("/act/pause", data={"queue": "mail", "form_token": form_token(question.text)})
        assert "mail is paused." in answer.text
    assert control(store).paused == {"mail": 0}
    (event,) = events(tmp_path)
    told = (event.kind, event.who, event.role_of, event.action, event.queue, event.outcome)  # type: ignore[attr-defined]
    assert told == ("operated", "local", "operator", "pause", "mail", "done")
    assert event.address == "127.0.0.1"  # type: ignore[attr-defined]


def test_a_field_that_is_wrong_is_said_and_nothing_is_done(serve: Serve, store: MemoryStore, tmp_path: Path) -> None:
    with serve(allow=["pause"], config=Config(history=str(tmp_path))).client() as client:
        token = form_token(client.get("/act/pause?queue=mail").text)
        answer = client.post("/act/pause", data={"queue": "mail", "for": "soon", "form_token": token})
        assert answer.status_code == 409
        assert "not a number of seconds" in answer.text
        assert 'value="soon"' in answer.text
    assert store.get(LAYOUT.control) == store.get("nothing")
    (event,) = events(tmp_path)
    assert (event.outcome, event.given) == ("failed", {"for": "soon"})  # type: ignore[attr-defined]


def test_the_command_line_that_is_shown_quotes_what_was_filled_in() -> None:
    command = ACTIONS["cancel"].command({"message": "m~1", "reason": "it's; rm -rf /"})
    assert command == """s3queue cancel 'm~1' --reason 'it'"'"'s; rm -rf /'"""


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_action_asks_first(serve: Serve, store: MemoryStore, name: str) -> None:
    (message,) = Queue("mail", store).enqueue_many([1])
    with serve(allow=[name]).client() as client:
        page = client.get(f"/act/{name}", params={"queue": "mail", "message": message, "schedule": "x", "key": "k"})
        assert page.status_code == 200
        assert f'action="/act/{name}"' in page.text
        assert re.search(r"<code>s3queue [a-z]", page.text)


def test_a_target_must_be_named(serve: Serve) -> None:
    with serve(allow=["pause"]).client() as client:
        assert client.get("/act/pause").status_code == 400
        assert client.get("/act/nothing").status_code == 404


def act(client: httpx.Client, name: str, **values: str) -> str:
    """Do it, as a person would, and return the page that answers."""
    question = client.get(f"/act/{name}", params=values)
    assert question.status_code == 200, question.text
    answer = client.post(f"/act/{name}", data={**values, "form_token": form_token(question.text)})
    if answer.status_code == 303:
        page = client.get(answer.headers["location"]).text
        while 'data-state="running"' in page:
            page = client.get(answer.headers["location"], headers={"hx-request": "true"}).text
        return page
    return answer.text


def test_a_limit_is_set_shown_and_undone(serve: Serve, store: MemoryStore) -> None:
    with serve(allow=["limit", "unlimit"]).client() as client:
        assert "No limits" in client.get("/queues/mail/settings").text
        assert "holds." in act(client, "limit", queue="mail", running="50", rate="20/min")
        page = client.get("/queues/mail/settings").text
        assert re.search(r"the whole queue</td><td class=.n.>50</td>.*0.33</td><td>an operator", page)
        assert "nothing was filled in" in act(client, "limit", queue="mail")
        assert "not a number" in act(client, "limit", queue="mail", running="many")
        act(client, "unlimit", queue="mail")
        assert "No limits" in client.get("/queues/mail/settings").text
    assert control(store).limits == {}


def test_a_schedule_is_paused_resumed_and_removed(serve: Serve, store: MemoryStore) -> None:
    Schedules(store).set("nightly", "mail", payload=1, cron="30 2 * * *", tz="Europe/Berlin")
    with serve(allow=["cron_pause", "cron_resume", "cron_rm"]).client() as client:
        assert "30 2 * * *" in client.get("/schedules").text
        act(client, "cron_pause", schedule="nightly")
        assert ">paused<" in client.get("/queues/mail/settings").text
        act(client, "cron_resume", schedule="nightly")
        assert ">paused<" not in client.get("/schedules").text
        act(client, "cron_rm", schedule="nightly")
        assert "No schedules" in client.get("/schedules").text
        assert "no schedule" in act(client, "cron_pause", schedule="nightly")


def test_messages_of_a_filter_are_counted_before_they_are_cancelled(serve: Serve, store: MemoryStore) -> None:
    queue = Queue("mail", store)
    queue.enqueue_many([1, 2, 3])
    queue.enqueue(4, delay=1000)
    with serve(allow=["cancel_many"]).client() as client:
        told = act(client, "cancel_many", queue="mail", dry="yes")
        assert "4 messages would be cancelled (3 ready, 1 scheduled)" in told
        assert "no state" in act(client, "cancel_many", queue="mail", state="asleep", dry="yes")
    assert len(list(queue.messages())) == 4


def test_a_payload_that_json_does_not_carry_is_not_edited_in_a_page(serve: Serve, store: MemoryStore) -> None:
    queue = Queue("mail", store)
    for payload, why in (({"data": b"bytes"}, "JSON cannot hold"), ({"user": 1}, "")):
        message = queue.enqueue(payload)
        bury(store, message)
        with serve(allow=["edit"]).client() as client:
            page = client.get("/act/edit", params={"message": message}).text
            assert why in page
            assert ("&#34;user&#34;: 1" in page) == (not why)
            assert "the payload is not JSON" in act(client, "edit", message=message, payload="{")


class TestWorks:
    def test_a_work_tells_how_far_it_is_and_can_be_ended(self) -> None:
        works, ended, at = Works(), list[tuple[str, str]](), threading.Event()

        def count(work: Work) -> str:
            work.of, work.done = 10, 4
            at.set()
            assert work.wait_cancelled(DEADLINE_S)
            return "4 of 10"

        work = works.begin("Count", "anna", count, lambda work, state: ended.append((work.state, state)))
        assert at.wait(DEADLINE_S)
        assert (work.state, work.share) == ("running", 40)
        work.cancel()
        assert work.wait(DEADLINE_S)
        assert (work.state, work.told) == ("cancelled", "4 of 10")
        assert ended == [("running", "cancelled")], "nobody sees the end before the audit has it"

    def test_a_fault_is_told_and_not_lost(self) -> None:
        def fail(work: Work) -> str:
            raise ZeroDivisionError("no")

        work = Works().begin("Fail", "anna", fail, lambda work, state: None)
        assert work.wait(DEADLINE_S)
        assert (work.state, work.told) == ("failed", "ZeroDivisionError: no")

    def test_only_some_go_on_at_a_time(self) -> None:
        works, go = Works(), threading.Event()
        for _ in range(8):
            works.begin("Wait", "anna", lambda work: str(go.wait(DEADLINE_S)), lambda work, state: None)
        with pytest.raises(ConfigError, match="8 operations are running already"):
            works.begin("Wait", "anna", lambda work: "", lambda work, state: None)
        go.set()


def test_the_doctor_runs_as_a_work_and_its_report_is_shown(serve: Serve, store: MemoryStore, tmp_path: Path) -> None:
    store.put(LAYOUT.aside("do/0000000000001-ab"), b"\xff", if_version=None)
    with serve(allow=["doctor"], config=Config(history=str(tmp_path))).client() as client:
        token = form_token(client.get("/act/doctor").text)
        answer = client.post("/act/doctor", data={"form_token": token})
        assert answer.status_code == 303
        page = client.get(answer.headers["location"]).text
        while 'data-state="running"' in page:
            page = client.get(answer.headers["location"], headers={"hx-request": "true"}).text
        assert "All checks passed." in page
        shown = client.get("/store").text
        assert "Promise that rests on it" in shown
        assert "run the command again, then delete this object" in shown
        assert "Run the doctor" in client.get("/works").text
    (event,) = events(tmp_path)
    assert json.loads(json.dumps(event.outcome)) == "done"  # type: ignore[attr-defined]
