"""The number of the format."""

from __future__ import annotations

#: The newest format of every record that this release reads and writes.
FORMAT = 1
