"""S3, Google Cloud Storage and Azure Blob Storage through obstore, which wraps the object_store crate.

The cheapest of the backends: a request takes about 0.25 ms of CPU. Three things about it decide how it is used here:

* Its errors carry the HTTP status only as text, see `_obstore_errors`.
* Its runtime does not survive a fork: in the child of a process that has used it, every call hangs
  (https://github.com/tokio-rs/tokio/issues/4301). Such a child loads a copy, see `_obstore_library`.
* Its prefixes are folders, so a prefix that ends within a name is listed as part of its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from s3queue.errors import ConfigError
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, Stored, Unchanged
from s3queue_backends import _errors, _s3, _urls
from s3queue_backends._errors import Reply, Verdict
from s3queue_backends._obstore_errors import read
from s3queue_backends._obstore_library import library_here

_CONFLICT = Conflict()

Service = Literal["s3", "gs", "az"]

#: Seconds for a whole upload and its answer; `read_timeout_s` bounds the wait between bytes.
_TOTAL_TIMEOUT_S = 300.0
#: Azure takes at most this many deletes in one batch, and S3 a thousand.
_AZURE_BATCH = 256

#: Keys whose generation a process remembers, on GCS. Boards and ledgers are a few per host.
_GENERATIONS = 10_000


class _Client(NamedTuple):
    """A connected store, its functions, and its exceptions."""

    store: Any
    get: Callable[..., Any]
    put: Callable[..., Any]
    list: Callable[..., Any]
    delete: Callable[..., Any]
    head: Callable[..., Any]
    sign: Callable[..., Any]
    failures: tuple[type[Exception], ...]


class ObstoreStore:
    """A bucket or container, or a part of one, reached with obstore. An `s3queue.ObjectStore`.

    Credentials come from obstore's chain (``AWS_*``, ``GOOGLE_*``, ``AZURE_STORAGE_*`` variables, instance roles)
    unless given.

    Args:
        bucket: name of a bucket on S3 and GCS, of a container on Azure.
        service: ``s3``, ``gs`` or ``az``.
        prefix: of every key; a folder that only the queue uses.
        endpoint: ``http(s)://host:port`` of a service other than the real one.
        region: S3 only.
        account: Azure only: the storage account.
        options: further settings of obstore for this service, by its names, including credentials. They are pickled
            with the store, and never shown.
        access_key, secret_key, session_token: S3 only.
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for an answer, or for the next bytes of it.
        connections: number of connections that are kept open.

    Raises:
        ConfigError: an argument does not fit the service, or only one of ``access_key`` and ``secret_key`` was given.
    """

    def __init__(
        self,
        bucket: str,
        service: Service = "s3",
        *,
        prefix: str = "",
        endpoint: str | None = None,
        region: str | None = None,
        account: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        options: Mapping[str, str] | None = None,
        connect_timeout_s: float = _s3.CONNECT_TIMEOUT_S,
        read_timeout_s: float = _s3.READ_TIMEOUT_S,
        connections: int = _s3.CONNECTIONS,
    ) -> None:
        if (access_key is None) != (secret_key is None):
            raise ConfigError("only one of access_key and secret_key was given", "give both, or none")
        if service != "s3" and (region or access_key or session_token):
            raise ConfigError(f"region, access_key and session_token are for s3, not {service}", "see options")
        if service != "az" and account:
            raise ConfigError(f"account is for az, not {service}")
        self.service: Service = service
        self.bucket = _s3.check_bucket(bucket, "obstore+s3://bucket/prefix")
        self.prefix = _urls.prefix(prefix)
        self.endpoint = _urls.endpoint(endpoint) if endpoint else None
        self.region, self.account = region, account
        self.connect_timeout_s, self.read_timeout_s, self.connections = connect_timeout_s, read_timeout_s, connections
        self._options = dict(options or {})
        self._login = (access_key, secret_key, session_token)
        self._connect_on_use()

    def _connect_on_use(self) -> None:
        match self.service:
            case "s3":
                self._capabilities = _s3.capabilities("obstore-s3", self.endpoint)
            case "gs":
                # https://cloud.google.com/storage/quotas#objects
                self._capabilities = Capabilities("gcs", min_rewrite_s=1.0)
            case "az":
                self._capabilities = Capabilities("azure")
        self._client = _s3.PerProcess(self._connect)
        self._generations: dict[str, tuple[str, str]] = {}

    @classmethod
    def from_url(cls, url: str) -> ObstoreStore:
        """``obstore+s3://bucket/prefix?endpoint=…&region=…``, ``gs://bucket/prefix`` or ``az://container/prefix``"""
        scheme = url.partition("://")[0]
        known: dict[str, Callable[[str], object]] = {"endpoint": _urls.endpoint, **_s3.URL_SETTINGS}
        service: Service
        match scheme:
            case "gs":
                service = "gs"
            case "az":
                service = "az"
                known["account"] = str
            case _:
                service = "s3"
                known["region"] = str
        place = _urls.read(url, known)
        return cls(place.host, service, prefix=place.path, **place.settings)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def url(self) -> str:
        scheme = "obstore+s3" if self.service == "s3" else self.service
        settings = {"endpoint": self.endpoint, "region": self.region, "account": self.account}
        return _urls.write(scheme, self.bucket, self.prefix.rstrip("/"), settings)

    def __repr__(self) -> str:
        return f"ObstoreStore({self.url!r})"

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        client = self._client.get()

        def fetch() -> Found:
            if unless is None:
                answer = client.get(client.store, self.prefix + key)
            else:
                answer = client.get(client.store, self.prefix + key, options={"if_none_match": _s3.quoted(unless)})
            return Found(answer.bytes().to_bytes(), self._version(key, answer.meta))

        return _errors.settle_get(fetch, client.failures, read, key, self.url)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        client = self._client.get()
        mode: Any = "create"
        if if_version is not None:
            mode = {"e_tag": _s3.quoted(if_version)}
            if self.service == "gs":
                generation = self._generation(key, if_version)
                if generation is None:
                    return _CONFLICT
                mode["version"] = generation

        def send() -> str:
            # One request whatever the size: a body in parts would not be one conditional put.
            made = client.put(client.store, self.prefix + key, body, mode=mode, use_multipart=False)
            return self._version(key, made) if made["e_tag"] else ""

        outcome = _errors.settle_put(send, client.failures, read, key, self.url, if_version)
        if outcome == _CONFLICT and self.service == "gs":
            self._generations.pop(key, None)  # the same body may have been written again
        return outcome

    def _generation(self, key: str, version: str) -> str | None:
        """The generation that a put names on GCS to replace this version. None: the version is not the current one.

        GCS compares generations on a put, but shows ETags in a listing, and compares them on a get. Here a version is
        an ETag, as on S3. Its generation is the one with which this process saw it last; if it did not see it: one
        HEAD.
        """
        seen = self._generations.get(key)
        if seen is None or seen[0] != version:
            client = self._client.get()
            try:
                self._version(key, client.head(client.store, self.prefix + key))
            except client.failures as failed:
                failure = read(failed)
                if _errors.judge(failure, "get") is Verdict.MISSING:
                    return None
                raise _errors.error(_errors.judge(failure, "get"), failure, "put", key, self.url) from None
            seen = self._generations[key]
        return seen[1] if seen[0] == version else None

    def _version(self, key: str, meta: Any) -> str:
        etag = _s3.version_of(meta["e_tag"], "an answer", self.url)
        if self.service == "gs":
            if len(self._generations) >= _GENERATIONS:
                self._generations.clear()
            self._generations[key] = (etag, meta["version"])
        return etag

    def delete(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        if self.service == "s3":
            self._delete(1000, keys)
        elif self.service == "az":
            self._delete(_AZURE_BATCH, keys)
        else:
            # A request per key, and a missing one is an error that would keep the rest from being deleted.
            with ThreadPoolExecutor(min(8, len(keys))) as pool:
                list(pool.map(self._delete_one, keys))

    def _delete(self, size: int, keys: Sequence[str]) -> None:
        client = self._client.get()
        for start in range(0, len(keys), size):
            some = keys[start : start + size]
            try:
                client.delete(client.store, [self.prefix + key for key in some])
            except client.failures as failed:
                failure = read(failed)
                if not (isinstance(failure, Reply) and failure.status == 404 and self.service == "az"):
                    _errors.refuse(failure, "delete", some[0], self.url)
                for key in some:  # the answer does not tell which was missing, nor whether the others were deleted
                    self._delete_one(key)

    def _delete_one(self, key: str) -> None:
        client = self._client.get()
        try:
            client.delete(client.store, self.prefix + key)
        except client.failures as failed:
            failure = read(failed)
            if _errors.judge(failure, "get") is not Verdict.MISSING:
                _errors.refuse(failure, "delete", key, self.url)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        limit, own, wanted = min(limit, 1000), len(self.prefix), self.prefix + prefix
        try:
            found: list[Listed] = []
            for entry in self._entries(wanted, self.prefix + after if after else "", limit):
                key = entry["path"]
                if key.startswith(wanted):
                    version = _s3.version_of(entry["e_tag"], "a listing", self.url)
                    found.append(Listed(key[own:], version, entry["size"]))
                    if len(found) == limit:
                        break
                elif key > wanted:
                    break
            return found
        except self._client.get().failures as failed:
            _errors.refuse(read(failed), "list", prefix, self.url)

    def _entries(self, prefix: str, after: str, limit: int) -> Iterator[Any]:
        """Entries of the folder that ``prefix`` is in, from the smallest that may start with the prefix.

        If the prefix is not a folder, a few entries that do not start with it may come first.
        """
        folder, _, begun = prefix.rpartition("/")
        if begun and after < prefix:
            # The greatest name below every one that starts so, or nearly: offsets are exclusive. Code points next to
            # the surrogates have no predecessor that can be sent.
            last = ord(prefix[-1]) - 1
            below = "" if 0xD800 <= last < 0xE000 or last < 0x20 else chr(last) + "\U0010ffff"
            after = max(after, prefix[:-1] + below)
        client = self._client.get()
        # Azure's offset is inclusive, and Azurite ignores it. On S3 it is left to the server, since SeaweedFS goes on in
        # an order of its own.
        least = after if self.service == "az" else ""
        for page in client.list(client.store, folder or None, offset=after or None, chunk_size=limit):
            yield from (entry for entry in page if entry["path"] > least) if least else page

    def clock(self, key: str) -> float:
        """The server's time when it stored this object, in seconds since 1970, to the second. One HEAD."""
        client = self._client.get()
        try:
            return float(client.head(client.store, self.prefix + key)["last_modified"].timestamp())
        except client.failures as failed:
            _errors.refuse(read(failed), "get", key, self.url)

    def sign_put(self, key: str, body: bytes) -> tuple[str, Mapping[str, str]] | None:
        """A URL for a plain HTTP put of this body, valid for some minutes, and its headers; S3 only. No request."""
        if self.service != "s3":
            return None
        client = self._client.get()
        url = client.sign(client.store, "PUT", self.prefix + key, timedelta(seconds=_s3.SIGNED_FOR_S))
        return url, _s3.headers_of(body)

    def keeps_versions(self, key: str) -> bool:
        """Whether the bucket is versioned. One HEAD of an existing object."""
        client = self._client.get()
        try:
            version = client.head(client.store, self.prefix + key)["version"]
        except client.failures as failed:
            _errors.refuse(read(failed), "get", key, self.url)
        return self.service == "s3" and (version or "null") != "null"

    def close(self) -> None:
        self._client.drop()

    def _connect(self) -> _Client:
        library = library_here()
        client_options = {
            "allow_http": bool(self.endpoint and self.endpoint.startswith("http://")),
            "connect_timeout": f"{self.connect_timeout_s:f}s",
            "read_timeout": f"{self.read_timeout_s:f}s",
            "timeout": f"{_TOTAL_TIMEOUT_S:f}s",
            "pool_max_idle_per_host": str(self.connections),
            "pool_idle_timeout": f"{_s3.IDLE_S:f}s",
            "default_content_type": _s3.CONTENT_TYPE,
        }
        config: dict[str, Any] = {}
        match self.service:
            case "s3":
                kind = library._store.S3Store
                access_key, secret_key, session_token = self._login
                config = {
                    "endpoint": self.endpoint,
                    "region": self.region or ("us-east-1" if self.endpoint else None),
                    "access_key_id": access_key,
                    "secret_access_key": secret_key,
                    "session_token": session_token,
                    # So that a body that is cut short is refused. It costs little: the signature takes it anyway.
                    "checksum_algorithm": "sha256",
                }
                if self.endpoint:
                    config["virtual_hosted_style_request"] = False
            case "gs":
                kind = library._store.GCSStore
                config = {"base_url": self.endpoint}
            case "az":
                kind = library._store.AzureStore
                config = {"endpoint": self.endpoint, "account_name": self.account}
        config = {name: value for name, value in config.items() if value is not None} | self._options
        errors = library.exceptions
        failures = (errors.BaseError, FileNotFoundError)
        try:
            store = kind(self.bucket, config=config, client_options=client_options, retry_config={"max_retries": 0})
        except errors.UnknownConfigurationKeyError as unknown:
            raise ConfigError(f"obstore: {str(unknown).partition('Debug source')[0].strip()}") from None
        except failures as failed:
            text = str(failed).partition("Debug source")[0].strip()
            raise ConfigError(f"obstore cannot open {self.url}: {text}") from None
        return _Client(
            store, library.get, library.put, library.list, library.delete, library.head, library.sign, failures
        )

    def __getstate__(self) -> dict[str, object]:
        derived = ("_client", "_capabilities", "_generations")
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._connect_on_use()
