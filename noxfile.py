"""What is done with this project, and how: ``nox -l`` lists it, ``nox -s NAME -- ARGUMENTS`` does it.

Each session has an environment of its own, made from pyproject.toml and nothing else.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = "boto3,minio,obstore,dashboard,django,asgi"


def _group(*names: str) -> list[str]:
    return [package for name in names for package in nox.project.dependency_groups(PYPROJECT, name)]


def _install(session: nox.Session) -> None:
    """The project as it stands, with every store, and what its tests and stress programs need."""
    session.install("-q", "-e", f".[{EXTRAS}]", *_group("test", "servers"))


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, on all processors. Arguments go to pytest, ``-n 0`` runs them in one process."""
    _install(session)
    session.install("-q", *_group("migrate"))
    session.run("python", "-m", "pytest", "-n", "auto", "--dist", "loadgroup", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """The example projects with their tests. Where Python 3.12 or later is on the machine, with it too, and tests/contrib:
    Django 6.0 needs it, the first with its own Tasks framework. Arguments go to pytest."""
    session.install("-q", "-e", f".[{EXTRAS}]", *_group("test"))
    _examples(session, "python")
    newer = _newer_python()
    if newer is None:
        session.warn("no Python 3.12 or later here: Django 6.0 was not tested, only Django 5.2 with django-tasks")
        return
    python = str(Path(session.create_tmp()).resolve() / "newer/bin/python")
    session.run(newer, "-m", "venv", Path(python).parents[1], external=True)
    needed = ["-e", ".[django,asgi,dashboard]", *_group("test")]
    session.run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *needed, external=True)
    session.run(python, "-m", "pytest", "-q", "tests/contrib", *session.posargs, external=True)
    _examples(session, python)


def _examples(session: nox.Session, python: str) -> None:
    for folder in sorted(path.parent for path in Path("examples").glob("*/pytest.ini")):
        with session.chdir(folder):
            session.run(python, "-m", "pytest", "-q", *session.posargs, external=True)


def _newer_python() -> str | None:
    """The newest interpreter of this machine that Django 6.0 runs on, if the one that nox runs on is older."""
    if sys.version_info >= (3, 12):
        return None
    for version in ("3.14", "3.13", "3.12"):
        found = [
            shutil.which(f"python{version}"),
            *glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python")),
        ]
        for path in filter(None, found):
            # A shim of pyenv is there also for versions that are not chosen.
            if subprocess.run([path, "-c", "import venv, ssl"], capture_output=True, check=False).returncode == 0:
                return path
    return None


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and the bans: no clock, randomness, thread, operating system or SDK in the core."""
    session.install("-q", *_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on the library, the backends and the stress programs."""
    session.install("-q", "-e", f".[{EXTRAS}]", *_group("test", "servers", "lint"))
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in docs/_build. Warnings are errors: a dead link, a page that no list names, a broken docstring."""
    session.install("-q", "-e", f".[{EXTRAS},metrics,otel]", *_group("docs"))
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build")


@nox.session
def stress(session: nox.Session) -> None:
    """Simulations, chaos and benchmarks. Arguments go to ``python -m stress``, to ``run`` where they name nothing else;
    without any, a simulation of a minute with all mutants, the night of an operator, and one chaos run."""
    _install(session)
    asked = session.posargs
    if not asked:
        session.run("python", "-m", "stress", "simulate", "--seconds", "60")
        for store in ("sqlite", "seaweedfs"):
            session.run("python", "-m", "stress", "night", "--store", store)
        asked = ["run", "--messages", "2000", "--chaos", "kill,stop,agent,supervisor,operate"]
    elif asked[0].startswith("-"):
        asked = ["run", *asked]
    session.run("python", "-m", "stress", *asked)


@nox.session
def soak(session: nox.Session) -> None:
    """Simulation and chaos for as long as asked: seconds, an hour without any. Further arguments go to the chaos run."""
    seconds, *more = session.posargs or ["3600"]
    half = str(float(seconds) / 2)
    _install(session)
    session.run("python", "-m", "stress", "simulate", "--seconds", half, "--jobs", "2")
    session.run("python", "-m", "stress", "run", "--chaos", "kill,stop,agent,supervisor,operate", "--for", half, *more)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure everything, and write docs/benchmarks.md: an hour or more. Arguments go to ``python -m stress report``."""
    _install(session)
    session.run("python", "-m", "stress", "report", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """s3queue beside the queues that a user would take instead. Arguments go to ``python -m stress peers``."""
    _install(session)
    session.run("python", "-m", "stress", "peers", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Drain a queue while workers are killed, and audit it. Arguments go to ``s3queue demo``."""
    session.install("-q", "-e", f".[{EXTRAS}]")
    session.run("s3queue", "demo", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Two builds make the same wheel; installed with none of its extras where nothing else is, it serves a queue."""
    session.install("-q", "build", "twine")
    with tempfile.TemporaryDirectory() as folder:
        # What git says of the last commit, so that whoever builds this commit gets these bytes.
        epoch = str(session.run("git", "log", "-1", "--format=%ct", external=True, silent=True)).strip()
        made = []
        for name in ("one", "other"):
            place = f"{folder}/{name}"
            session.run("python", "-m", "build", "--outdir", place, ".", silent=True, env={"SOURCE_DATE_EPOCH": epoch})
            made.append(sorted(Path(place).iterdir()))
        if [file.read_bytes() for file in made[0]] != [file.read_bytes() for file in made[1]]:
            session.error("two builds of one commit differ")
        session.run("twine", "check", "--strict", *map(str, made[0]))
        (wheel,) = (file for file in made[0] if file.suffix == ".whl")
        session.run("python", "-m", "venv", f"{folder}/venv")
        python = f"{folder}/venv/bin/python"
        session.run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel), external=True)
        # Away from the source tree, which would be imported instead.
        with session.chdir(folder):
            session.run(python, "-c", "import s3queue; print(s3queue.__version__, s3queue.__file__)", external=True)
            session.run(f"{folder}/venv/bin/s3queue", "demo", "--messages", "50", "--json", external=True)
