"""The dashboard in a browser: Debian's Chromium, driven by Playwright.

Skipped on a desk without Chromium; required where ``CI`` is set. Each test also fails where the browser reports an error or
a breach of the policy for scripts and styles.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from s3queue_backends.memory import MemoryStore
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue
from s3queue.core.records import Tally
from tests.dashboard.conftest import OTHER, TOKEN, Serve, say
from tests.dashboard.serve import Served
from tests.dashboard.test_screens import bury, send
from tests.deadline import DEADLINE_S

pytestmark = pytest.mark.xdist_group("browser")

#: How long a page may take for anything; it only ends a test that would fail. Milliseconds.
_PATIENCE_MS = 60_000
#: Reports breaches of the policy where the page's own errors are.
_WATCH = (
    "addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective + e.blockedURI))"
)
HOSTILE = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture(scope="module")  # its event loop must not outlive these tests
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("required in CI: chromium (apt-get install chromium)", pytrace=False)
        pytest.skip("no chromium; apt-get install chromium")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


Browse = Callable[..., Any]


@pytest.fixture
def browse(chromium: Browser) -> Browse:
    """Open a page; afterwards nothing may have gone wrong in it."""
    errors: list[str] = []
    contexts = []

    @contextmanager
    def open_page(it: Served, *, expected: str = "", **options: Any) -> Iterator[Page]:
        context = chromium.new_context(base_url=it.url, **options)
        context.set_default_timeout(_PATIENCE_MS)
        contexts.append(context)
        context.add_init_script(_WATCH)
        page = context.new_page()
        page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda fault: errors.append(str(fault)))
        yield page
        assert page.title() != "hacked"
        unexpected = [error for error in errors if not expected or expected not in error]
        assert unexpected == []
        context.close()

    return open_page


def log_in(page: Page, token: str) -> None:
    page.goto("/")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_obeys_the_policy_and_logs_no_error(
    serve: Serve, store: MemoryStore, browse: Browse, theme: str
) -> None:
    queue = Queue("mail", store)
    died, waits = send(queue, "send", {"user": 7}, {"user": 8})
    (died,) = send(queue, "send", {"user": 7})
    bury(store, died)
    say(store, mail=Tally(ready=2, dead=1, died={"error": 1}, paused=True))
    with browse(serve(allow=["all"], every=0.2), color_scheme=theme) as page:
        for path in ("/", "/queues", "/dead", "/hosts", "/schedules", "/coordinator", "/store", "/works"):
            page.goto(path)
            expect(page.locator("main h1")).to_be_visible()
        for path in (
            "/queues/mail",
            "/queues/mail/messages",
            "/queues/mail/dead",
            "/queues/mail/settings",
            f"/message?id={died}",
        ):
            page.goto(path)
            expect(page.locator("main h1")).to_be_visible()
        page.goto(f"/message?id={waits}")
        expect(page.locator(".state")).to_have_text("ready")


def test_figures_change_while_one_looks_and_rest_while_hidden(serve: Serve, store: MemoryStore, browse: Browse) -> None:
    say(store, mail=Tally(ready=1234))
    it = serve(every=0.1)
    with browse(it) as page:
        page.goto("/")
        expect(page.locator("[data-region=tiles]")).to_contain_text("1,234")
        expect(page.locator("#pulse")).to_contain_text("Live")
        say(store, nonce="later", mail=Tally(ready=5678))
        expect(page.locator("[data-region=tiles]")).to_contain_text("5,678")
        expect(page.locator(".plot canvas").first).to_be_visible()
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        hide += "document.dispatchEvent(new Event('visibilitychange'))"
        page.evaluate(hide % "true")
        expect(page.locator("#pulse")).to_contain_text("Paused")
        say(store, nonce="hidden", mail=Tally(ready=9999))
        page.evaluate(hide % "false")
        expect(page.locator("[data-region=tiles]")).to_contain_text("9,999")


def test_a_hostile_payload_is_shown_as_text(serve: Serve, store: MemoryStore, browse: Browse) -> None:
    queue = Queue("mail", store)
    (died,) = send(queue, HOSTILE, {"text": HOSTILE})
    bury(store, died, f"ValueError: {HOSTILE}")
    say(store, mail=Tally(dead=1, died={HOSTILE: 1}))
    with browse(serve(every=0.2)) as page:
        page.goto("/queues/mail/dead")
        expect(page.locator("#groups td.error")).to_contain_text("<img src=x onerror")
        page.locator("#rows td.id a").click()
        expect(page.locator("pre.payload")).to_contain_text("<script>document.title='hacked'</script>")
        expect(page.locator(".timeline summary")).to_contain_text("<img src=x")
        page.goto("/")
        expect(page.locator("[data-region=causes]")).to_contain_text("<script>")
        expect(page.locator("#pulse")).to_contain_text("Live")


def test_an_operator_pauses_after_a_confirmation(serve: Serve, store: MemoryStore, browse: Browse) -> None:
    say(store, mail=Tally(ready=1))
    with browse(serve(people=True, allow=["pause"], every=0.2)) as page:
        log_in(page, TOKEN)
        page.get_by_role("navigation", name="Screens").get_by_role("link", name="Queues").click()
        page.get_by_role("table").get_by_role("link", name="mail").click()
        page.get_by_role("link", name="Pause…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("s3queue pause mail")
        dialog.get_by_role("button", name="Pause").click()
        expect(dialog).to_contain_text("mail is paused.")
        dialog.get_by_role("link", name="Close").click()
        expect(dialog).to_be_hidden()


JOBS = """
import s3queue
from pathlib import Path

