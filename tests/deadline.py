"""What ends a test that would hang."""

from __future__ import annotations

#: Seconds. Far longer than anything in a test takes, on a machine that is busy with other things as well.
DEADLINE_S = 240.0
