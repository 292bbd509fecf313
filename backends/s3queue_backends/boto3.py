"""Any S3 service through boto3, the SDK of AWS.

The SDK's own retries are off: after a lost answer it would report a conflict with its own first try.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import botocore.exceptions as sdk
from botocore.parsers import ResponseParserError

from s3queue.errors import ConfigError
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, Stored, Unchanged
from s3queue_backends import _errors, _pools, _s3, _urls
from s3queue_backends._errors import Failure, NoLogin, Reply

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


#: Errors after which nothing can have reached the server. Any other may come after sending, also `sdk.SSLError` and
#: `sdk.ProxyConnectionError`, which the SDK raises for faults at any time.
NEVER_SENT = (sdk.EndpointConnectionError, sdk.ConnectTimeoutError)
SILENCES = (
    *NEVER_SENT,
    sdk.ProxyConnectionError,
    sdk.SSLError,
    sdk.ReadTimeoutError,
    sdk.ConnectionClosedError,
    sdk.ResponseStreamingError,
    sdk.IncompleteReadError,
    sdk.HTTPClientError,
    # A cut-off or garbled answer.
    ResponseParserError,
)
LOGINS = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.ProfileNotFound,
    sdk.TokenRetrievalError,
    sdk.UnauthorizedSSOTokenError,
)
_FAILURES = (sdk.ClientError, sdk.BotoCoreError, ResponseParserError)


def read(failed: Exception) -> Failure:
    """The meaning of an exception of the SDK. Raises it again if it does not come from server or network."""
    if isinstance(failed, sdk.ClientError):
        answer: Any = failed.response
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(answer.get("Error", {}).get("Code", ""))
        # For an answer without a body the SDK gives the status as the code.
        return Reply(status, "" if code.isdecimal() else code, str(answer.get("Error", {}).get("Message", "")))
    if isinstance(failed, LOGINS):
        return NoLogin("no credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role")
    if isinstance(failed, SILENCES):
        inner = (*NEVER_SENT, *_pools.NEVER_CONNECTED)
        return _errors.silence(failed, not any(isinstance(one, inner) for one in _errors.causes(failed)))
    raise failed


class Boto3Store:
    """A bucket, or a part of one, reached with boto3. An `s3queue.ObjectStore`.

    Credentials come from boto3's chain (``AWS_*`` variables, profiles, roles) unless given.

    Args:
        bucket: its name.
        prefix: of every key; a folder that only the queue uses.
        endpoint: ``http(s)://host:port`` of a service other than AWS.
        region: for which requests are signed.
        path_style: whether the bucket is part of the path; by default it is if there is an ``endpoint``.
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for an answer, or for the next bytes of it.
        connections: number of connections that are kept open.

    Raises:
        ConfigError: the bucket is empty, or only one of ``access_key`` and ``secret_key`` was given.
        StoreUnsupported: it is a directory bucket.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        path_style: bool | None = None,
        profile: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        connect_timeout_s: float = _s3.CONNECT_TIMEOUT_S,
        read_timeout_s: float = _s3.READ_TIMEOUT_S,
        connections: int = _s3.CONNECTIONS,
    ) -> None:
        if (access_key is None) != (secret_key is None):
            raise ConfigError("only one of access_key and secret_key was given", "give both, or none")
        self.bucket = _s3.check_bucket(bucket, "s3://bucket/prefix")
        self.prefix = _urls.prefix(prefix)
        self.endpoint = _urls.endpoint(endpoint) if endpoint else None
        self.region = region
        self.path_style = path_style
        self.connect_timeout_s, self.read_timeout_s, self.connections = connect_timeout_s, read_timeout_s, connections
        self._profile = profile
        self._login = (access_key, secret_key, session_token)
        self._connect_on_use()

    def _connect_on_use(self) -> None:
        self._capabilities = _s3.capabilities("s3", self.endpoint)
        self._client = _s3.PerProcess(self._connect)

    @classmethod
    def from_url(cls, url: str) -> Boto3Store:
        """``s3://bucket/prefix?endpoint=http://127.0.0.1:8333&region=us-east-1``"""
        own: dict[str, Callable[[str], object]] = {
            "endpoint": _urls.endpoint,
            "region": str,
            "path_style": _urls.boolean,
            "profile": str,
        }
        place = _urls.read(url, {**own, **_s3.URL_SETTINGS})
        return cls(place.host, place.path, **place.settings)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def url(self) -> str:
        settings = {"endpoint": self.endpoint, "region": self.region, "path_style": self.path_style}
        return _urls.write("s3", self.bucket, self.prefix.rstrip("/"), settings)

    def __repr__(self) -> str:
        return f"Boto3Store({self.url!r})"

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        more: Any = {} if unless is None else {"IfNoneMatch": _s3.quoted(unless)}

        def fetch() -> Found:
            answer = self._client.get().get_object(Bucket=self.bucket, Key=self.prefix + key, **more)
            return Found(answer["Body"].read(), _s3.version_of(answer.get("ETag"), "the answer to a get", self.url))

        return _errors.settle_get(fetch, _FAILURES, read, key, self.url)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        condition: Any = {"IfNoneMatch": "*"} if if_version is None else {"IfMatch": _s3.quoted(if_version)}

        def send() -> str:
            answer = self._client.get().put_object(
                Bucket=self.bucket,
                Key=self.prefix + key,
                Body=body,
                ContentMD5=_s3.content_md5(body),
                ContentType=_s3.CONTENT_TYPE,
                **condition,
            )
            return _s3.bare(answer.get("ETag") or "")

        return _errors.settle_put(send, _FAILURES, read, key, self.url, if_version)

    def delete(self, keys: Sequence[str]) -> None:
        for some in _s3.in_thousands(keys):
            objects: Any = [{"Key": self.prefix + key} for key in some]
            try:
                answer = self._client.get().delete_objects(
                    Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
                )
            except _FAILURES as failed:
                _errors.refuse(read(failed), "delete", some[0], self.url)
            _s3.check_deleted([(e.get("Key", ""), e.get("Code", "")) for e in answer.get("Errors", ())])

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        limit, own = min(limit, 1000), len(self.prefix)
        found: list[Listed] = []
        more: Any = {"StartAfter": self.prefix + after} if after else {}
        while True:
            try:
                page = self._client.get().list_objects_v2(
                    Bucket=self.bucket, Prefix=self.prefix + prefix, MaxKeys=limit - len(found), **more
                )
            except _FAILURES as failed:
                _errors.refuse(read(failed), "list", prefix, self.url)
            for entry in page.get("Contents", ()):
                version = _s3.version_of(entry.get("ETag"), "a listing", self.url)
                found.append(Listed(entry["Key"][own:], version, entry["Size"]))
            if len(found) >= limit or not page.get("IsTruncated"):
                return found
            # A page may be short though there is more; a caller takes a short one for the end.
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def clock(self, key: str) -> float:
        """The server's time, in seconds since 1970, to the second. One HEAD of an existing object."""
        try:
            answer = self._client.get().head_object(Bucket=self.bucket, Key=self.prefix + key)
        except _FAILURES as failed:
            _errors.refuse(read(failed), "get", key, self.url)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

    def sign_put(self, key: str, body: bytes) -> tuple[str, Mapping[str, str]]:
        """A URL for a plain HTTP put of this body, valid for some minutes, and its headers. No request."""
        url = self._client.get().generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self.bucket,
                "Key": self.prefix + key,
                "ContentMD5": _s3.content_md5(body),
                "ContentType": _s3.CONTENT_TYPE,
            },
            ExpiresIn=_s3.SIGNED_FOR_S,
        )
        return url, _s3.headers_of(body)

    def keeps_versions(self, key: str) -> bool:
        """Whether the bucket is versioned. One HEAD of an existing object."""
        try:
            answer = self._client.get().head_object(Bucket=self.bucket, Key=self.prefix + key)
        except _FAILURES as failed:
            _errors.refuse(read(failed), "get", key, self.url)
        return answer.get("VersionId", "null") != "null"

    def close(self) -> None:
        client = self._client.drop()
        if client is not None:
            client.close()

    def _connect(self) -> S3Client:
        # Imported here: it takes 200 ms, which a process that only describes a store does not need.
        from boto3.session import Session
        from botocore.config import Config

        access_key, secret_key, session_token = self._login
        path_style = self.path_style if self.path_style is not None else self.endpoint is not None
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=self.connect_timeout_s,
            read_timeout=self.read_timeout_s,
            max_pool_connections=self.connections,
            s3={"addressing_style": "path"} if path_style else {},
            signature_version="s3v4",
            # Each put carries its Content-MD5, which every service verifies; the SDK's own are AWS's alone.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            with _making_clients:
                client: S3Client = Session(profile_name=self._profile).client(
                    "s3",
                    region_name=self.region or ("us-east-1" if self.endpoint else None),
                    endpoint_url=self.endpoint,
                    aws_access_key_id=access_key,
                    aws_secret_access_key=secret_key,
                    aws_session_token=session_token,
                    config=config,
                )
                client.meta.events.register("before-sign.s3.PutObject", _do_not_wait)
                _close_what_is_idle(client)
                return client
        except _FAILURES as failed:
            failure = read(failed)
            raise _errors.error(_errors.judge(failure, "get"), failure, "open", "", self.url) from None

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_client", "_capabilities")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._connect_on_use()


def _do_not_wait(request: Any, **_: object) -> None:
    """Turn off the SDK's ``Expect: 100-continue``, which costs a round trip per put. Bodies here are small, and a refused
    one costs less."""
    if "Expect" in request.headers:
        del request.headers["Expect"]


def _close_what_is_idle(client: Any) -> None:
    """Close idle connections. The SDK has no setting for this, so it uses internals of botocore; a test on the wire
    checks that it still works.
    """
    http = client._endpoint.http_session
    http._pool_classes_by_scheme = _pools.never_idle(http._pool_classes_by_scheme)
    http._manager.pool_classes_by_scheme = http._pool_classes_by_scheme


#: Creating clients is not safe among threads, using them is:
#: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
_making_clients = threading.Lock()
