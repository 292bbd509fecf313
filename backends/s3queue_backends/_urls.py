"""Reads and writes store URLs, in the same form for every backend.

A URL names a place and settings. It is printed, logged and compared, so a URL with a credential is refused. No error
text here repeats a value that might be a credential.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from s3queue.errors import ConfigError

_SECRET_WORDS = ("key", "secret", "token", "password", "passwd", "credential", "sas", "sig", "user")


class Place(NamedTuple):
    """The parts of a URL.

    Attributes:
        host: the part between ``//`` and the next ``/``: a bucket, an address, or nothing.
        path: the part after that slash, percent-decoded.
        settings: from the query, converted.
    """

    host: str
    path: str
    settings: dict[str, Any]


def boolean(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    raise ValueError("true or false")


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 86_400:
        raise ValueError("seconds, above 0")
    return value


def read(url: str, known: Mapping[str, Callable[[str], object]]) -> Place:
    """The parts of a URL, with its query converted by the functions in ``known``.

    Raises:
        ConfigError: there is a credential, an unknown setting, or a value that does not convert.
    """
    parts = urlsplit(url)
    scheme = parts.scheme
    if "@" in parts.netloc:
        raise ConfigError(f"a {scheme}:// URL must not carry credentials", "use the environment or settings instead")
    if parts.fragment:
        raise ConfigError(f"a {scheme}:// URL has no part after '#'", "write a '#' in a name as %23")
    settings: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            if any(word in name.lower() for word in _SECRET_WORDS):
                raise ConfigError(
                    f"a {scheme}:// URL must not carry credentials: {name}", "use the environment or settings instead"
                )
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]}?" if near else "this kind of store takes none"
            raise ConfigError(f"unknown setting in a {scheme}:// URL: {name}", hint)
        if name in settings:
            raise ConfigError(f"given twice in a {scheme}:// URL: {name}", "give it once")
        try:
            settings[name] = known[name](text)
        except ValueError as wrong:
            raise ConfigError(f"wrong value in a {scheme}:// URL: {name}", str(wrong)) from None
    return Place(parts.netloc, unquote(parts.path[1:]), settings)


def write(scheme: str, host: str, path: str = "", settings: Mapping[str, object] | None = None) -> str:
    """The URL that `read` reads back. Settings that are None are left out."""
    url = f"{scheme}://{host}"
    if path:
        url += "/" + quote(path, safe="/~")
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    if given:
        url += "?" + urlencode({k: str(v).lower() if isinstance(v, bool) else v for k, v in given.items()}, safe=":/")
    return url


def endpoint(text: str) -> str:
    """An ``http(s)://host[:port]`` address, without a trailing slash and without credentials.

    Raises:
        ConfigError: the text is no such address.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ConfigError("this is not an endpoint", "write http://host:port or https://host:port")
    if "@" in parts.netloc:
        raise ConfigError("an endpoint must not carry credentials", "use the environment or settings instead")
    return text.rstrip("/")


def prefix(text: str) -> str:
    """A key prefix that ends in a slash, or nothing."""
    text = text.strip("/")
    return f"{text}/" if text else ""
