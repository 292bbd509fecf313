"""What requests cost, for people."""

from __future__ import annotations

from collections.abc import Mapping

#: Dollars for a million requests of S3 Standard in us-east-1 (https://aws.amazon.com/s3/pricing/).
PRICES = {"put": 5.0, "list": 5.0, "get": 0.4}
KINDS = ("put", "get", "list", "delete")


def dollars(requests: Mapping[str, int]) -> float:
    """Of requests by kind."""
    return sum(requests.get(kind, 0) * price / 1e6 for kind, price in PRICES.items())


def both(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Requests by kind, of two looks."""
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in KINDS}


def told(requests: Mapping[str, int], *, costs: bool) -> str:
    """``3 GET, 1 LIST, about $0.0000062``.

    Args:
        costs: requests have a price.
    """
    kinds = ", ".join(f"{requests[kind]:,} {kind.upper()}" for kind in KINDS if requests.get(kind))
    if not kinds:
        return "no request"
    return f"{kinds}, about {money(dollars(requests))}" if costs else kinds


def money(amount: float) -> str:
    """Dollars with two digits that say something, without an exponent."""
    if amount == 0:
        return "$0"
    digits = 2
    while digits < 10 and amount < 10 ** -(digits - 1):
        digits += 1
    return f"${amount:,.{digits}f}"
