"""The number of the format, and what numbers in a record may be.

The decoder refuses numbers outside their bounds, so that readers may compute with them.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

#: The newest format of every record that this release reads and writes.
FORMAT = 1

#: Of anything that is counted, and milliseconds.
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
#: Counted from 1.
Attempt: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
#: Of a message in its source, and one behind the last: 0 to 1,000.
Index: TypeAlias = Annotated[int, Meta(ge=0, le=1000)]
#: Half of a fencing token, which is a signed number of 64 bits.
Term: TypeAlias = Annotated[int, Meta(ge=0, lt=2**31)]
Number: TypeAlias = Annotated[int, Meta(ge=0, lt=2**32)]
#: A delay: at most some thirty years.
Delay: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]
#: A setting that others wait for: at most a hundred days.
Patience: TypeAlias = Annotated[float, Meta(ge=0, le=100 * 86_400)]