@s3queue.task("mail", max_attempts=1)
def send(user: int) -> None:
    if user < 0:
        raise ValueError(f"no such user: {user}")
    Path("sent.txt").write_text(str(user))
"""


@contextmanager
def host(folder: Path, url: str) -> Iterator[None]:
    """A host that serves what is in `JOBS`, as a person would start it."""
    (folder / "jobs.py").write_text(JOBS)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", "from s3queue.cli import main; main()", "run", "jobs", "--workers", "1", "--store", url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "backends")])},
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def test_a_dead_letter_is_found_edited_redriven_and_watched_to_its_end(
    serve: Serve, browse: Browse, tmp_path: Path
) -> None:
    disk = SqliteStore(str(tmp_path / "jobs.db"))
    queue = Queue("mail", disk)
    send(queue, "send", *({"user": user} for user in (-1, -2, -3)))
    it = serve(people=True, allow=["redrive", "edit"], every=0.2, of=disk)
    with host(tmp_path, disk.url), browse(it) as page:
        log_in(page, TOKEN)
        page.get_by_role("link", name="Dead letters").click()
        expect(page.locator("[data-region=dead] td.bad")).to_have_text("3")
        page.get_by_role("table").get_by_role("link", name="mail").click()
        expect(page.locator("#groups")).to_contain_text("ValueError: no such user: -3")
        expect(page.locator("#groups td.n")).to_have_text("3")
        page.locator("#rows tr", has_text="no such user: -2").locator("td.id a").click()
        expect(page.locator(".state")).to_have_text("dead")

        page.get_by_role("link", name="Edit and redrive").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("textarea")).to_have_value('{\n  "user": -2\n}')
        dialog.locator("textarea").fill('{"user": 7}')
        dialog.get_by_role("button", name="Edit and redrive").click()
        expect(dialog.locator(".work[data-state=done]")).to_contain_text("1 of 1 letters were redriven.")
        with page.expect_navigation():  # the page shows what has changed
            page.keyboard.press("Escape")
        deadline = time.monotonic() + DEADLINE_S
        while page.locator(".state").text_content() != "done":
            assert time.monotonic() < deadline, "it does not come to its end"
            page.wait_for_timeout(100)
            page.reload()
        assert (tmp_path / "sent.txt").read_text() == "7"

        page.goto("/queues/mail/dead")
        expect(page.locator("#rows tbody tr")).to_have_count(2)
        page.get_by_role("link", name="Redrive…").click()
        dialog.get_by_label("Dry run").check()
        dialog.get_by_role("button", name="Redrive").click()
        expect(dialog.locator(".work[data-state=done]")).to_contain_text("2 letters would be redriven")
    disk.close()


def test_a_viewer_is_refused(serve: Serve, store: MemoryStore, browse: Browse) -> None:
    say(store, mail=Tally(ready=1))
    with browse(serve(people=True, allow=["pause"]), expected="403") as page:
        log_in(page, OTHER)
        page.goto("/queues/mail")
        expect(page.get_by_role("link", name="Pause…")).to_have_count(0)
        page.goto("/act/pause?queue=mail")
        expect(page.locator("body")).to_contain_text("Your role (viewer) may not pause")


def test_keys_and_colours_and_a_narrow_screen(serve: Serve, store: MemoryStore, browse: Browse) -> None:
    say(store, mail=Tally(ready=1), images=Tally(ready=2))
    with browse(serve(), viewport={"width": 380, "height": 700}) as page:
        page.goto("/")
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        page.keyboard.press("t")
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.keyboard.press("g")
        page.keyboard.press("q")
        page.wait_for_url("**/queues")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/queues/mail")
        page.keyboard.press("/")
        expect(page.locator("#find")).to_be_focused()
