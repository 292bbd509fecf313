"""Which keys of a bucket a program must be allowed to touch, as a policy of S3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from s3queue.core.keys import patterns
from s3queue.errors import ConfigError

__all__ = ["ROLES", "Role", "allowed", "bucket_of", "policy"]

#: Producer: enqueues, and reads what becomes of its messages. Worker: serves queues; any host may lead, so it needs the
#: whole namespace. Viewer: reads everything, and changes nothing. Operator: a viewer that may ask for changes.
Role = Literal["producer", "worker", "viewer", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)

_READ, _WRITE, _DELETE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
#: Keys that a producer writes, and reads again when the store refused a put that may have been its own.
_SENT = ("inbox", "later", "meta", "unique")
#: Keys that are about the messages of a queue.
_TOLD = ("board", "inbox", "later", "dead", "payloads", "results")
#: Keys that are about a namespace.
_SEEN = (*_TOLD, "control", "requests", "hosts", "meta", "summary", "unique", "answers", "aside", "schedules")


def allowed(role: Role, namespace: str, queue: str | None = None) -> dict[str, list[str]]:
    """By action, patterns of keys. ``s3:ListBucket``: of prefixes.

    Args:
        queue: the only one that a producer sends to, or of which a viewer reads messages.
    """
    keys = patterns(namespace, queue)
    whole = list(keys["everything"])
    match role:
        case "producer":
            return {_WRITE: _of(keys, _SENT), _READ: _of(keys, (*_TOLD, *_SENT)), "s3:ListBucket": []}
        case "worker":
            # The first agent checks the store before it stores anything else, under keys beside the namespace.
            whole.append(f"{namespace}-probe-*")
            return {_WRITE: whole, _READ: whole, _DELETE: whole, "s3:ListBucket": whole}
        case "viewer":
            return {_READ: _of(keys, _SEEN), "s3:ListBucket": whole}
        case "operator":
            changes = _of(keys, ("control", "requests"))
            return {_WRITE: changes, _READ: _of(keys, _SEEN), "s3:ListBucket": whole}


def _of(keys: dict[str, tuple[str, ...]], kinds: Iterable[str]) -> list[str]:
    return [pattern for kind in dict.fromkeys(kinds) for pattern in keys[kind]]


def policy(
    role: Role, bucket: str, prefix: str, namespace: str, queue: str | None = None, principal: str | None = None
) -> dict[str, Any]:
    """The policy, as S3 and MinIO read it.

    Reading an object that is not there is answered with "not there" only to those who may list, and otherwise with
    "refused", whatever the prefix. So every role may list: ``s3:prefix`` is compared where a request has one.

    Args:
        prefix: of the store, in front of every key; empty, or ending with a slash.
        principal: of a bucket policy, the user or role that it applies to; None: a policy that is attached to a user or a
            role.
    """
    who = {} if principal is None else {"Principal": {"AWS": principal}}
    statements: list[dict[str, Any]] = []
    by_keys: dict[tuple[str, ...], list[str]] = {}
    for action, keys in allowed(role, namespace, queue).items():
        if action == "s3:ListBucket":
            condition = {"s3:prefix": [f"{prefix}{key}" for key in keys] or [f"{prefix}{namespace}/none"]}
            resource = f"arn:aws:s3:::{bucket}"
            allow = {"Effect": "Allow", **who, "Action": [action], "Resource": [resource]}
            statements.append({**allow, "Condition": {"StringLikeIfExists": condition}})
        else:
            by_keys.setdefault(tuple(keys), []).append(action)
    for some, actions in by_keys.items():
        resources = [f"arn:aws:s3:::{bucket}/{prefix}{key}" for key in some]
        statements.append({"Effect": "Allow", **who, "Action": actions, "Resource": resources})
    return {"Version": "2012-10-17", "Statement": statements}


def bucket_of(url: str) -> tuple[str, str]:
    """Bucket and prefix of the store with this URL.

    Raises:
        ConfigError: a store without policies of S3.
    """
    parts = urlsplit(url)
    if parts.scheme in ("s3", "obstore+s3"):
        bucket, prefix = parts.netloc, parts.path.strip("/")
    elif parts.scheme == "minio":
        bucket, _, prefix = parts.path.strip("/").partition("/")
    else:
        raise ConfigError(f"{parts.scheme or url}:// has no policies of S3", "for example --store s3://bucket/prefix")
    if not bucket:
        raise ConfigError(f"no bucket in {url!r}", "for example s3://bucket/prefix")
    return bucket, f"{prefix}/" if prefix else ""
