import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from shop import outbox, tasks
from shop.models import Order, Outbox

import s3queue

HERE = Path(__file__).parent


def test_an_order_is_confirmed_and_its_result_is_there(queue, capsys):
    placed = Client().post("/orders", {"email": "ada@example.com", "amount": 3})
    assert placed.status_code == 202
    told = f"/results/{placed.json()['result']}"
    assert Client().get(told).json()["status"] == "READY"
    queue.drain().check()
    assert Client().get(told).json() == {"status": "SUCCESSFUL", "attempts": 1, "value": "ada@example.com"}
    assert Order.objects.get().is_confirmed
    assert "to ada@example.com: Thank you for 3" in capsys.readouterr().out


def test_a_crash_after_the_mail_confirms_nobody_twice_in_the_database(queue):
    Client().post("/orders", {"email": "ada@example.com", "amount": 3})
    assert queue.drain(crash="end").check().crashed
    assert Order.objects.get().is_confirmed


def test_an_order_that_is_rolled_back_is_not_confirmed(queue):
    with transaction.atomic():
        order = Order.objects.create(email="ada@example.com", amount=3)
        tasks.confirm.enqueue(order.pk)
        transaction.set_rollback(True)
    assert queue.enqueued() == []


def test_the_total_is_computed_with_async_queries(queue):
    Order.objects.bulk_create([Order(email="a@example.com", amount=number) for number in (3, 4)])
    result = tasks.total.enqueue()
    queue.drain().check()
    result.refresh()
    assert result.return_value == 7


def test_the_outbox_enqueues_once_though_its_relay_died_before_it_deleted_the_row(queue, monkeypatch):
    with transaction.atomic():
        order = Order.objects.create(email="ada@example.com", amount=3)
        outbox.put(tasks.confirm, order.pk)
    deleted = Outbox.delete
    monkeypatch.setattr(Outbox, "delete", lambda row: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        outbox.relay()
    monkeypatch.setattr(Outbox, "delete", deleted)
    assert outbox.relay() == 1
    assert outbox.relay() == 0
    assert len(queue.enqueued()) == 1


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_workers_serve_the_project(database, tmp_path, start_method):
    """With real processes, and a store in a file."""
    url = f"sqlite:///{tmp_path}/queue.db"
    s3queue.configure(store=url)
    order = Order.objects.create(email="ada@example.com", amount=3)
    result = tasks.confirm.enqueue(order.pk)
    served = subprocess.run(
        [
            sys.executable,
            "manage.py",
            "s3queue",
            "run",
            "--until-empty",
            "--fail-on-dead",
            "--start-method",
            start_method,
        ],
        cwd=HERE,
        env=os.environ | {"S3QUEUE_STORE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert served.returncode == 0, served.stderr
    assert "to ada@example.com: Thank you for 3" in served.stdout
    result.refresh()
    assert result.return_value == "ada@example.com"
    order.refresh_from_db()
    assert order.is_confirmed
    s3queue.configure()


def test_the_settings_pass_the_checks_and_wrong_ones_do_not(database, settings_check):
    assert settings_check({}) == ""
    assert "did you mean 'workers'?" in settings_check({"worker": 2})
