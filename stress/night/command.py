"""``python -m stress night``: what an operator does who is paged at night, from the first look to the last letter.

5,000 messages: a database that does not answer, a release with a fault, addresses that are wrong, an image that ends every
process that opens it, a mailing that was scheduled by mistake, and a queue that waits until the rest is well. Everything
is found, grouped, stopped, repaired and run again from the command line, the process that runs it again is killed
once, and in the end every message has ended once and nothing is dead.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from s3queue import DeadLetter, Queue
from s3queue.config import Config, configure
from s3queue.operate.inspection import stats
from s3queue.store import ObjectStore, open_store
from s3queue.testing.programs import Unavailable
from stress import stores
from stress.night import jobs
from stress.night.session import Session, Wrong, shown

#: Messages of each task.
CHARGES, MAILS, PAGES, NEWSLETTERS, IMAGES, REPORTS = 1500, 1500, 900, 400, 300, 400
MESSAGES = CHARGES + MAILS + PAGES + NEWSLETTERS + IMAGES + REPORTS
#: Those that die: of every tenth charge and every fifteenth mail; and a page in ten is new.
UNPAID, MISSPELT, DEAD_PAGES = CHARGES // 10, MAILS // 15, PAGES // 2
#: Letters per second: few enough that the redrive of the pages is still under way when it is killed, on a busy machine too.
RATE = 50
_NAMESPACE = "night"


class Night:
    def __init__(self, url: str, folder: Path, say: Callable[[str], None]) -> None:
        self._url, self._folder = url, folder
        self._config = Config(namespace=_NAMESPACE)
        self._store: ObjectStore = open_store(url)
        configure(store=self._store, config=self._config)
        environ = {
            "S3QUEUE_STORE_URL": url,
            "S3QUEUE_NAMESPACE": _NAMESPACE,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "COLUMNS": "110",
            jobs.FOLDER: str(folder),
        }
        self._at = Session(say, environ, folder)
        self._say = say

    def run(self) -> None:
        """
        Raises:
            Wrong: something came of a message that was not to.
        """
        (self._folder / jobs.DOWN).touch()
        self._at.run("pause reports", quiet=True)
        self._send()
        host = self._at.host("stress.night.jobs", "--workers", "3")
        try:
            self._wait_until_all_was_tried()
            self._look()
            self._stop()
            self._repair()
            self._run_again()
            self._see_that_all_is_well()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(host.pid, signal.SIGTERM)
            try:
                host.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(host.pid, signal.SIGKILL)
                host.wait()
            self._store.close()
        self._count()

    # ---- before the page -----------------------------------------------------------------------------------

    def _send(self) -> None:
        jobs.charge.enqueue_many((number,) for number in range(CHARGES))
        jobs.send.enqueue_many((number, f"{number}@{_domain(number)}") for number in range(MAILS))
        jobs.render.enqueue_many((number, _prices(number)) for number in range(PAGES))
        jobs.newsletter.options(delay=6 * 3600).enqueue_many((number,) for number in range(NEWSLETTERS))
        for number in range(IMAGES):
            jobs.resize.enqueue(number)
        jobs.report.enqueue_many((number,) for number in range(REPORTS))

    def _queue(self, name: str) -> Queue:
        return Queue(name, self._store, config=self._config)

    def _wait_until_all_was_tried(self) -> None:
        wanted = {
            "orders": (CHARGES - UNPAID, UNPAID),
            "mail": (MAILS - MISSPELT + PAGES - DEAD_PAGES, MISSPELT + DEAD_PAGES),
            "images": (IMAGES - 1, 1),
        }

        def is_so() -> bool:
            seen = stats(self._store, _NAMESPACE).queues
            return all(name in seen and (seen[name].done, seen[name].dead) == ends for name, ends in wanted.items())

        self._at.wait(is_so, "not everything was tried")

    # ---- the night -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        run, tell = self._at.run, self._at.tell
        tell("02:10. The pager says that messages die. Which ones, and how many?")
        run("stats", lines=16)
        tell("Why do they die?")
        run("dead groups orders")
        run("dead groups mail")
        run("dead groups images")

    def _stop(self) -> None:
        run, tell = self._at.run, self._at.tell
        tell(
            "The database `ledger` does not answer. Pause the orders until it does, so that no more attempts are lost. New"
            " orders can still come in."
        )
        run("pause orders --idle")
        tell("One image kills every process that opens it. Which one?")
        (letter,) = self._queue("images").dead_letters()
        run(f"dead show {letter.id}", lines=9)
        tell("Nobody needs it.")
        run("dead purge images --cause killed --yes")
        tell("Then marketing calls: the newsletter of this morning must not be sent.")
        run("ls mail --state scheduled --task newsletter --limit 1", lines=4)
        run("cancel --queue mail --task newsletter --dry-run")
        run('cancel --queue mail --task newsletter --reason "recalled by marketing" --yes', lines=3)

    def _repair(self) -> None:
        tell = self._at.tell
        tell("A release with a correct `render` is deployed, and the database answers again.")
        (self._folder / jobs.DEPLOYED).touch()
        (self._folder / jobs.DOWN).unlink()
        self._at.run("resume orders")
        tell("Correct the misspelt addresses while redriving: each message runs again with a new payload. In Python:")
        self._say(">>> def spelt(letter):")
        self._say("...     to = letter.payload['to'].replace('@exampel.com', '@example.com')")
        self._say("...     return {**letter.payload, 'to': to}")
        self._say(">>> Queue('mail').redrive(task='send', edit=spelt)")
        self._say(repr(self._queue("mail").redrive(task="send", edit=_spelt)))

    def _run_again(self) -> None:
        tell, mail = self._at.tell, self._queue("mail")
        tell(f"Redrive the pages, {RATE} a second. In the middle of it somebody closes the lid of the laptop:")
        before = _effects(self._folder)["render"]
        again = f"dead redrive mail --task render --rate {RATE} --yes"
        self._at.kill(again, lambda: _effects(self._folder)["render"] > before)

        def left() -> int:
            return sum(1 for _ in mail.dead_letters(task="render"))

        def ran() -> int:
            return _effects(self._folder)["render"] - before

        # A letter is a tombstone soon after its message has run.
        self._at.wait(lambda: ran() + left() == DEAD_PAGES, "what was redriven does not come to its end")
        if not 0 < left() < DEAD_PAGES:
            raise Wrong(f"{left()} letters are left after a redrive that was killed")
        tell("The messages that it had requested have run, and no others. The same command continues with the rest.")
        self._at.run(again, lines=3)
        tell("Then the orders.")
        self._at.run(f"dead redrive orders --cause error --rate {RATE} --yes", lines=3)
        tell("Nothing fails any more, so the reports can run.")
        self._at.run("resume reports")

    def _see_that_all_is_well(self) -> None:
        def is_over() -> bool:
            seen = stats(self._store, _NAMESPACE).queues
            left = sum(one.ready + one.scheduled + one.running + one.waiting + one.dead for one in seen.values())
            return not left and sum(one.done for one in seen.values()) == MESSAGES - NEWSLETTERS - 1

        self._at.wait(is_over, f"it is not over: {stats(self._store, _NAMESPACE).queues}")
        self._at.tell("04:00. Everything is done. Back to bed.")
        self._at.run("stats", lines=16)

    # ---- the verdict ---------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Each message has had its effect once, but for those that were called off, which had none."""
        wanted = Counter(
            {
                "charge": CHARGES,
                "send": MAILS,
                "render": PAGES,
                "resize": IMAGES - 1,
                "report": REPORTS,
                "newsletter": 0,
            }
        )
        lines = (self._folder / "effects").read_text().splitlines()
        twice = [line for line, many in Counter(lines).items() if many > 1]
        if twice or _effects(self._folder) != wanted:
            raise Wrong(f"effects are {_effects(self._folder)}, and {twice[:5]} twice")


