"""What a host may hold."""

import pytest

from s3queue.core.plan import Settings, capacity


class TestCapacity:
    @pytest.mark.parametrize(
        ("slots", "mean_s", "expected"),
        [(4, 0.0, 4), (4, 0.1, 44), (4, 10.0, 5), (4, 1e-9, 10_000), (20_000, 1e-9, 20_000), (1, 1.0, 2)],
    )
    def test_one_for_each_slot_and_a_second_of_work_behind_them(self, slots: int, mean_s: float, expected: int) -> None:
        assert capacity(slots, mean_s, Settings()) == expected
