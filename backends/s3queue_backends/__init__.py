"""The stores that come with s3queue, one file each. Importing this package imports none of their SDKs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3queue_backends.boto3 import Boto3Store as Boto3Store
    from s3queue_backends.memory import MemoryStore as MemoryStore
    from s3queue_backends.minio import MinioStore as MinioStore
    from s3queue_backends.obstore import ObstoreStore as ObstoreStore
    from s3queue_backends.sqlite import SqliteStore as SqliteStore

_HOME = {
    "Boto3Store": "boto3",
    "MemoryStore": "memory",
    "MinioStore": "minio",
    "ObstoreStore": "obstore",
    "SqliteStore": "sqlite",
}

__all__ = ["Boto3Store", "MemoryStore", "MinioStore", "ObstoreStore", "SqliteStore"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
