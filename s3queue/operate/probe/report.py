"""The report of a probe: a row for each check."""

from __future__ import annotations

from typing import Literal

import msgspec


class Row(msgspec.Struct, frozen=True):
    """The result of one check.

    Attributes:
        check: the property, as `StoreUnsupported.capability` names it.
        verdict: ``ok``, ``bad`` (the queue would break its promises), or ``info``.
        measured: what was seen, for people.
        promise: of the queue, that this carries.
    """

    check: str
    verdict: Literal["ok", "bad", "info"]
    measured: str
    promise: str


class Report(msgspec.Struct, frozen=True):
    """All rows, in the order they were asked."""

    rows: tuple[Row, ...]

    @property
    def safe(self) -> bool:
        return all(row.verdict != "bad" for row in self.rows)

    def __str__(self) -> str:
        table = [
            ("", "check", "measured", "promise"),
            *((r.verdict, r.check, r.measured, r.promise) for r in self.rows),
        ]
        widths = [max(len(row[column]) for row in table) for column in range(3)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]) for row in table]
        return "\n".join([*lines, "", "safe" if self.safe else "NOT SAFE: do not keep a queue here"])


def row_of(check: str, good: bool | None, measured: str, promise: str) -> Row:
    return Row(check, "info" if good is None else "ok" if good else "bad", measured, promise)
