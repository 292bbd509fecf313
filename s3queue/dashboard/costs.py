"""The cost of requests, as text for people."""

from __future__ import annotations

from collections.abc import Mapping

from s3queue.observe.prices import dollars

KINDS = ("put", "get", "list", "delete")


def both(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Requests by kind, of two looks together."""
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in KINDS}


def told(requests: Mapping[str, int], prices: Mapping[str, float]) -> str:
    """``3 GET, 1 LIST, about $0.0000062``; without dollars where requests are not billed."""
    kinds = ", ".join(f"{requests[kind]:,} {kind.upper()}" for kind in KINDS if requests.get(kind))
    if not kinds:
        return "no request"
    return f"{kinds}, about {money(dollars(requests, prices))}" if any(prices.values()) else kinds


def money(amount: float) -> str:
    """Dollars with two significant digits, without an exponent."""
    if amount == 0:
        return "$0"
    digits = 2
    while digits < 10 and amount < 10 ** -(digits - 1):
        digits += 1
    return f"${amount:,.{digits}f}"
