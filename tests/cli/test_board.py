"""`s3queue board restore`."""

from __future__ import annotations

import pytest

from s3queue.core.keys import Layout
from s3queue.core.records import Board, encode
from s3queue.store import open_store
from tests.cli.conftest import Invoke


def test_board_that_cannot_be_read_is_not_taken_for_one_that_is_missing(
    s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(url)
    store.put(Layout().board, b'{"nonce":"cut sh', if_version=None)
    assert s3queue("board", "restore", "--store", url) == 1
    told = capsys.readouterr().err
    assert "the board exists but cannot be read" in told
    assert f"delete the object {Layout().board}" in told
    store.delete([Layout().board])
    assert s3queue("board", "restore", "--store", url) == 1
    assert "no host has kept a copy yet" in capsys.readouterr().err
    store.close()


@pytest.mark.parametrize("option", ["--json", "--older", "--anew"])
def test_board_that_stands_is_said_to_be_there(
    s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    store = open_store(url)
    store.put(Layout().board, encode(Board("n", 1)), if_version=None)
    assert s3queue("board", "restore", option, "--store", url) == 1
    assert capsys.readouterr().err == "nothing done: the board exists\n"
    store.close()
