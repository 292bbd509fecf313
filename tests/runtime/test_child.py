from __future__ import annotations

import pytest

from s3queue.errors import ConfigError, QueueError, StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.runtime.child import child_name, heard, is_child, told
from s3queue.runtime.local.wire import pack, unpack


@pytest.mark.parametrize(
    "fault",
    [
        ConfigError("no such bucket: 'jobs'", "create it first"),
        StoreDenied("get", "ours/p00/board", "access denied"),
        StoreUnavailable("put", "ours/p00/board"),
        StoreUnsupported("exclusive create", "2 of 2 writers could create one key"),
        QueueError("anything"),
    ],
)
def test_what_stops_a_child_arrives_in_the_supervisor(fault: QueueError) -> None:
    note = unpack(pack(told(fault)))
    arrived = heard(note)  # type: ignore[arg-type]
    assert type(arrived) is type(fault)
    assert (str(arrived), vars(arrived)) == (str(fault), vars(fault))


def test_module_that_cannot_be_imported_is_a_mistake_of_the_caller() -> None:
    assert str(heard(told(ModuleNotFoundError("No module named 'gone'")))) == "No module named 'gone'"
    assert isinstance(heard(told(ImportError())), ConfigError)


def test_fault_of_a_class_that_nobody_else_knows_keeps_its_text() -> None:
    class Odd(QueueError):
        pass

    arrived = heard(told(Odd("too odd")))
    assert isinstance(arrived, ConfigError)
    assert str(arrived) == "too odd"


def test_child_is_known_by_its_name() -> None:
    assert all(is_child(child_name(role, 3)) for role in ("agent", "worker"))  # type: ignore[arg-type]
    assert not any(map(is_child, ("MainProcess", "worker", "worker x", "Process-1", "")))
