"""Any S3 service through MinIO's own SDK.

The SDK has no parameter for conditions on a put. They are added by the HTTP client, which `Minio` takes as an argument:
a `urllib3.PoolManager` that sets ``If-Match`` or ``If-None-Match``, and ``Content-MD5``, on the one request that the
calling thread is about to make. Those headers are outside the signature, as Signature Version 4 allows for any header
but ``Host`` and ``x-amz-*``
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).

The version is pinned below 7.3 because of what that rests on, none of which the SDK documents as kept: that
`Minio.put_object` sends a body of at most ``part_size`` as exactly one PUT through `PoolManager.urlopen`, in the thread
that called it, that `S3Error.response`, `ServerError.status_code` and the message of `InvalidResponseError` carry the
HTTP status, and `minio.helpers.check_bucket_name`. The tests count requests and headers on the wire, so a new series is
taken by lifting the pin and running them.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.helpers import check_bucket_name
from urllib3.exceptions import (
    HTTPError,
)

from s3queue.errors import ConfigError
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, Stored, Unchanged
from s3queue_backends import _errors, _pools, _s3, _urls
from s3queue_backends._errors import Failure, NoLogin, Reply, Silence

if TYPE_CHECKING:
    from minio import Minio


#: S3's smallest part, and the SDK's smallest ``part_size``.
_LEAST_PART = 5 * 1024 * 1024

#: `ValueError` is what the SDK makes of missing credentials and of an answer that lacks an element; `read` tells them
#: apart.
_FAILURES = (MinioException, HTTPError, OSError, ParseError, ValueError)


def read(failed: Exception) -> Failure:
    """The meaning of an exception of the SDK. Raises it again if it does not come from server or network."""
    match failed:
        case S3Error():
            return Reply(failed.response.status, failed.code or "", failed.message or "")
        case ServerError():
            return Reply(failed.status_code)
        case InvalidResponseError():
            # An answer that is not XML, as proxies give.
            status = re.search(r"Response code: (\d+)", str(failed))
            return Reply(int(status[1]) if status else 0)
        case HTTPError():
            sent = not any(isinstance(one, _pools.NEVER_CONNECTED) for one in _errors.causes(failed))
            return _errors.silence(failed, sent)
        case ParseError() | UnicodeDecodeError():
            return Silence(True, "an answer that could not be read")
        case OSError():
            return _errors.silence(failed, True)
        case ValueError() if "provider" in str(failed).lower():
            return NoLogin("no credentials", "set MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or AWS_*, or pass them")
        case ValueError() if str(failed).startswith("XML element"):
            return Silence(True, "an answer that could not be read")
    raise failed


class _Conditional(urllib3.PoolManager):
    """Adds headers to the next request of the thread that set them."""

    def __init__(self, *place: Any, **settings: Any) -> None:
        super().__init__(*place, **settings)
        self.next = threading.local()
        self.pool_classes_by_scheme = _pools.never_idle(self.pool_classes_by_scheme)

    def urlopen(self, method: str, url: str, redirect: bool = True, **request: Any) -> Any:  # type: ignore[override]
        request["headers"].update(self.next.__dict__.pop("headers", ()))
        return super().urlopen(method, url, redirect, **request)


class _ConditionalProxied(_Conditional, urllib3.ProxyManager):
    """The same, through a proxy."""


def _http(host: str, secure: bool, **settings: Any) -> _Conditional:
    """The HTTP client, through the proxy that ``HTTP_PROXY`` or ``HTTPS_PROXY`` names, unless ``NO_PROXY`` does."""
    proxy = getproxies().get("https" if secure else "http")
    if not proxy or proxy_bypass(host):
        return _Conditional(**settings)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    return _ConditionalProxied(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
        **settings,
    )


class _Client:
    def __init__(self, minio: Minio, http: _Conditional) -> None:
        self.minio, self.http = minio, http


class MinioStore:
    """A bucket, or a part of one, reached with MinIO's SDK. An `s3queue.ObjectStore`.

    Credentials come from ``MINIO_ACCESS_KEY`` and ``MINIO_SECRET_KEY``, ``AWS_*``, or ``~/.aws/credentials``, unless
    given. The server's own ``MINIO_ROOT_USER`` and ``MINIO_ROOT_PASSWORD`` are not read. Proxies come from
    ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``.

    Args:
        endpoint: ``http://host:port`` or ``https://host:port``; without a scheme ``secure`` decides.
        bucket: its name.
        prefix: of every key; a folder that only the queue uses.
        region: for which requests are signed.
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for an answer, or for the next bytes of it.
        connections: number of connections that are kept open.

    Raises:
        ConfigError: the endpoint or the bucket cannot be one, or only one of ``access_key`` and ``secret_key`` was
            given.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        bucket: str,
        prefix: str = "",
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        region: str = "us-east-1",
        secure: bool = True,
        connect_timeout_s: float = _s3.CONNECT_TIMEOUT_S,
        read_timeout_s: float = _s3.READ_TIMEOUT_S,
        connections: int = _s3.CONNECTIONS,
    ) -> None:
        if "://" not in endpoint:
            endpoint = f"{'https' if secure else 'http'}://{endpoint}"
        parts = urlsplit(_urls.endpoint(endpoint))
        if parts.path:
            raise ConfigError("a MinIO endpoint has no path", "the bucket is an argument of its own")
        if (access_key is None) != (secret_key is None):
            raise ConfigError("only one of access_key and secret_key was given", "give both, or none")
        self.host, self.secure = parts.netloc, parts.scheme == "https"
        self.bucket = _s3.check_bucket(bucket, "minio://host:9000/bucket/prefix")
        try:
            check_bucket_name(bucket)
        except ValueError as refused:  # the SDK would raise this at the first request
            raise ConfigError(f"not a bucket: {refused}", "3 to 63 letters, digits, '-' and '.'") from None
        self.prefix = _urls.prefix(prefix)
        self.region = region
        self.connect_timeout_s, self.read_timeout_s, self.connections = connect_timeout_s, read_timeout_s, connections
        self._login = (access_key, secret_key, session_token)
        self._connect_on_use()

    def _connect_on_use(self) -> None:
        self._capabilities = _s3.capabilities("minio", f"//{self.host}")
        self._client = _s3.PerProcess(self._connect)

    @classmethod
    def from_url(cls, url: str) -> MinioStore:
        """``minio://127.0.0.1:9000/bucket/prefix?secure=false``"""
        place = _urls.read(url, {"secure": _urls.boolean, "region": str, **_s3.URL_SETTINGS})
        bucket, _, prefix = place.path.partition("/")
        if not place.host:
            raise ConfigError("a minio URL needs a host", "for example minio://localhost:9000/bucket?secure=false")
        return cls(place.host, bucket=bucket, prefix=prefix, **place.settings)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def url(self) -> str:
        region = None if self.region == "us-east-1" else self.region
        settings = {"secure": None if self.secure else False, "region": region}
        return _urls.write("minio", self.host, f"{self.bucket}/{self.prefix}".rstrip("/"), settings)

    def __repr__(self) -> str:
        return f"MinioStore({self.url!r})"

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        headers: Any = None if unless is None else {"If-None-Match": _s3.quoted(unless)}

        def fetch() -> Found:
            answer = self._client.get().minio.get_object(self.bucket, self.prefix + key, request_headers=headers)
            try:
                body = answer.read()
            finally:
                answer.release_conn()
            return Found(body, _s3.version_of(answer.headers.get("ETag"), "the answer to a get", self.url))

        return _errors.settle_get(fetch, _FAILURES, read, key, self.url)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        headers = {"If-None-Match": "*"} if if_version is None else {"If-Match": _s3.quoted(if_version)}
        headers["Content-MD5"] = _s3.content_md5(body)

        def send() -> str:
            client = self._client.get()
            client.http.next.headers = headers
            try:
                made = client.minio.put_object(
                    self.bucket, self.prefix + key, BytesIO(body), len(body), part_size=max(len(body), _LEAST_PART)
                )
            finally:
                client.http.next.__dict__.pop("headers", None)  # where it failed before it was sent
            return _s3.bare(made.etag or "")

        return _errors.settle_put(send, _FAILURES, read, key, self.url, if_version)

    def delete(self, keys: Sequence[str]) -> None:
        from minio.deleteobjects import DeleteObject

        for some in _s3.in_thousands(keys):
            try:
                left = self._client.get().minio.remove_objects(
                    self.bucket, [DeleteObject(self.prefix + key) for key in some]
                )
                errors = [(error.name or "", error.code or "") for error in left]
            except _FAILURES as failed:
                _errors.refuse(read(failed), "delete", some[0], self.url)
            _s3.check_deleted(errors)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        own = len(self.prefix)
        try:
            entries = self._client.get().minio.list_objects(
                self.bucket,
                self.prefix + prefix,
                recursive=True,
                start_after=self.prefix + after if after else None,
            )
            # A generator that asks for the next thousand when it is asked for the next entry.
            return [
                Listed(entry.object_name[own:], _s3.version_of(entry.etag, "a listing", self.url), entry.size or 0)
                for entry in islice(entries, min(limit, 1000))
            ]
        except _FAILURES as failed:
            _errors.refuse(read(failed), "list", prefix, self.url)

    def clock(self, key: str) -> float:
        """The server's time, in seconds since 1970, to the second. One GET of an existing object."""
        try:
            with closing(self._client.get().minio.get_object(self.bucket, self.prefix + key)) as answer:
                return parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except _FAILURES as failed:
            _errors.refuse(read(failed), "get", key, self.url)

    def sign_put(self, key: str, body: bytes) -> tuple[str, Mapping[str, str]]:
        """A URL for a plain HTTP put of this body, valid for some minutes, and its headers. No request."""
        url = self._client.get().minio.presigned_put_object(
            self.bucket, self.prefix + key, expires=timedelta(seconds=_s3.SIGNED_FOR_S)
        )
        return url, _s3.headers_of(body)

    def keeps_versions(self, key: str) -> bool:
        """Whether the bucket is versioned. One HEAD of an existing object."""
        try:
            return (self._client.get().minio.stat_object(self.bucket, self.prefix + key).version_id or "null") != "null"
        except _FAILURES as failed:
            _errors.refuse(read(failed), "get", key, self.url)

    def close(self) -> None:
        client = self._client.drop()
        if client is not None:
            client.http.clear()

    def _connect(self) -> _Client:
        import certifi
        from minio import Minio
        from minio.credentials.providers import (
            AWSConfigProvider,
            ChainedProvider,
            EnvAWSProvider,
            EnvMinioProvider,
            IamAwsProvider,
        )

        http = _http(
            self.host,
            self.secure,
            timeout=urllib3.Timeout(connect=self.connect_timeout_s, read=self.read_timeout_s),
            maxsize=self.connections,
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )
        access_key, secret_key, session_token = self._login
        chain = None
        if access_key is None:
            providers: list[Any] = [EnvMinioProvider(), EnvAWSProvider(), AWSConfigProvider()]
            if self.host.endswith(".amazonaws.com"):  # only there is an instance service to ask
                providers.append(IamAwsProvider())
            chain = ChainedProvider(providers)
        minio = Minio(
            self.host,
            access_key=access_key,
            secret_key=secret_key,
            session_token=session_token,
            secure=self.secure,
            region=self.region,
            http_client=http,
            credentials=chain,
        )
        return _Client(minio, http)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_client", "_capabilities")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._connect_on_use()
