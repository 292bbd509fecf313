"""Stores as numbers: how late they answer, what they charge, how much they take.

Prices and limits are list prices and documented limits of August 2026; check them before you quote them. Latencies are
**assumptions**: no store publishes any. They are medians of small requests from a machine in the same region, with a
log-normal spread (``sigma`` 0.5 puts the 99th percentile at 3.2 times the median). AWS says "100-200 milliseconds" for S3
as a whole; ``--slow 4`` multiplies all of them, to see what depends on the assumption.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Kinds of requests: ``get`` with a body or without, ``put``, ``list``, ``delete`` (up to 1,000 keys).
KINDS = ("put", "get", "list", "delete")


@dataclass(frozen=True)
class Model:
    """One store.

    Attributes:
        latency_ms: median by kind.
        sigma: of the logarithm of a latency.
        bytes_per_s: of one connection.
        dollars: per million requests, by kind.
        min_rewrite_s: between two writes of one key; an earlier one is answered with 429 or 503.
        writes_per_s: and ``reads_per_s``: what one prefix takes before it answers 503; 0: no limit. A list counts as a
            read, each deleted key as a write.
        note: what to know before believing a figure.
    """

    name: str
    latency_ms: dict[str, float]
    sigma: float = 0.5
    bytes_per_s: float = 50e6
    dollars: dict[str, float] = field(default_factory=dict)
    min_rewrite_s: float = 0.0
    writes_per_s: float = 0.0
    reads_per_s: float = 0.0
    note: str = ""

    def latency_s(self, kind: str, size: int, normal: float) -> float:
        """Of one request, for a draw from the standard normal distribution."""
        return self.latency_ms[kind] / 1000 * math.exp(self.sigma * normal) + size / self.bytes_per_s

    def bill(self, requests: Mapping[str, float]) -> float:
        """Dollars for so many requests."""
        return sum(self.dollars.get(kind, 0.0) * many / 1e6 for kind, many in requests.items())


MODELS = {
    model.name: model
    for model in (
        Model(
            "s3",
            {"put": 35.0, "get": 20.0, "list": 45.0, "delete": 40.0},
            dollars={"put": 5.0, "get": 0.4, "list": 5.0, "delete": 0.0},
            writes_per_s=3500,
            reads_per_s=5500,
        ),
        Model(
            "s3-express",
            {"put": 8.0, "get": 5.0, "list": 15.0, "delete": 10.0},
            sigma=0.3,
            dollars={"put": 1.13, "get": 0.03, "list": 1.13, "delete": 0.0},
            note="what if: directory buckets do not list in key order, and s3queue refuses them",
        ),
        Model(
            "gcs",
            {"put": 50.0, "get": 25.0, "list": 45.0, "delete": 40.0},
            dollars={"put": 5.0, "get": 0.4, "list": 5.0, "delete": 0.0},
            min_rewrite_s=1.0,
            note="buckets start near 1,000 writes and 5,000 reads a second and grow; not modelled",
        ),
        Model(
            "r2",
            {"put": 90.0, "get": 50.0, "list": 90.0, "delete": 80.0},
            dollars={"put": 4.5, "get": 0.36, "list": 4.5, "delete": 0.0},
            min_rewrite_s=1.0,
        ),
        Model(
            "minio-lan",
            {"put": 4.0, "get": 1.5, "list": 3.0, "delete": 3.0},
            sigma=0.4,
            bytes_per_s=100e6,
            note="a server of your own: no price, and as much as its disks take",
        ),
    )
}
