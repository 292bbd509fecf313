"""Checks of the promises that the queue relies on, with one writer at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_WR
from urllib.parse import urlsplit

from s3queue.operate.probe.asking import Asker
from s3queue.operate.probe.report import Row, row_of
from s3queue.store import (
    Conflict,
    Found,
    Missing,
    SignsPuts,
    Unchanged,
)

_PAGE = 5
#: A put that is cut short is waited for as long, in seconds: some servers wait for the rest of it.
_CUT_S = 3.0


def read_after_write(ask: Asker, folder: str) -> Row:
    seen, key = [], f"{folder}read"
    version = ask.stored(key, b"1 one", None)
    seen.append(ask.get(key) == Found(b"1 one", version))
    version = ask.stored(key, b"2 two", version)
    seen.append(ask.get(key) == Found(b"2 two", version))
    ask.pause()
    ask.delete(key)
    seen.append(isinstance(ask.get(key), Missing))
    what = ("create", "replace", "delete")
    late = [name for name, fresh in zip(what, seen, strict=True) if not fresh]
    return row_of(
        "read after write",
        not late,
        "old content after " + ", ".join(late) if late else "sees every create, replace and delete",
        "P2 committed exactly once",
    )


def stale_replace(ask: Asker, folder: str) -> Row:
    key = f"{folder}stale"
    old = ask.stored(key, b"1 old", None)
    new = ask.stored(key, b"2 new", old)
    ask.pause()
    outcome = ask.put(key, b"3 late", old)
    kept = isinstance(outcome, Conflict) and ask.get(key) == Found(b"2 new", new)
    return row_of(
        "stale replace refused",
        kept,
        "an older version cannot be replaced" if kept else "a write that named an older version went through",
        "P2 committed exactly once, P3 a fenced host is over",
    )


def missing_replace(ask: Asker, folder: str) -> Row:
    version = ask.stored(f"{folder}there", b"1 one", None)
    key = f"{folder}not-there"
    kept = isinstance(ask.put(key, b"2 two", version), Conflict) and isinstance(ask.get(key), Missing)
    return row_of(
        "replace of a missing object refused",
        kept,
        "what was removed stays so" if kept else "a write that named a version created the object",
        "P3 a host that was removed is over",
    )


def listing(ask: Asker, folder: str) -> Row:
    late = []
    for n in range(3):
        ask.stored(f"{folder}{n}", b"x", None)
        if len(ask.list(folder)) != n + 1:
            late.append("create")
    for n in range(3):
        ask.delete(f"{folder}{n}")
        if len(ask.list(folder)) != 2 - n:
            late.append("delete")
    return row_of(
        "list after write",
        not late,
        "old listing after " + ", ".join(sorted(set(late))) if late else "shows every create and delete at once",
        "P1 never lost",
    )


def order(ask: Asker, folder: str) -> Row:
    names = [
        "in/a/5/0000000000002",
        "board",
        "in/a/5/0000000000010",
        "later/1-a/x",
        "in/b/5/1",
        "hosts/Z",
        "hosts/a",
    ]
    for name in names:
        ask.stored(folder + name, b"x", None)
    keys = sorted(folder + name for name in names)
    whole = [entry.key for entry in ask.list(folder)]
    pages: list[str] = []
    while page := ask.list(folder, after=pages[-1] if pages else "", limit=_PAGE):
        pages += [entry.key for entry in page]
        if len(pages) > len(keys):
            break
    right = whole == keys and pages == keys
    return row_of(
        "order of listing",
        right,
        "in order of keys, page by page"
        if right
        else f"{len(set(keys) - set(pages))} of {len(keys)} missing from pages, or out of order",
        "P1 never lost",
    )


def conditional_get(ask: Asker, folder: str) -> Row:
    key = f"{folder}unless"
    old = ask.stored(key, b"1 old", None)
    new = ask.stored(key, b"2 new", old)
    changed, same = ask.get(key, unless=old), ask.get(key, unless=new)
    if changed != Found(b"2 new", new):
        return row_of("conditional get", False, "says unchanged of what has changed", "P3 claims are seen in time")
    if isinstance(same, Unchanged):
        return row_of("conditional get", True, "sends only what has changed", "none; costs")
    return row_of("conditional get", None, "sends the object even if it has not changed", "none; costs")


def cut_short(ask: Asker, folder: str) -> Row:
    """Two raw puts, the second of which breaks off after its headers."""
    check, promise = "whole puts", "P1 never lost"
    body = b"a body that does not arrive"
    if not isinstance(ask.store, SignsPuts) or (whole := ask.store.sign_put(f"{folder}whole", body)) is None:
        return row_of(check, None, "not asked: this store takes no plain HTTP request", promise)
    cut = ask.store.sign_put(f"{folder}cut", body)
    assert cut is not None
    try:
        answer = _send(*whole, body, cut=False)
        if not 200 <= answer < 300:
            return row_of(check, None, f"not asked: a plain put was answered with {answer}", promise)
        _send(*cut, body, cut=True)
    except (OSError, HTTPException) as failed:
        return row_of(check, None, f"not asked: {type(failed).__name__}", promise)
    found = ask.get(f"{folder}cut")
    kept = isinstance(found, Found)
    measured = f"kept {len(found.body)} bytes of {len(body)}" if isinstance(found, Found) else "stores nothing of it"
    return row_of(check, not kept, f"a put that breaks off after its headers: {measured}", promise)


def _send(url: str, headers: Mapping[str, str], body: bytes, *, cut: bool) -> int:
    """A put with nothing but sockets. Returns the status; 0 where it was cut."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_CUT_S)
    try:
        connection.putrequest("PUT", f"{parts.path}?{parts.query}", skip_accept_encoding=True)
        for name, value in (*headers.items(), ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(None if cut else body)
        if cut:
            connection.sock.shutdown(SHUT_WR)
            with suppress(OSError):
                while connection.sock.recv(1 << 16):  # until the server has made up its mind
                    pass
            return 0
        return connection.getresponse().status
    finally:
        connection.close()
