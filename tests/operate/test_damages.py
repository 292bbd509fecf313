from __future__ import annotations

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core.keys import Layout
from s3queue.io.drive import Driver
from s3queue.operate.damages import explain, find_damages

LAYOUT = Layout("shop")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (LAYOUT.board, "s3queue board restore"),
        (LAYOUT.control, "set pauses, limits and schedules again"),
        (LAYOUT.host("h-1"), "joins again"),
        (LAYOUT.source("do/0000000000001-ab"), "run the command again"),
        (LAYOUT.aside("do/0000000000001-ab"), "then delete this object"),
        (LAYOUT.summary, "nothing"),
        (LAYOUT.source("in/mail/5/odd"), "put back an older version"),
        (LAYOUT.source("later/0000000000001-mail/odd"), "put back an older version"),
        (f"{LAYOUT.home}unknown", "upgrade the hosts"),
    ],
)
def test_what_to_do_depends_on_the_kind_of_object(key: str, words: str) -> None:
    damage = explain(key)
    assert damage.key == key
    assert words in damage.todo


def test_a_copy_kept_aside_is_found_though_no_coordinator_has_said_anything() -> None:
    store = MemoryStore()
    key = LAYOUT.aside("do/0000000000001-ab")
    store.put(key, b"\xff", if_version=None)
    store.put(LAYOUT.summary, b"\xff", if_version=None)
    driver = Driver(store)
    assert [one.key for one in find_damages(driver, LAYOUT)] == [key, LAYOUT.summary]
    assert {kind: many for kind, many in driver.meter.as_dict().items() if many} == {"get": 1, "list": 1}
