"""What a browser, or somebody who is none, may do with a dashboard that is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from s3queue.config import Config
from s3queue.dashboard import Viewer, dashboard
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.guard import COOKIE
from s3queue.dashboard.works import Work
from tests.dashboard.conftest import OTHER, TOKEN, Serve
from tests.dashboard.serve import form_token, served
from tests.deadline import DEADLINE_S

PAGES = ["/", "/queues", "/queues/mail", "/dead", "/hosts", "/schedules", "/coordinator", "/store", "/works"]


def log_in(client: object, token: str) -> object:
    page = client.get("/login")  # type: ignore[attr-defined]
    return client.post("/login", data={"token": token, "form_token": form_token(page.text)})  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/act/pause?queue=mail", "/static/app.js", "/login"])
def test_every_answer_forbids_inline_script_and_frames(serve: Serve, path: str) -> None:
    with serve().client() as client:
        headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_an_unknown_name_of_this_machine_is_refused(serve: Serve) -> None:
    it = serve(hosts=["jobs.example"])
    with it.client() as client:
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        assert client.get("/", headers={"host": "jobs.example"}).status_code == 200


class TestLogin:
    @pytest.mark.parametrize(
        "path", [*PAGES, "/events?view=overview", "/series", "/act/pause?queue=mail", "/message?id=x"]
    )
    def test_nothing_is_shown_without_a_token(self, serve: Serve, path: str) -> None:
        with serve(people=True).client() as client:
            answer = client.get(path)
            assert answer.status_code == 401
            assert "mail" not in answer.text
            page = client.get(path, headers={"accept": "text/html"})
            assert (page.status_code, page.headers["location"]) == (303, "/login")

    def test_a_token_lets_in_and_logging_out_ends_it(self, serve: Serve) -> None:
        with serve(people=True).client() as client:
            answer = log_in(client, TOKEN)
            assert answer.status_code == 303  # type: ignore[attr-defined]
            page = client.get("/")
            assert page.status_code == 200
            assert "olga" in page.text
            client.post("/logout", data={"form_token": form_token(page.text)})
            assert client.get("/").status_code == 401

    def test_a_wrong_token_is_refused_and_told_to_the_audit(self, serve: Serve, tmp_path: Path) -> None:
        with serve(people=True, config=Config(history=str(tmp_path))).client() as client:
            answer = log_in(client, "0123456789abcdef-nobody")
            assert answer.status_code == 403  # type: ignore[attr-defined]
            assert client.get("/").status_code == 401
        (event,) = audit(tmp_path)
        assert event["kind"] == "login_refused"

    def test_the_cookie_is_not_for_scripts_or_other_sites(self, serve: Serve) -> None:
        with serve(people=True).client() as client:
            cookie = log_in(client, TOKEN).headers["set-cookie"]  # type: ignore[attr-defined]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie


def audit(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in folder.glob("dashboard-*.jsonl") for line in file.read_text().splitlines()]


class TestForms:
    """What another site could have a browser send."""

    POSTS = ("/act/pause", "/logout", "/works/x/cancel", "/login")

    @pytest.mark.parametrize("path", POSTS)
    def test_a_form_without_our_token_does_nothing(self, serve: Serve, path: str) -> None:
        with serve(allow=["all"]).client() as client:
            client.get("/")
            assert client.post(path, data={"queue": "mail"}).status_code == 403
            assert client.post(path, data={"queue": "mail", "form_token": "0" * 64}).status_code == 403

    @pytest.mark.parametrize("path", POSTS)
    @pytest.mark.parametrize(
        "headers",
        [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"}],
        ids=["other site", "other host of the site", "other origin"],
    )
    def test_a_form_of_another_site_does_nothing_even_with_our_token(
        self, serve: Serve, path: str, headers: dict[str, str]
    ) -> None:
        with serve(allow=["all"]).client() as client:
            token = form_token(client.get("/act/pause?queue=mail").text)
            answer = client.post(path, data={"queue": "mail", "form_token": token}, headers=headers)
            assert answer.status_code == 403
            assert "another site" in answer.text

    def test_the_token_of_another_browser_does_nothing(self, serve: Serve) -> None:
        it = serve(allow=["all"])
        with it.client() as one, it.client() as two:
            token = form_token(one.get("/act/pause?queue=mail").text)
            two.get("/")
            assert two.post("/act/pause", data={"queue": "mail", "form_token": token}).status_code == 403

    def test_an_action_is_no_get(self, serve: Serve) -> None:
        with serve(allow=["all"]).client() as client:
            assert client.get("/works/x/cancel").status_code == 405
            assert client.request("DELETE", "/act/pause").status_code == 405


class TestRights:
    @pytest.mark.parametrize("name", sorted(ACTIONS))
    def test_nothing_may_be_done_by_default(self, serve: Serve, name: str) -> None:
        it = serve()
        with it.client() as client:
            answer = client.get(f"/act/{name}?queue=mail")
            assert answer.status_code == 403
            session = it.access.session(client.cookies[COOKIE])
            assert session is not None
            token = it.access.form_token(session)
            done = client.post(f"/act/{name}", data={"queue": "mail", "form_token": token})
            assert (done.status_code, "read-only" in done.text) == (403, True)
            assert "Read-only" in client.get("/queues/mail").text
            assert "/act/" not in client.get("/queues/mail").text

    def test_a_viewer_is_refused_what_an_operator_may(self, serve: Serve, tmp_path: Path) -> None:
        it = serve(people=True, allow=["pause"], config=Config(history=str(tmp_path)))
        with it.client() as client:
            log_in(client, OTHER)
            assert "Pause" not in client.get("/queues/mail").text
            answer = client.get("/act/pause?queue=mail")
            assert answer.status_code == 403
            assert "Your role (viewer) may not pause" in answer.text
        (event,) = audit(tmp_path)
        assert (event["who"], event["action"], event["queue"], event["outcome"]) == ("vera", "pause", "mail", "refused")

    def test_a_work_is_ended_only_by_who_may_do_what_it_does(self, serve: Serve, tmp_path: Path) -> None:
        it = serve(people=True, allow=["redrive"], config=Config(history=str(tmp_path)))

        def wait(work: Work) -> str:
            assert work.wait_cancelled(DEADLINE_S)
            return "over"

        work = it.app._desk.works.begin("Redrive: mail", "olga", wait, lambda work, state: None, action="redrive")
        with it.client() as client:
            log_in(client, OTHER)
            page = client.get(f"/works/{work.id}").text
            assert "Stop" not in page
            answer = client.post(f"/works/{work.id}/cancel", data={"form_token": form_token(page)})
            assert (answer.status_code, work.is_cancelled) == (403, False)
        with it.client() as client:
            log_in(client, TOKEN)
            page = client.get(f"/works/{work.id}").text
            assert "Stop" in page
            assert client.post(f"/works/{work.id}/cancel", data={"form_token": form_token(page)}).status_code == 200
        assert work.wait(DEADLINE_S)
        told = [(event["who"], event["action"], event["outcome"]) for event in audit(tmp_path)]
        assert told == [("vera", "cancel_work", "refused"), ("olga", "cancel_work", "done")]


class TestMounted:
    def test_it_works_below_a_path(self, serve: Serve) -> None:
        with serve(prefix="/ops/s3queue").client() as client:
            assert "Path=/ops/s3queue;" in client.get("/ops/s3queue/").headers["set-cookie"]
            for base in ("/ops/s3queue", ""):  # the proxy keeps the prefix, or cuts it off
                page = client.get(f"{base}/queues")
                assert page.status_code == 200
                assert 'href="/ops/s3queue/hosts"' in page.text
                assert 'href="/hosts"' not in page.text
                assert client.get(f"{base}/static/app.js").status_code == 200

    def test_an_application_says_who_may_look(self, store: object) -> None:
        async def who(request: Request) -> Viewer | None:
            name = request.headers.get("x-user")
            return Viewer(name, frozenset({"pause", "cancel"}), "ops") if name else None

        app = dashboard(store, authenticate=who, allow=["pause"])  # type: ignore[arg-type]
        outer = Starlette(routes=[Mount("/queues", app)])
        with served(app, within=outer) as it, it.client() as client:
            assert client.get("/queues/").status_code == 403
            page = client.get("/queues/queues/mail", headers={"x-user": "anna"})
            assert page.status_code == 200
            assert 'href="/queues/act/pause?queue=mail"' in page.text
            assert "May: pause<" in page.text
