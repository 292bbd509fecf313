"""A small S3 server in memory, honest or broken in one way, over real HTTP. It does not check signatures.

The broken ones stand for servers that exist: some ignore the conditional headers of a put, some check and then act, some
keep a put whose connection broke before the end of its body (``keeps_cut``).
With ``gcs=True`` it speaks the XML API of Google Cloud Storage instead, as its documentation has it: generations,
``x-goog-if-generation-match``, single deletes (https://cloud.google.com/storage/docs/xml-api/reference-headers).
"""

from __future__ import annotations

import re
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

Conditions = Literal["checked", "ignored", "raced"]


class _Object(NamedTuple):
    body: bytes
    etag: str
    generation: int
    stored: float


class MiniS3(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, conditions: Conditions = "checked", *, gcs: bool = False, keeps_cut: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.conditions, self.gcs, self.keeps_cut = conditions, gcs, keeps_cut
        self.objects: dict[str, _Object] = {}
        self.lock = threading.Lock()
        self.generation = 1_700_000_000_000_000
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def mini_s3(conditions: Conditions = "checked", *, gcs: bool = False, keeps_cut: bool = False) -> Iterator[MiniS3]:
    with MiniS3(conditions, gcs=gcs, keeps_cut=keeps_cut) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: MiniS3

    def log_message(self, format: str, *args: object) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).split("/", 2)[2]

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status not in (204, 304):
            self.send_header("Content-Length", headers.get("length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _fail(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        self._send(status, b"" if status == 304 else body.encode(), Content_Type="application/xml")

    def _describe(self, found: _Object) -> dict[str, str]:
        described = {"ETag": f'"{found.etag}"', "Last_Modified": formatdate(found.stored, usegmt=True)}
        if self.server.gcs:
            described["x_goog_generation"] = str(found.generation)
        return described

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list-type" in query:
            self._list({name: values[0] for name, values in query.items()})
            return
        found = self.server.objects.get(self._key())
        if found is None:
            self._fail(404, "NoSuchKey")
        elif self.headers.get("If-None-Match") == f'"{found.etag}"':
            self._fail(304, "NotModified")
        else:
            self._send(200, found.body, length=str(len(found.body)), **self._describe(found))

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        server, key = self.server, self._key()
        if len(body) < size and not server.keeps_cut:
            self.close_connection = True
            return
        with server.lock:
            refused = server.conditions != "ignored" and not self._holds(server.objects.get(key))
            made = None if refused or server.conditions == "raced" else self._store(key, body)
        if server.conditions == "raced" and not refused:
            time.sleep(0.03)  # the gap that makes it broken
            with server.lock:
                made = self._store(key, body)
        if made is None:
            self._fail(412, "PreconditionFailed")
        else:
            self._send(200, b"", **self._describe(made))

    def _holds(self, there: _Object | None) -> bool:
        if self.server.gcs:
            wanted = self.headers.get("x-goog-if-generation-match")
            return wanted is None or wanted == (str(there.generation) if there else "0")
        if self.headers.get("If-None-Match") == "*":
            return there is None
        match = self.headers.get("If-Match")
        return match is None or (there is not None and match.strip('"') == there.etag)

    def _store(self, key: str, body: bytes) -> _Object:
        self.server.generation += 1
        etag = md5(body, usedforsecurity=False).hexdigest()
        made = self.server.objects[key] = _Object(body, etag, self.server.generation, time.time())
        return made

    def do_DELETE(self) -> None:
        with self.server.lock:
            gone = self.server.objects.pop(self._key(), None)
        if gone is None and self.server.gcs:
            self._fail(404, "NoSuchKey")
        else:
            self._send(204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.server.lock:
            keys = re.findall(r"<Key>(.*?)</Key>", body, re.DOTALL)
            for key in keys:
                self.server.objects.pop(unescape(key, {"&quot;": '"', "&apos;": "'", "&#39;": "'", "&#34;": '"'}), None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._send(200, f"<DeleteResult>{deleted}</DeleteResult>".encode(), Content_Type="application/xml")

    def _list(self, query: dict[str, str]) -> None:
        prefix, limit = query.get("prefix", ""), int(query.get("max-keys", "1000"))
        start = query.get("continuation-token") or query.get("start-after", "")
        with self.server.lock:
            objects = dict(self.server.objects)
        keys = sorted((key for key in objects if key.startswith(prefix)), key=str.encode)
        page = keys[bisect_right([key.encode() for key in keys], start.encode()) :]
        page, more = page[:limit], len(page) > limit
        encoded = query.get("encoding-type") == "url"
        entries = "".join(
            f"<Contents><Key>{quote(key, safe='/') if encoded else escape(key)}</Key>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{objects[key].etag}&quot;</ETag>"
            f"<Size>{len(objects[key].body)}</Size><StorageClass>STANDARD</StorageClass>"
            + (f"<Generation>{objects[key].generation}</Generation>" if self.server.gcs else "")
            + "</Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = (
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>b</Name>"
            f"<Prefix></Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{limit}</MaxKeys>"
            f"{'<EncodingType>url</EncodingType>' if encoded else ''}"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        )
        self._send(200, body.encode(), Content_Type="application/xml")