def _domain(number: int) -> str:
    return "exampel.com" if number % 15 == 0 else "example.com"


def _prices(number: int) -> dict[str, int]:
    return {"price": 100, "discount": 10} if number % 2 else {"price": 100}


def _spelt(letter: DeadLetter) -> object:
    return {**letter.payload, "to": letter.payload["to"].replace("@exampel.com", "@example.com")}


def _effects(folder: Path) -> Counter[str]:
    effects = folder / "effects"
    return Counter(line.split()[0] for line in effects.read_text().splitlines()) if effects.exists() else Counter()


@click.command("night")
@click.option("--store", default="sqlite", show_default=True, metavar="STORE", help=stores.HELP)
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), help="Write the session there, too.")
def command(store: str, page: Path | None) -> None:
    """Have an operator find, stop, repair and run again what fails of 5,000 messages, and check that each ended once."""
    began, said = time.monotonic(), list[str]()

    def say(line: str) -> None:
        said.append(shown(line))
        click.echo(line)

    with tempfile.TemporaryDirectory(prefix="s3queue-night-") as folder, ExitStack() as stack:
        try:
            url = stack.enter_context(stores.store_url(store, Path(folder)))
        except Unavailable as why:
            raise click.UsageError(str(why)) from None
        Night(url.replace("{n}", "night"), Path(folder), say).run()
    click.echo(f"\nevery message ended once; {time.monotonic() - began:.0f} s")
    if page is not None:
        page.write_text("\n".join(said) + "\n")
