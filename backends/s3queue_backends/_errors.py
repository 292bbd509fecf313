"""The meaning of answers of S3-like services, and of missing answers.

Each backend has a table that turns the exceptions of its SDK into a `Reply` or a `Silence`. The rest is here, for all
backends. Rows: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (412, 409, 404 on conditional puts),
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple, NoReturn

from s3queue.errors import OutcomeUnknown, StoreDenied, StoreError, StoreUnavailable
from s3queue.store import Conflict, Found, Missing, Stored, Unchanged

#: Times a put is sent again after "try again" (409), the answer while a delete of the key is under way. After that the
#: caller waits and retries.
RESENDS = 4


_CONFLICT, _MISSING, _UNCHANGED = Conflict(), Missing(), Unchanged()


class Verdict(Enum):
    MISSING = auto()
    UNCHANGED = auto()
    CONFLICT = auto()
    #: Not applied; the same put may be sent again at once.
    AGAIN = auto()
    UNAVAILABLE = auto()
    UNKNOWN = auto()
    DENIED = auto()


class Reply(NamedTuple):
    """An answer that is not a success.

    Attributes:
        status: of HTTP; 0 where the success could not be read.
        code: such as ``NoSuchKey``; empty where there is none.
    """

    status: int
    code: str = ""
    message: str = ""

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.status or "", self.code, self.message) if part)[:300]


class Silence(NamedTuple):
    """No answer.

    Attributes:
        sent: whether anything may have reached the server.
    """

    sent: bool
    why: str

    def __str__(self) -> str:
        return self.why[:300]


class NoLogin(NamedTuple):
    """There are no credentials to sign with. Nothing was sent. ``hint``: where they may be set."""

    why: str
    hint: str

    def __str__(self) -> str:
        return self.why[:300]


class Untrusted(NamedTuple):
    """The server's certificate is not trusted. Only the handshake was sent."""

    why: str

    def __str__(self) -> str:
        return self.why[:300]


Failure = Reply | Silence | NoLogin | Untrusted

_MISSING_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "InvalidBucketName"})


