"""The peers, with their environments and commands."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Environments are made here once and kept.
HOME = Path.home() / ".cache" / "s3queue-peers"


@dataclass(frozen=True)
class Peer:
    """
    Attributes:
        module: program in this package.
        packages: from PyPI, into an environment of its own.
        python: the oldest that takes it.
        store: ``redis``, ``sqlite`` or ``s3``.
        workers: commands, run as they are; ``{bin}`` is the environment's, ``{module}`` the program's dotted name.
        messages: as many as are over in a few seconds.
        versioned: its bucket has to keep versions.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    store: str
    workers: tuple[tuple[str, ...], ...]
    messages: int
    python: tuple[int, int] = (3, 11)
    versioned: bool = False

    @property
    def dotted(self) -> str:
        return f"stress.peers.{self.module}"

    @property
    def why(self) -> str:
        """How it is configured and where that is written: the docstring of its program."""
        source = Path(__file__).with_name(f"{self.module}.py").read_text()
        return ast.get_docstring(ast.parse(source)) or ""

    def environment(self) -> Path:
        """Its ``bin`` directory. Made where it is not there yet.

        Raises:
            LookupError: there is no Python for it, or its packages cannot be installed.
        """
        interpreter = _interpreter(self.python)
        version = subprocess.run(
            [interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        home = HOME / f"{self.name.replace(' ', '-').lower()}-{version}"
        done = home / "installed"
        wanted = " ".join(self.packages)
        if not done.exists() or done.read_text() != wanted:
            subprocess.run([interpreter, "-m", "venv", "--clear", str(home)], check=True)
            pip = subprocess.run(
                [home / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *self.packages],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if pip.returncode:
                raise LookupError(f"cannot install {wanted}: {pip.stderr.strip().splitlines()[-1]}")
            done.write_text(wanted)
        return home / "bin"

    def version(self) -> str:
        """Of what was installed."""
        name = self.packages[0].partition("[")[0].partition("=")[0]
        code = f"from importlib.metadata import version; print(version({name!r}))"
        return subprocess.run(
            [self.environment() / "python", "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()


def _interpreter(oldest: tuple[int, int]) -> str:
    """A Python that is at least so new: this one, or one that is installed beside it."""
    if sys.version_info[:2] >= oldest:
        return sys.executable
    for candidate in _candidates():
        probe = subprocess.run(
            [candidate, "-c", f"import sys; sys.exit(sys.version_info[:2] < {oldest})"],
            check=False,
            capture_output=True,
        )
        if probe.returncode == 0:
            return candidate
    raise LookupError(f"needs Python {oldest[0]}.{oldest[1]}")


def _candidates() -> Iterator[str]:
    for minor in range(12, 16):
        if (found := shutil.which(f"python3.{minor}")) is not None:
            yield found
    yield from sorted(str(path) for path in Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python"))


_ONE = ("{bin}/python", "-m", "{module}", "work")

PEERS = (
    Peer(
        "Dramatiq", "dramatiq", ("dramatiq[redis]",), "redis",
        (("{bin}/dramatiq", "{module}", "--processes", "2", "--threads", "8", "--queues", "bench"),),
        messages=20_000,
    ),
    Peer(
        "Celery", "celery", ("celery[redis]",), "redis",
        ((
            "{bin}/celery", "-A", "{module}", "worker", "--pool", "prefork", "--concurrency", "2", "--queues", "bench",
            "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR",
        ),),
        messages=10_000,
    ),
    Peer(
        "RQ", "rq", ("rq",), "redis",
        (("{bin}/rq", "worker-pool", "-n", "2", "-w", "rq.worker.SimpleWorker", "-u", "{url}", "-q", "bench"),),
        messages=4_000,
    ),
    Peer(
        "Huey (Redis)", "huey_redis", ("huey[redis]",), "redis",
        (("{bin}/huey_consumer", "{module}.app", "-w", "2", "-k", "process", "-n", "-C", "-q"),),
        messages=20_000,
    ),
    Peer(
        "Huey (SQLite)", "huey_sqlite", ("huey",), "sqlite",
        (("{bin}/huey_consumer", "{module}.app", "-w", "2", "-k", "process", "-n", "-C", "-q", "-d", "0.01"),),
        messages=10_000,
    ),
    Peer("buquet", "buquet", ("buquet",), "s3", (_ONE, _ONE), messages=200, versioned=True),
    Peer("pail (pailq)", "pailq", ("pailq",), "s3", (_ONE, _ONE), messages=150, python=(3, 13)),
    Peer("pawn-queue", "pawn_queue", ("pawn-queue",), "s3", (_ONE, _ONE), messages=150),
    Peer("jqueue", "jqueue", ("jqueue[s3]",), "s3", (_ONE, _ONE), messages=300, python=(3, 12)),
)  # fmt: skip
