"""Shares."""

import pytest

from s3queue.core.plan import share_out


class TestShareOut:
    @pytest.mark.parametrize(
        ("total", "hosts", "expected"),
        [
            (5, [], []),
            (0, [(1, 1), (2, 9)], [0, 0]),
            (2, [(4, 4), (4, 4)], [1, 1]),
            (1, [(4, 4), (4, 4)], [1, 0]),
            (3, [(1, 9), (5, 9)], [0, 3]),
            (100, [(1, 9), (5, 9)], [9, 9]),
            (10, [(0, 0), (0, 0)], [0, 0]),
            (10, [(2, 2), (0, 8)], [2, 8]),
            (7, [(2, 4), (2, 8)], [2, 5]),
        ],
    )
    def test_idle_slots_first_then_in_proportion(
        self, total: int, hosts: list[tuple[int, int]], expected: list[int]
    ) -> None:
        assert share_out(total, hosts) == expected