#: The server found a truncated body by checksum or length, and stored nothing.
_CUT_SHORT = frozenset(
    {
        "BadDigest",
        "ClientDisconnected",
        "IncompleteBody",
        "Md5Mismatch",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)

#: What a refusal means, and what to do about it, by its code.
_ADVICE = {
    **dict.fromkeys(_MISSING_BUCKET, ("there is no such bucket", "create it, or correct its name")),
    "AccessDenied": ("these credentials may not do this", "check their permissions on the bucket"),
    "InvalidAccessKeyId": ("the store does not know these credentials", "check the access key and the endpoint"),
    "SignatureDoesNotMatch": ("the secret key is wrong, or a proxy rewrites requests", "check the secret key"),
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", "set it"),
    "ExpiredToken": ("these credentials have expired", "renew them"),
    "AuthorizationHeaderMalformed": ("the region is wrong", "set the region of the bucket"),
    "PermanentRedirect": ("the region or the endpoint is wrong", "set those of the bucket"),
}

OUT_OF_FILES, MORE_FILES = "this process has too many open files", "raise its limit: ulimit -n, LimitNOFILE"


class Row(NamedTuple):
    """One row of the table. The first row that fits decides; None fits everything.

    Attributes:
        replaces: whether the put names a version.
    """

    verdict: Verdict
    status: int | range
    operation: str | None = None
    codes: frozenset[str] | None = None
    replaces: bool | None = None

    def fits(self, operation: str, status: int, code: str, replaces: bool) -> bool:
        return (
            (status in self.status if isinstance(self.status, range) else status == self.status)
            and self.operation in (None, operation)
            and (self.codes is None or code in self.codes)
            and self.replaces in (None, replaces)
        )


TABLE: tuple[Row, ...] = (
    Row(Verdict.DENIED, range(300, 600), codes=_MISSING_BUCKET),
    Row(Verdict.UNCHANGED, 304, "get"),
    # Another writer was first.
    Row(Verdict.CONFLICT, 412, "put"),
    # AWS: If-Match met no object. It was there when it was read, so it was deleted.
    Row(Verdict.CONFLICT, 404, "put", replaces=True),
    Row(Verdict.MISSING, 404, "get"),
    # For a create or a listing only the bucket can be missing.
    Row(Verdict.DENIED, 404),
    # Azure answers a create with it where others answer 412.
    Row(Verdict.CONFLICT, 409, "put", frozenset({"BlobAlreadyExists"})),
    # ConditionalRequestConflict, OperationAborted: it collided with another request and was not applied.
    Row(Verdict.AGAIN, 409, "put"),
    Row(Verdict.UNAVAILABLE, 409),
    Row(Verdict.UNAVAILABLE, 429),
    Row(Verdict.UNAVAILABLE, 503),
    # The body did not arrive in time, so it cannot have been stored. S3 says so with a 400.
    Row(Verdict.UNAVAILABLE, 408),
    Row(Verdict.UNAVAILABLE, 400, codes=frozenset({"RequestTimeout", "SlowDown"}) | _CUT_SHORT),
    # SeaweedFS: the connection broke within the body.
    Row(Verdict.UNAVAILABLE, 499),
    Row(Verdict.DENIED, 501),
    Row(Verdict.UNKNOWN, range(500, 600), "put"),
    Row(Verdict.UNAVAILABLE, range(500, 600)),
    # A success whose body could not be read.
    Row(Verdict.UNKNOWN, 0, "put"),
    Row(Verdict.UNAVAILABLE, 0),
    # 401, 403, wrong region, bad request: someone must fix it.
    Row(Verdict.DENIED, range(1000)),
)


def judge(failure: Failure, operation: str, *, replaces: bool = False) -> Verdict:
    """The meaning of a failed request.

    Args:
        operation: ``get``, ``put``, ``delete`` or ``list``.
        replaces: whether it was a put that named a version.
    """
    match failure:
        case Reply(status, code, _):
            return next(row.verdict for row in TABLE if row.fits(operation, status, code, replaces))
        case Silence(sent, _):
            return Verdict.UNKNOWN if sent and operation == "put" else Verdict.UNAVAILABLE
        case NoLogin() | Untrusted():
            return Verdict.DENIED


def causes(failed: BaseException) -> Iterator[BaseException]:
    """The exception, and every exception that it wraps, in whatever way its library wraps them."""
    waiting, seen = [failed], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (one.__cause__, getattr(one, "original_error", None), getattr(one, "reason", None), *one.args)
        more = getattr(one, "kwargs", None)
        inner += tuple(more.values()) if isinstance(more, dict) else ()
        waiting += [other for other in inner if isinstance(other, BaseException)]


def silence(failed: BaseException, sent: bool) -> Silence | Untrusted:
    """The meaning of a network error.

    Args:
        sent: whether a request may have been sent before such an error, unless a wrapped error says otherwise.
    """
    import ssl  # only where it is needed

    for one in causes(failed):
        if isinstance(one, ssl.SSLCertVerificationError):
            return Untrusted(f"the server's certificate is not trusted: {one.verify_message or 'unknown authority'}")
        if isinstance(one, OSError) and one.errno in (errno.EMFILE, errno.ENFILE):
            return Silence(False, OUT_OF_FILES)
    return Silence(sent, f"{type(failed).__name__}: {'no answer' if sent else 'no connection'}")


def error(verdict: Verdict, failure: Failure, operation: str, key: str, place: str) -> StoreError:
    """The exception for a verdict that is no value.

    Args:
        place: URL of the store.
    """
    why, hint = str(failure), ""
    if isinstance(failure, Reply):
        why, hint = _ADVICE.get(failure.code, ("", ""))
        why = f"{failure}: {why}" if why else str(failure)
    elif isinstance(failure, NoLogin):
        hint = failure.hint
    elif why == OUT_OF_FILES:
        hint = MORE_FILES
    match verdict:
        case Verdict.UNKNOWN:
            return OutcomeUnknown(operation, key, why, hint)
        case Verdict.DENIED:
            return StoreDenied(operation, key, f"{why}, at {place}", hint)
        case _:
            return StoreUnavailable(operation, key, why if isinstance(failure, Reply) else f"{why}, at {place}", hint)


def refuse(failure: Failure, operation: str, key: str, place: str) -> NoReturn:
    """Raise the error of a failed delete or list.

    Without its cause: the texts of SDKs repeat requests, and with them signatures and key ids.
    """
    raise error(judge(failure, operation), failure, operation, key, place) from None


def settle_get(
    fetch: Callable[[], Found],
    failures: tuple[type[Exception], ...],
    read: Callable[[Exception], Failure],
    key: str,
    place: str,
) -> Found | Unchanged | Missing:
    """Read once. Arguments as for `settle_put`. Asks: one GET."""
    try:
        return fetch()
    except failures as failed:
        failure = read(failed)
        match judge(failure, "get"):
            case Verdict.MISSING:
                return _MISSING
            case Verdict.UNCHANGED:
                return _UNCHANGED
            case verdict:
                raise error(verdict, failure, "get", key, place) from None


def settle_put(
    send: Callable[[], str | None],
    failures: tuple[type[Exception], ...],
    read: Callable[[Exception], Failure],
    key: str,
    place: str,
    if_version: str | None,
) -> Stored | Conflict:
    """Send a put until its outcome is known, or known to be unknown.

    Args:
        send: sends once and returns the new version, if the answer names it.
        failures: the exceptions of the SDK.
        read: the backend's table.
        place: URL of the store.

    Asks: one PUT, and up to `RESENDS` more while the answer is "try again".
    """
    for left in range(RESENDS, -1, -1):
        try:
            version = send()
        except failures as failed:
            failure = read(failed)
            verdict = judge(failure, "put", replaces=if_version is not None)
            if verdict is Verdict.CONFLICT:
                return _CONFLICT
            if verdict is Verdict.AGAIN and left:
                continue
            raise error(verdict, failure, "put", key, place) from None
        if not version:
            raise OutcomeUnknown("put", key, "the answer has no ETag")
        return Stored(version)
    raise AssertionError("the last round returns or raises")
