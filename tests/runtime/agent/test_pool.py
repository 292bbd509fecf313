"""What waits for a worker: in order, and each message once."""

from __future__ import annotations

from s3queue.runtime.agent.pool import Piece, Pool


def test_what_is_put_back_comes_first_and_in_its_order() -> None:
    pool = Pool()
    pool.add("q", [Piece("1-0", 0, 4)])
    pool.put_back("q", [Piece("1-1", 0, 1), Piece("1-1", 3, 5)])
    assert [pool.take("q"), pool.take("q"), pool.take("q"), pool.take("q")] == [
        Piece("1-1", 0, 1),
        Piece("1-1", 3, 5),
        Piece("1-0", 0, 4),
        None,
    ]


def test_its_sizes_are_those_of_what_is_in_it() -> None:
    pool = Pool()
    pool.add("q", [Piece("1-0", 0, 4), Piece("1-1", 2, 3)])
    pool.add("r", [Piece("1-2", 0, 7)])
    pool.suspect("q", Piece("1-3", 0, 1))
    assert (pool.size, pool.left("q"), pool.left("r"), pool.left("s")) == (13, 5, 7, 0)
    pool.take("q")
    assert pool.take_suspect() == ("q", Piece("1-3", 0, 1))
    assert (pool.size, pool.left("q"), pool.queues()) == (8, 1, ["q", "r"])


def test_what_is_drained_is_in_it_no_more() -> None:
    pool = Pool()
    pool.add("q", [Piece("1-0", 0, 4)])
    pool.suspect("r", Piece("1-3", 0, 1))
    assert set(pool.drain()) == {Piece("1-0", 0, 4), Piece("1-3", 0, 1)}
    assert (pool.size, pool.left("q"), pool.queues(), list(pool.drain())) == (0, 0, [], [])
