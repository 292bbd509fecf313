"""Run the examples of one page, one after the other, as its reader would: ``python -m tests.docs.page PAGE FOLDER``.

Each page has a process of its own, in an empty folder. Its queue is that of the fixture ``task_queue``: in memory, with
a clock that jumps, where somebody waits for a coordinator one runs. A page that begins its shell with a store of its own
(``export S3QUEUE_STORE_URL=sqlite:///…``) has real processes instead.

| block | what is done with it |
|---|---|
| ``python`` | runs, after the blocks before it; ``await`` may stand outside of a function |
| ``python`` whose first line is ``# name.py`` | becomes that file, and is imported; ``test_….py`` is run by pytest |
| ``pycon`` | runs, and what it prints is compared; ``...`` stands for anything |
| ``sh`` | runs in bash; the variables that it exports stay |
| ``console`` | the lines after ``$`` run; what the page shows of their output is compared, ``…`` stands for anything |
| ``toml``, ``yaml``, ``json`` | is read |

What a page takes from its reader (functions, rows, messages that are there) is in ``readers/``, by the name of the page.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import yaml

from s3queue.config import configured, current_config
from s3queue.testing.plugin.desk import TaskQueue
from tests.deadline import DEADLINE_S
from tests.docs.pages import ROOT, Example, examples

READERS = Path(__file__).parent / "readers"

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
#: Output that differs from run to run, and is not compared.
_ID = re.compile(r"p\d\d~\w+~[\w~.=@-]+~\d+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?")
_FILE = re.compile(r"# ([\w/]+\.py)\b.*\n")


class Failed(Exception):
    """An example does not do what its page says."""


class Reader:
    """Who pastes the examples of one page."""

    def __init__(self, folder: Path, queue: TaskQueue) -> None:
        self.folder, self.queue = folder, queue
        #: What the Python of the page sees. A reader's file may put into ``typed`` what is typed for a placeholder, and
        #: for ``an id``; and it may define ``before`` and ``after``, which are called around each example.
        self.names: dict[str, Any] = {"__name__": "__main__", "task_queue": queue, "typed": {}}
        #: Whether the page's shell named a store of its own.
        self.on_machine = False
        self.hosts: list[subprocess.Popen[bytes]] = []
        #: What the shell has beside this process' environment: a store, and of pytest's plugins ours alone, by its module,
        #: so that it need not be installed.
        self.environ = {
            "S3QUEUE_STORE_URL": f"sqlite:///{folder}/reader.db",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "-p s3queue.testing.plugin -p no:cacheprovider",
        }
        self._loop = asyncio.new_event_loop()

    def prepare(self, page: Path) -> None:
        """Have what the page takes from its reader."""
        name = "_".join(page.relative_to(ROOT).with_suffix("").parts).replace("-", "_")
        file = READERS / f"{name}.py"
        if file.exists():
            self._python(compile(file.read_text("utf-8"), str(file), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))

    def run(self, example: Example) -> None:
        """Do with the example what its language says.

        Raises:
            Failed: it does not do what the page says, or nothing runs its language.
        """
        how: dict[str, Callable[[Example], None]] = {
            "python": self.python,
            "pycon": self.pycon,
            "sh": self.sh,
            "console": self.console,
            "toml": lambda it: _read(tomllib.loads, it),
            "yaml": lambda it: _read(lambda text: list(yaml.safe_load_all(text)), it),
            "json": lambda it: _read(json.loads, it),
        }
        if example.language not in how:
            raise Failed(f"nothing runs a block of {example.language}")
        if before := self.names.get("before"):
            before(example)
        how[example.language](example)
        if after := self.names.get("after"):
            after(example)

    # ---- Python --------------------------------------------------------------------------------------------

    def python(self, example: Example) -> None:
        if (first := _FILE.match(example.source)) is not None:
            return self._file(first.group(1), example.source)
        # As many empty lines before it as the page has, so that a traceback names the page's line.
        source = "\n" * example.line + example.source
        return self._python(compile(source, str(example.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))

    def _python(self, code: CodeType) -> None:
        if code.co_flags & inspect.CO_COROUTINE:
            self._loop.run_until_complete(eval(code, self.names))
        else:
            exec(code, self.names)

    def _file(self, name: str, source: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
        if path.name.startswith("test_"):
            self._shell(f"pytest -q {shlex.quote(name)}")
            return
        module = name.removesuffix(".py").replace("/", ".")
        importlib.invalidate_caches()
        known = sys.modules.get(module)
        made = importlib.reload(known) if known else importlib.import_module(module)
        self.names.update({name: value for name, value in vars(made).items() if not name.startswith("__")})

    def pycon(self, example: Example) -> None:
        test = doctest.DocTestParser().get_doctest(
            example.source, self.names, example.place, str(example.page), example.line
        )
        test.globs = self.names  # the page's, not a copy
        said = io.StringIO()
        doctest.DocTestRunner(_Checker(), optionflags=_FLAGS).run(test, out=said.write, clear_globs=False)
        if said.getvalue():
            raise Failed(said.getvalue())

    # ---- shell ---------------------------------------------------------------------------------------------

    def sh(self, example: Example) -> None:
        self._run(self._typed(example.source))

    def console(self, example: Example) -> None:
        blocks = re.split(r"^\$ ", example.source, flags=re.MULTILINE)
        if blocks[0].strip():
            raise Failed("a console block begins with a line that begins with $")
        for block in blocks[1:]:
            lines = block.splitlines()
            command = [lines.pop(0)]
            while command[-1].endswith("\\") and lines:
                command.append(lines.pop(0).removeprefix("> "))
            shown = "\n".join(lines)
            question = re.search(r"^.*\[y/N\]: y\n?", shown, flags=re.MULTILINE)
            if question:  # which is asked on a terminal
                command[-1] += " --yes"
                shown = shown.replace(question.group(), "")
            got = self._run(self._typed("\n".join(command)))
            if shown.strip():
                _compare(self._typed(shown), got, command[0])

    def _typed(self, text: str) -> str:
        """The text with what a reader types for its placeholders."""
        typed: dict[str, str] = self.names["typed"]
        if an_id := typed.get("an id"):
            text = _ID.sub(an_id, text)
        for placeholder, value in typed.items():
            text = text.replace(placeholder, value)
        return text

    def _run(self, commands: str) -> str:
        """What the commands print."""
        if re.search(r"S3QUEUE_STORE_URL=sqlite", commands):
            self.on_machine = True
        words = shlex.split(commands, comments=True)
        plain = not re.search(r"[|<>&;]", re.sub(r"'[^']*'|\"[^\"]*\"", "", commands))
        if words[:1] == ["s3queue"] and plain and not self.on_machine:
            return "".join(self._command(shlex.split(line)[1:]) for line in _lines(commands))
        return self._shell(commands)

    def _command(self, arguments: list[str]) -> str:
        """One command of s3queue, in this process: its store is the queue in memory."""
        from s3queue.cli import main

        said, status = io.StringIO(), 0
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
        if status:
            raise Failed(f"s3queue {shlex.join(arguments)} ended with status {status}:\n{said.getvalue()}")
        return said.getvalue()

    def _shell(self, commands: str) -> str:
        if commands.startswith("s3queue run ") and "--until-empty" not in commands:
            return self._serve(commands)
        after = self.folder / ".environment"
        script = f"set -euo pipefail\n{commands}\nenv -0 > {shlex.quote(str(after))}\n"
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environ | os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        if ran.returncode:
            raise Failed(f"ended with status {ran.returncode}:\n{commands}\n{ran.stdout}")
        for entry in after.read_text().split("\0"):
            name, _, value = entry.partition("=")
            if name.startswith("S3QUEUE_"):
                os.environ[name] = value
        if self.on_machine:
            from s3queue.config import configure

            configure()
        return ran.stdout

    def _serve(self, command: str) -> str:
        """Start a host in another terminal, until the reader closes it. What it prints until it has nothing to do."""
        from s3queue import stats

        file = self.folder / ".host"
        with file.open("wb") as said:
            host = subprocess.Popen(
                shlex.split(command, comments=True), cwd=self.folder, stdout=said, stderr=subprocess.STDOUT
            )
        self.hosts.append(host)
        while host.poll() is None and not all(
            told.queues and not any(one.ready + one.running + one.waiting for one in told.queues.values())
            for told in (stats(exact=True), stats())  # what is there, and what the coordinator has told of it
        ):
            time.sleep(0.3)
        if host.returncode is not None:
            raise Failed(f"{command} has ended:\n{file.read_text('utf-8')}")
        return file.read_text("utf-8")

    def close(self) -> None:
        """Press Ctrl-C in every other terminal."""
        for host in self.hosts:
            host.send_signal(signal.SIGINT)
        for host in self.hosts:
            host.wait(DEADLINE_S)
        self._loop.close()


def _lines(commands: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", commands)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


class _Checker(doctest.OutputChecker):
    """Ids and times may differ, and ``…`` stands for anything."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        wanted, printed = (_TIME.sub("TIME", _ID.sub("ID", text)).strip() + "\n" for text in (want, got))
        return super().check_output(re.sub(r"\s*…\s*", "...", wanted), printed, optionflags)


def _compare(shown: str, got: str, command: str) -> None:
    if not _Checker().check_output(shown, got, _FLAGS):
        raise Failed(f"$ {command}\nprints\n{got}\nand the page shows\n{shown}")


def _read(parse: Callable[[str], Any], example: Example) -> None:
    try:
        parse(example.source)
    except ValueError as wrong:
        raise Failed(f"this is no {example.language}: {wrong}") from wrong


def main(page: Path, folder: Path) -> None:
    os.chdir(folder)
    logging.getLogger("s3queue").addHandler(logging.NullHandler())  # the logs of tasks are no output of commands
    sys.path.insert(0, str(folder))
    config = current_config().replace(history=None)
    queue = TaskQueue(config)
    with configured(queue.store, config), queue.shown():
        reader = Reader(folder, queue)
        try:
            reader.prepare(page)
            for example in examples(page):
                if example.not_run is None:
                    try:
                        reader.run(example)
                    except BaseException as failure:
                        failure.add_note(f"at {example.place}")
                        raise
        finally:
            reader.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
