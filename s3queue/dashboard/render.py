"""Templates, and how numbers, times and foreign text are shown.

Payloads, errors, names of tasks and headers come from anybody who may enqueue, so they are treated as hostile:
everything is escaped, and characters that are invisible, or that change the direction of text, are shown by their
numbers.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from s3queue.dashboard import costs
from s3queue.observe.prices import AS_OF, dollars
from s3queue.observe.stats import HostStats
from s3queue.operate.damages import explain
from s3queue.operate.views import attempt_of

#: Characters of a payload or an error that a page shows.
MOST_SHOWN = 64_000
#: Control characters except tab and line feed, and characters that change the direction of text or have no width.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(value: Any) -> Any:
    """Text with invisible characters shown by their numbers. Other values unchanged."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _SURROGATE.sub("\ufffd", _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value.replace("\r\n", "\n")))


def number(value: float | None) -> str:
    """A number with thousands separators; a dash for None."""
    return "–" if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """A number per second with its significant digits; a dash for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:,.1f}" if value >= 1 else f"{value:,.2f}"


def span(seconds: float | None) -> str:
    """``340 ms``, ``12 s``, ``3 min``, ``2 h 5 min``, ``4 d 2 h``."""
    if seconds is None:
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def size(value: float | None) -> str:
    """Bytes with a unit; a dash for None."""
    if value is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:,.1f} {unit}"
    return f"{value:,.0f} B"


def when(at: datetime | None) -> Markup | str:
    """A time, which the browser shows in its own time zone, with its age."""
    if at is None:
        return "–"
    utc = at.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(utc.isoformat(), text, text)


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """The age of a time, as text; a dash for None."""
    return "–" if at is None else span(((now or datetime.now(UTC)) - at).total_seconds())


def indented(encoded: str) -> str:
    """JSON, indented for reading; other text unchanged."""
    try:
        return msgspec.json.format(encoded.encode(), indent=2).decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return encoded


def shortened(text: str, most: int = MOST_SHOWN) -> str:
    """Text, cut to ``most`` characters, with the number of those that are left out."""
    return text if len(text) <= most else f"{text[:most]}\n… and {len(text) - most:,} characters more"


def asked_by(host: HostStats) -> dict[str, int]:
    """Requests of a host by kind, of all roles together."""
    return {kind: sum(usage.get(kind, 0) for usage in host.usage.values()) for kind in costs.KINDS}


def tail(id: str) -> str:
    """The part of an id that differs from its neighbours."""
    return "~".join(id.split("~")[-2:])


def query(**values: Any) -> str:
    """``?name=value&…``, without empty values."""
    said = {name: value for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(said)}" if said else ""


def make_environment() -> Environment:
    """The templates, with these filters."""
    environment = Environment(
        loader=PackageLoader("s3queue.dashboard", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        rate=rate,
        span=span,
        size=size,
        when=when,
        ago=ago,
        money=costs.money,
        indented=indented,
        shortened=shortened,
        tail=tail,
        attempt_of=attempt_of,
        damage=explain,
    )
    environment.globals.update(query=query, dollars=dollars, asked_by=asked_by, prices_as_of=AS_OF)
    for name in environment.list_templates():
        environment.get_template(name)  # compiled now, so that no page waits for it
    return environment


def fingerprint() -> str:
    """Changes with the contents of every static file."""
    import hashlib

    found = hashlib.sha256()
    static = files("s3queue.dashboard").joinpath("static")
    for name in ("app.css", "app.js", "icon.svg"):
        found.update(static.joinpath(name).read_bytes())
    for one in sorted(static.joinpath("vendor").iterdir(), key=lambda one: one.name):
        found.update(one.read_bytes())
    return found.hexdigest()[:12]
