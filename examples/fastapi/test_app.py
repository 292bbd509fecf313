from collections.abc import Iterator

import pytest
from app import make_app
from fastapi.testclient import TestClient


@pytest.fixture
def client(task_queue) -> Iterator[TestClient]:
    """The application, whose store is that of the test."""
    with TestClient(make_app()) as client:
        yield client


def test_a_report_is_ordered_and_then_it_is_there(client, task_queue):
    ordered = client.post("/reports", params={"customer": 7, "month": "05"})
    assert ordered.status_code == 202
    id = ordered.json()["id"]
    assert client.get(f"/reports/{id}").json() == {"status": "not yet"}
    task_queue.drain().check()
    assert client.get(f"/reports/{id}").json() == {"status": "done", "report": "report of 05 for customer 7"}


def test_what_cannot_be_written_has_failed(client, task_queue):
    id = client.post("/reports", params={"customer": 7, "month": "13"}).json()["id"]
    task_queue.drain()
    assert client.get(f"/reports/{id}").json() == {"status": "failed", "why": "rejected"}


def test_an_id_that_nobody_was_given_is_not_found(client):
    assert client.get("/reports/nonsense").status_code == 404


def test_only_who_has_the_key_sees_the_queues(client, monkeypatch):
    monkeypatch.setenv("DASHBOARD_KEY", "a long one")
    assert client.get("/queues/").status_code in (401, 403)
    shown = client.get("/queues/", headers={"x-key": "a long one"})
    assert shown.status_code == 200
    assert "Dead letters" in shown.text
