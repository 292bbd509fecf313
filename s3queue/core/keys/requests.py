"""Paths of requests: what operators ask of the coordinator."""

from __future__ import annotations

import re

#: Prefix of requests, and of their paths.
REQUESTS = "do/"
#: Ends the path of a request about dead letters.
_ABOUTLETTERS = ".dead"
_REQUEST = re.compile(r"do/\d{13}-[0-9a-f]{1,32}(?:\.dead)?", re.ASCII)


def request_path(ms: int, random: str, *, about_letters: bool = False) -> str:
    """The path of a new request: in the order of their senders' clocks, and never used twice.

    Args:
        about_letters: it is about dead letters, which are looked at beside the cycles.
    """
    return f"{REQUESTS}{ms:013}-{random}{_ABOUTLETTERS if about_letters else ''}"


def is_request(path: str) -> bool:
    """Whether `request_path` has made this."""
    return _REQUEST.fullmatch(path) is not None


def is_about_letters(request: str) -> bool:
    return request.endswith(_ABOUTLETTERS)
