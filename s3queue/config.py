"""Settings: which there are, where each value came from, and the store that is used when none is named.

A setting is taken from the first of these that has it: an argument, `configure`, the environment (``S3QUEUE_…``), the
file ``s3queue.toml`` in the working directory, the default. Unknown names are errors wherever they stand: a misspelt
setting that silently does nothing is worse than one that stops the start.

::

    [store]
    url = "s3://jobs/production"        # or S3QUEUE_STORE_URL

    [queue]
    visibility_timeout = 60             # or S3QUEUE_VISIBILITY_TIMEOUT
    workers = 4
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Unpack, get_type_hints

import msgspec
from msgspec import Meta, Struct

from s3queue.core.keys import check_name
from s3queue.errors import ConfigError
from s3queue.store import ObjectStore, as_store, open_store

if TYPE_CHECKING:
    from s3queue.options.settings import Settings

__all__ = ["Config", "Loaded", "configure", "current_config", "current_store", "load", "redact_url"]

Seconds = Annotated[float, Meta(gt=0, lt=1e10)]
#: Durations that other processes wait for, or remember: at most thirty days.
Patience = Annotated[float, Meta(gt=0, le=30 * 86_400)]
Count = Annotated[int, Meta(ge=1)]

#: Read from the working directory, or from the path in ``S3QUEUE_CONFIG``.
FILE = "s3queue.toml"
PREFIX = "S3QUEUE_"
STORE_URL = "S3QUEUE_STORE_URL"
CONFIG_PATH = "S3QUEUE_CONFIG"
#: Not settings: variables that Kubernetes injects for every Service whose name begins with ``s3queue``
#: (https://kubernetes.io/docs/tutorials/services/connect-applications-service/), and what `s3queue.testing` reads.
_NOT_OURS = re.compile(r"S3QUEUE_(TEST|MINIO|AZURITE|(.*_)?(SERVICE_HOST|SERVICE_PORT|PORT))(_.*)?")


class Config(Struct, frozen=True, kw_only=True):
    """Every setting, checked. Durations are seconds as ``float``, sizes are bytes.

    Processes of one namespace should agree on the settings down to ``dedup_window``. Hosts share
    their ``visibility_timeout``, ``leader_lease`` and how long they remember finished sources, and all use the longest of
    each. Programs that only enqueue share nothing: their ``enqueue_deadline`` must not be longer than that of the hosts.

    Raises:
        ConfigError: a value has the wrong type or is out of range, or two values contradict each other.
    """

    #: Prefix of every key. Namespaces in one bucket do not see each other.
    namespace: str = "s3queue"
    #: Seconds of silence after which a host is fenced and its messages run elsewhere. Half of it bounds how long a
    #: paused host may still start a task; a child process without a heartbeat for this long is killed. At least 2 s:
    #: with less, processes that merely start or wait for a processor are killed.
    visibility_timeout: Annotated[float, Meta(ge=2, le=30 * 86_400)] = 30.0
    #: Seconds without a new board after which another agent stands for election. The leader writes every third of it.
    leader_lease: Patience = 15.0
    #: Seconds between two writes of a host that has held nothing for two visibility timeouts, on billed stores. If such a
    #: host dies, it counts as gone after three times as long. A message that it was given waits for three of its polls, at
    #: least 5 s. 0: it writes as often as while it works, every third of ``visibility_timeout``.
    doze_interval: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    #: Seconds for which the coordinator may be silent while there is no work, on billed stores. It announces this on the
    #: board. If it dies then, the next message may wait so long for another coordinator. Not below ``leader_lease``.
    idle_lease: Patience = 60.0
    #: Seconds for which outcomes are batched before they are stored: finished work that the death of a host can cost.
    #: None: 0.2, on billed stores as ``pacing`` sets it: 0.2 (``latency``), 2 or 5.
    ack_interval: Seconds | None = None
    #: Seconds that running tasks get to finish after SIGTERM. Tasks that still run then are killed, lose no attempt, and
    #: run elsewhere. Fits the 10 s of ``docker stop``. With more time (Kubernetes 30 s, systemd 90 s) set it to that less
    #: 2 s: if the host itself is killed, running tasks lose an attempt.
    drain_timeout: Annotated[float, Meta(ge=0, lt=1e10)] = 8.0
    #: Seconds for which a producer retries one unanswered enqueue before it raises `EnqueueUncertain`.
    enqueue_deadline: Patience = 60.0
    #: Seconds for which finished sources are remembered. Above the age at which S3 refuses a signature (15 min) plus
    #: `enqueue_deadline`, so that a late request of a producer is recognised.
    dedup_window: Patience = 1200.0
    #: Seconds for which tombstones are kept: of dead messages that were redriven and done, or purged, and of messages that
    #: were cancelled after they had begun. No result is kept for longer. 30 days.
    dead_retention: Annotated[float, Meta(ge=3600, lt=1e10)] = 2_592_000.0
    #: Seconds after which a dead letter is purged; None: it is kept until somebody redrives or purges it.
    dead_letter_retention: Annotated[float, Meta(ge=3600, lt=1e10)] | None = None
    #: Messages of a queue that wait for a retry or a snooze on the board. Beyond that, those with the longest wait are
    #: moved to other objects, and may run late by a twentieth of their wait, or one second.
    max_parked: Count = 1000
    #: Bytes of the board, which every host reads. At half of this no new batches are assigned.
    max_board_bytes: Annotated[int, Meta(ge=100_000)] = 32 * 2**20
    #: Bytes of the largest message, encoded. A larger one is refused when it is enqueued, and not read if it was enqueued
    #: with another setting. Every worker must hold one such message in memory, encoded and decoded. 256 MiB.
    max_message_bytes: Annotated[int, Meta(ge=1000)] = 268_435_456
    #: Bytes of messages that a worker process reads ahead; one message always fits. 64 MiB.
    prefetch_bytes: Count = 67_108_864
    #: Seconds of work to assign per slot, by measured task time. The coordinator assigns more where it measures that a
    #: slot would idle before its next message.
    ticket_target: Seconds = 1.0
    #: How often to poll on billed stores: ``latency``, ``balanced`` or ``frugal``. Idle agents poll every 1, 3.6 or 15
    #: seconds, and at once when a process of their machine wakes them.
    pacing: Literal["latency", "balanced", "frugal"] = "balanced"
    #: ``HOST:PORT`` at which an agent listens for datagrams that say "poll now", as other machines reach it; port 0: any.
    #: None: the agent does not listen, and finds a message from another machine with its next poll. Needs ``knock_key``.
    knock: str | None = None
    #: Secret of all processes that knock: producers knock at the coordinator after each enqueue, the coordinator at hosts.
    #: A producer reads the board for that, at most every 10 s.
    knock_key: str | None = None
    #: Write requests per message that the coordinator adds under load, at most.
    overhead: Seconds = 0.5
    #: How children are made: ``fork`` (fast), ``spawn`` or ``forkserver`` (for programs that cannot fork safely).
    start_method: Literal["fork", "spawn", "forkserver"] = "fork"
    #: Messages after which a worker process is replaced by a fresh one; None: never.
    max_messages: Count | None = None
    #: Resident memory in bytes above which a worker process is replaced; None: never.
    max_rss_bytes: Count | None = None
    #: Attempts of a message before it is dead, the first included, unless its task sets another number.
    max_attempts: Annotated[int, Meta(ge=1, le=1000)] = 3
    #: Seconds that one attempt may take, unless its task sets another limit; None: no limit.
    time_limit: Seconds | None = None
    #: If OpenTelemetry is configured: whether the first attempt ``continue``s the trace of its enqueue, or begins a new
    #: trace with a ``link`` to it. Further attempts always begin a new trace.
    tracing: Literal["continue", "link"] = "continue"
    #: ``HOST:PORT`` at which a host serves metrics, health and scaling, for example ``127.0.0.1:9191``; None: nowhere.
    metrics: str | None = None
    #: Prices of the store in dollars for a million requests, for example ``put=5 get=0.4 list=5``; None: list prices.
    prices: str | None = None
    #: Directory for the event history, one JSON line per event, which auditing commands read; None: no history.
    history: str | None = None
    #: Worker processes; None: one per CPU.
    workers: Count | None = None
    #: Messages that one worker process runs at a time.
    concurrency: Count = 1

    def __post_init__(self) -> None:
        for name in _names():
            msgspec.structs.force_setattr(self, name, _check(name, getattr(self, name)))
        check_name(self.namespace, "namespace")
        if self.ack_interval is not None and self.ack_interval >= self.visibility_timeout / 2:
            raise ConfigError(
                f"ack_interval ({self.ack_interval:g} s) is not below half of visibility_timeout "
                f"({self.visibility_timeout:g} s)",
                "a host would look dead while it works; lower ack_interval",
            )
        if self.knock is not None and self.knock_key is None:
            raise ConfigError("knock is set, and knock_key is not", "set the secret that all who knock share")
        if self.enqueue_deadline >= self.dedup_window:
            raise ConfigError(
                f"enqueue_deadline ({self.enqueue_deadline:g} s) is not below dedup_window ({self.dedup_window:g} s)",
                "a producer's last try could be taken for a new message; raise dedup_window",
            )

    def replace(self, **settings: Unpack[Settings]) -> Config:
        """This configuration with some settings changed, checked again.

        Raises:
            ConfigError: an unknown name, or a value that does not fit.
        """
        _known(settings, _names(), "setting")
        return msgspec.structs.replace(self, **settings)


def _names() -> tuple[str, ...]:
    return Config.__struct_fields__


_types: dict[str, Any] = {}


def _check(name: str, value: Any, *, text: bool = False, where: str = "") -> Any:
    """The value in the type of the setting. ``text``: numbers may be written as strings, as in the environment."""
    if not _types:
        _types.update(get_type_hints(Config, include_extras=True))
    try:
        return msgspec.convert(value, _types[name], strict=not text)
    except msgspec.ValidationError as wrong:
        raise ConfigError(f"{where or name}: {str(wrong).lower()}: {value!r}", _describe(name)) from wrong


def _describe(name: str) -> str:
    kinds = {
        Literal["latency", "balanced", "frugal"]: "one of latency, balanced, frugal",
        Literal["fork", "spawn", "forkserver"]: "one of fork, spawn, forkserver",
        Literal["continue", "link"]: "one of continue, link",
    }
    default = {field.name: field.default for field in msgspec.structs.fields(Config)}[name]
    return kinds.get(_types[name], "unset by default" if default is None else f"the default is {default!r}")


def _known(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raises `ConfigError` for the first name that is not known, with the nearest that is."""
    names = sorted(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            raise ConfigError(
                f"unknown {what} {name!r}", f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(names)
            )


class Loaded(NamedTuple):
    """The effective settings.

    Attributes:
        store_url: None where no source names a store.
        origins: for ``store.url`` and each setting, what it was taken from: ``argument``, ``configure()``, the name of
            the environment variable, the path of the file, or ``default``.
    """

    config: Config
    store_url: str | None
    origins: dict[str, str]


class _Defaults:
    """What this process was configured with, and what it uses."""

    store: ObjectStore | None = None
    config: Config | None = None
    settings: Mapping[str, Any] = {}
    used_store: ObjectStore | None = None
    used_config: Config | None = None
    calls: int = 0


def load(
    store: str | None = None,
    *,
    path: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    **settings: Unpack[Settings],
) -> Loaded:
    """The effective settings of this process, and where each came from. Opens no store and makes no request.

    Args:
        store: URL that overrides every other source.
        path: the file to read, which must exist; by default ``S3QUEUE_CONFIG``, or ``s3queue.toml`` where there is one.
        environ: instead of ``os.environ``.
        settings: override every other source; None means "not given".

    Raises:
        ConfigError: an unknown name, a value that does not fit, or a file that cannot be read.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins = dict.fromkeys(("store.url", *_names()), "default")
    url: str | None = None

    file = Path(path or environ.get(CONFIG_PATH) or FILE)
    if path or environ.get(CONFIG_PATH) or file.is_file():
        url, values = _from_file(file)
        origins.update(dict.fromkeys(values, str(file)))
        if url:
            origins["store.url"] = str(file)

    for variable, text in _from_environ(environ).items():
        name = variable.removeprefix(PREFIX).lower()
        values[name] = _check(name, text, text=True, where=variable)
        origins[name] = variable
    if environ.get(STORE_URL):
        url, origins["store.url"] = environ[STORE_URL], STORE_URL

    if _Defaults.config is not None:
        values = msgspec.structs.asdict(_Defaults.config)
        origins.update(dict.fromkeys(values, "configure()"))
    for source, given in (("configure()", _Defaults.settings), ("argument", settings)):
        _known(given, _names(), "setting")
        for name, value in given.items():
            if value is not None:
                values[name], origins[name] = value, source
    if _Defaults.store is not None:
        url, origins["store.url"] = _Defaults.store.url, "configure()"
    if store is not None:
        url, origins["store.url"] = store, "argument"
    return Loaded(Config(**values), url, origins)


def _from_file(file: Path) -> tuple[str | None, dict[str, Any]]:
    import tomllib  # only where there is a file to read

    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except OSError as wrong:
        raise ConfigError(f"cannot read {file}: {wrong.strerror}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{file} is not TOML: {wrong}") from wrong
    for name, table in tables.items():
        if name in _names():
            raise ConfigError(f"{file}: {name!r} is not in a table", "write it below a line that says [queue]")
        _known([name], ("store", "queue"), f"table in {file}:")
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {name!r} is not a table", f"write [{name}] on a line of its own")
    store, queue = tables.get("store", {}), tables.get("queue", {})
    for name in store:
        if name in _names():
            raise ConfigError(f"{file}: {name!r} is no setting of [store]", "write it below a line that says [queue]")
    _known(store, ("url",), f"setting in {file}, [store]:")
    if "url" in queue:
        raise ConfigError(f"{file}: 'url' is no setting of [queue]", "write it below a line that says [store]")
    _known(queue, _names(), f"setting in {file}, [queue]:")
    url = store.get("url")
    if url is not None and not isinstance(url, str):
        raise ConfigError(f"{file}: the url of [store] is not a string: {url!r}")
    return url or None, {name: _check(name, value, where=f"{file}: {name}") for name, value in queue.items()}


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are settings. An empty one counts as not set."""
    special = {STORE_URL, CONFIG_PATH}
    known = {PREFIX + name.upper() for name in _names()} | special
    ours = {
        name: text
        for name, text in environ.items()
        if name.startswith(PREFIX) and (name in known or not _NOT_OURS.fullmatch(name))
    }
    _known(ours, known, "environment variable")
    return {name: text for name, text in ours.items() if text and name not in special}


def configure(
    store: ObjectStore | str | None = None, config: Config | None = None, **settings: Unpack[Settings]
) -> None:
    """Set the store and the settings that this process uses by default. Each call replaces the call before.

    Args:
        store: a store, or its URL.
        config: all settings; then environment and file are not read.
        settings: single settings, which override all of those; None means "not given".

    Raises:
        ConfigError: an unknown name, or a value that does not fit; nothing was changed.
    """
    _known(settings, _names(), "setting")
    checked = {name: _check(name, value) for name, value in settings.items() if value is not None}
    if store is not None:
        store = as_store(store)
    _Defaults.store, _Defaults.config, _Defaults.settings = store, config, checked
    _Defaults.used_store = _Defaults.used_config = None
    _Defaults.calls += 1


@contextmanager
def configured(store: ObjectStore, config: Config) -> Iterator[None]:
    """As `configure`, until the end of the block; then everything is as it was."""
    names = ("store", "config", "settings", "used_store", "used_config")
    before = {name: getattr(_Defaults, name) for name in names}
    configure(store=store, config=config)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(_Defaults, name, value)
        _Defaults.calls += 1


def times_configured() -> int:
    """How often `configure` was called; tells whether an imported module called it."""
    return _Defaults.calls


def current_config() -> Config:
    """The settings of this process, read once: `configure`, the environment, the file, the defaults."""
    if _Defaults.used_config is None:
        _Defaults.used_config = load().config
    return _Defaults.used_config


def current_store() -> ObjectStore:
    """The store of this process, opened once: `configure`, then ``S3QUEUE_STORE_URL``, then ``s3queue.toml``.

    Raises:
        ConfigError: none of them names one. There is no default: a queue needs a store that its users share.
    """
    if _Defaults.used_store is None:
        if _Defaults.store is not None:
            _Defaults.used_store = _Defaults.store
        else:
            url = load().store_url
            if url is None:
                raise ConfigError(
                    "no store was named",
                    f"set {STORE_URL}, or write [store] url = … in {FILE}, or call s3queue.configure(store=…); "
                    "for example sqlite:///jobs.db",
                )
            _Defaults.used_store = open_store(url)
    return _Defaults.used_store


def redact_url(url: str) -> str:
    """The URL as it may be printed: without a user name, a password, or the values of parameters that may be secret."""
    url = re.sub(r"(://)[^/?#]*@", r"\1***@", url)
    return re.sub(r"([?&][^=&#]*(?:secret|password|token|key|sig|credential)[^=&#]*=)[^&#]*", r"\1***", url, flags=re.I)
