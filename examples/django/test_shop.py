import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from shop import outbox, tasks
from shop.models import Order, Outbox

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


def test_workers_serve_the_project(tmp_path):
    """With real processes, a store and a database in files."""
    environ = os.environ | {"S3QUEUE_STORE_URL": f"sqlite:///{tmp_path}/queue.db", "SHOP_DATA": str(tmp_path)}

    def manage(*words):
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(command, cwd=HERE, env=environ, capture_output=True, text=True, check=True, timeout=60)

    manage("migrate")
    order = "from shop.models import Order; from shop.tasks import *; "
    order += (
        "o = Order.objects.create(email='ada@example.com', amount=3); print(confirm.enqueue(o.pk).id); total.enqueue()"
    )
    id = re.search(r"p00~\S+", manage("shell", "-c", order).stdout)[0]
    served = manage("s3queue", "run", "--until-empty", "--workers", "1", "--fail-on-dead")
    assert "to ada@example.com: Thank you for 3" in served.stdout
    assert manage("s3queue", "message", id).stdout == "done\n"
    assert '"ada@example.com"' in manage("s3queue", "result", id, "--timeout", "0").stdout
    look = f"ID = {id!r}; from shop.tasks import *; print('now', confirm.get_result(ID).status)"
    assert "now SUCCESSFUL" in manage("shell", "-c", look).stdout


def test_spawned_workers_find_the_tasks(tmp_path):
    environ = os.environ | {"S3QUEUE_STORE_URL": f"sqlite:///{tmp_path}/queue.db", "SHOP_DATA": str(tmp_path)}
    run = [sys.executable, "manage.py"]
    subprocess.run([*run, "migrate", "-v", "0"], cwd=HERE, env=environ, check=True)
    subprocess.run(
        [*run, "shell", "-c", "from shop.tasks import *; total.enqueue()"], cwd=HERE, env=environ, check=True
    )
    served = subprocess.run(
        [*run, "s3queue", "run", "--until-empty", "--workers", "1", "--start-method", "spawn", "--fail-on-dead"],
        cwd=HERE,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "done=1" in served.stderr


def test_the_settings_pass_the_checks_and_wrong_ones_do_not(database, settings_check):
    assert settings_check({}) == ""
    assert "did you mean 'workers'?" in settings_check({"worker": 2})
