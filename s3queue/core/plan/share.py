"""Divides messages among hosts."""

from __future__ import annotations

import math


def share_out(total: int, hosts: list[tuple[int, int]]) -> list[int]:
    """How many of ``total`` messages each host gets: idle slots everywhere first, then in proportion to the room.

    Args:
        hosts: for each (idle slots, room), with idle ≤ room.
    """
    quotas = [0] * len(hosts)
    for level in (0, 1):
        wants = [host[level] - quota for host, quota in zip(hosts, quotas, strict=True)]
        wanted = sum(max(0, want) for want in wants)
        if wanted == 0:
            continue
        give = min(total - sum(quotas), wanted)
        left = give
        for place, want in sorted(enumerate(wants), key=lambda pair: -pair[1]):
            if want <= 0 or left <= 0:
                break
            part = min(want, left, math.ceil(give * want / wanted))
            quotas[place] += part
            left -= part
    return quotas
