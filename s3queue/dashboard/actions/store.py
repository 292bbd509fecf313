"""Actions on the store."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from s3queue.dashboard.actions.action import Action, line
from s3queue.io.drive import Driver
from s3queue.operate.damages import Damage, find_damages
from s3queue.operate.probe import USUAL, Row, probe

if TYPE_CHECKING:
    from s3queue.dashboard.desk import Desk
    from s3queue.dashboard.works import Work


class Examined(NamedTuple):
    """What the doctor found: in the store, and in this namespace."""

    rows: tuple[Row, ...]
    damaged: list[Damage]


def _doctor(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    report = probe(Driver(desk.store), f"doctor-{secrets.token_hex(4)}/", effort=USUAL)
    work.result = Examined(report.rows, find_damages(Driver(desk.store), desk.reader.layout))
    bad = sum(row.verdict == "bad" for row in report.rows)
    return "All checks passed." if report.safe else f"{bad} checks failed. Do not keep a queue here."


ACTIONS = (
    Action(
        "doctor",
        "Run the doctor",
        "Checks that the store keeps the promises that a queue needs. Some thousand requests below a prefix of its own, "
        "which is removed.",
        _doctor,
        lambda values: line("s3queue", "doctor"),
        is_work=True,
    ),
)
