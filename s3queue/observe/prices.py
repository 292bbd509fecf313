"""Prices of requests, by store."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from s3queue.errors import ConfigError
from s3queue.store import ObjectStore

__all__ = ["AS_OF", "PRICES", "dollars", "parse_prices", "prices_of"]

#: When the table was written. Prices differ by region and storage class: the setting ``prices`` overrides it.
AS_OF = "2025-11"
#: Dollars for a million requests, by store and operation.
PRICES: dict[str, dict[str, float]] = {
    # S3 Standard, us-east-1: https://aws.amazon.com/s3/pricing/
    "s3": {"put": 5.0, "get": 0.4, "list": 5.0, "delete": 0.0},
    # Standard storage in a region, class A and B: https://cloud.google.com/storage/pricing
    "gcs": {"put": 5.0, "get": 0.4, "list": 5.0, "delete": 0.0},
    # Hot blobs, locally redundant, East US: https://azure.microsoft.com/pricing/details/storage/blobs/
    "azure": {"put": 5.0, "get": 0.4, "list": 5.0, "delete": 0.0},
    # Class A and B beyond the free tier: https://developers.cloudflare.com/r2/pricing/
    "r2": {"put": 4.5, "get": 0.36, "list": 4.5, "delete": 0.0},
    "none": {"put": 0.0, "get": 0.0, "list": 0.0, "delete": 0.0},
}


def prices_of(store: ObjectStore, setting: str | None = None) -> dict[str, float]:
    """Dollars per million requests to this store, by operation.

    Args:
        setting: overrides the table, see `parse_prices`.
    """
    return PRICES[_name_of(store)] | (parse_prices(setting) if setting else {})


def _name_of(store: ObjectStore) -> str:
    if not store.capabilities.requests_cost:
        return "none"
    url = urlsplit(store.url)
    if url.scheme in ("gs", "az"):
        return {"gs": "gcs", "az": "azure"}[url.scheme]
    return "r2" if "r2.cloudflarestorage.com" in store.url else "s3"


def parse_prices(text: str) -> dict[str, float]:
    """The prices in ``put=5 get=0.4``: dollars per million requests. Operations that are not named keep the price of
    the table.

    Raises:
        ConfigError: the text has another form.
    """
    prices: dict[str, float] = {}
    for one in text.replace(",", " ").split():
        name, separator, value = one.partition("=")
        try:
            prices[name] = float(value)
        except ValueError:
            separator = ""
        if not separator or name not in PRICES["none"] or not 0 <= prices[name] < 1e6:
            raise ConfigError(
                f"not a price: {one!r}", "dollars for a million requests, for example put=5 get=0.4 list=5 delete=0"
            )
    return prices


def dollars(requests: Mapping[str, float], prices: Mapping[str, float]) -> float:
    """The price of these requests, in dollars by operation.

    Args:
        requests: by operation.
        prices: dollars per million requests, by operation.
    """
    return sum(requests.get(op, 0) * price for op, price in prices.items()) / 1e6
