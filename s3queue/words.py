"""Words beside numbers, for people."""

from __future__ import annotations

__all__ = ["plural"]


def plural(many: int, what: str) -> str:
    """``1 message``, ``2,000 messages``; ``what`` in the singular."""
    if many == 1:
        return f"1 {what}"
    return f"{many:,} {what}{'es' if what.endswith('ch') else 's'}"
