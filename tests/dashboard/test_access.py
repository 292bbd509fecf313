from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from s3queue import ConfigError
from s3queue.dashboard import dashboard
from s3queue.dashboard.access import Access, Session, Viewer, digest, is_loopback, read_people, read_token
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.serving import address_of, make_access

TOKEN = "correct horse battery"


def access(**options: object) -> Access:
    return Access(ACTIONS, **options)  # type: ignore[arg-type]


def test_viewer_may_do_what_both_the_role_and_the_dashboard_allow() -> None:
    it = access(allow=["pause"], anybody=Viewer("x", frozenset({"pause", "cancel"})))
    viewer = it.viewer(Session("a"))
    assert viewer is not None
    assert viewer.actions == {"pause"}


def test_nothing_is_allowed_by_default() -> None:
    viewer = access(anybody=Viewer("x", frozenset(ACTIONS))).viewer(Session("a"))
    assert viewer is not None
    assert viewer.actions == frozenset()


def test_an_unknown_action_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match="no action 'pauze'"):
        access(allow=["pauze"])


def test_only_the_right_token_opens_a_session() -> None:
    it = access(tokens={digest(TOKEN): Viewer("anna")})
    assert it.admit(TOKEN + "x") is None
    assert it.admit("") is None
    session = it.admit(TOKEN)
    assert session is not None
    viewer = it.viewer(session)
    assert viewer is not None
    assert viewer.name == "anna"


def test_a_session_without_a_token_is_nobody_where_tokens_decide() -> None:
    it = access(tokens={digest(TOKEN): Viewer("anna")})
    assert it.viewer(Session("a")) is None
    assert it.viewer(Session("a", "no digest of a token")) is None


def test_a_cookie_of_another_dashboard_is_no_session() -> None:
    ours, theirs = access(), access()
    cookie = theirs.cookie(Session("a"))
    assert ours.session(cookie) is None
    assert ours.session(ours.cookie(Session("a"))) == Session("a")
    assert ours.session(ours.cookie(Session("a"))[:-1]) is None


def test_dashboards_with_one_secret_share_their_sessions() -> None:
    one, two = access(secret="s" * 32), access(secret="s" * 32)
    assert two.session(one.cookie(Session("a", "t"))) == Session("a", "t")


def test_a_form_belongs_to_one_browser() -> None:
    it = access()
    token = it.form_token(Session("a"))
    assert it.is_ours(Session("a"), token)
    assert not it.is_ours(Session("b"), token)
    assert not it.is_ours(Session("a"), "")


@pytest.mark.parametrize(
    ("host", "ok"),
    [("localhost:9292", True), ("127.0.0.1", True), ("[::1]:9292", True), ("evil.example:9292", False), ("", False)],
)
def test_a_browser_calls_us_by_a_name_of_this_machine(host: str, ok: bool) -> None:
    assert access(hosts=["localhost", "127.0.0.1", "[::1]"]).knows_host(host) == ok


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("jobs.example", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, is_local: bool) -> None:
    assert is_loopback(host) == is_local


class TestStart:
    def test_beyond_this_machine_a_token_is_demanded(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="everyone who reaches"):
            make_access("0.0.0.0", 9292)
        (tmp_path / "token").write_text(f"{TOKEN}\n")
        made = make_access("0.0.0.0", 9292, token_file=str(tmp_path / "token"))
        assert made.admit(TOKEN) is not None

    def test_a_short_token_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("secret")
        with pytest.raises(ConfigError, match="has 6 characters"):
            read_token(str(tmp_path / "token"))

    def test_a_mounted_dashboard_must_say_who_may_look(self) -> None:
        with pytest.raises(ConfigError, match="who may look"):
            dashboard("memory://")

    @pytest.mark.parametrize("bind", ["9292", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":1"])
    def test_an_address_has_a_host_and_a_port(self, bind: str) -> None:
        with pytest.raises(ConfigError, match="not an address"):
            address_of(bind)

    def test_an_address_may_be_of_ip_version_6(self) -> None:
        assert address_of("[::1]:9292") == ("::1", 9292)


class TestPeople:
    def people(self, folder: Path, text: str) -> dict[str, Viewer]:
        (folder / "people.toml").write_text(text)
        return read_people(str(folder / "people.toml"), ACTIONS)

    def test_roles_are_sets_of_actions(self, tmp_path: Path) -> None:
        told = hashlib.sha256(TOKEN.encode()).hexdigest()
        found = self.people(
            tmp_path,
            f"""
            [roles]
            operator = ["pause", "resume"]
            [[people]]
            name = "anna"
            role = "operator"
            token_sha256 = "{told}"
            [[people]]
            name = "ben"
            role = "viewer"
            token_sha256 = "{told[::-1]}"
            """,
        )
        assert found[told] == Viewer("anna", frozenset({"pause", "resume"}), "operator")
        assert found[told[::-1]] == Viewer("ben", frozenset(), "viewer")

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "names no people"),
            ("[roles]\nx = ['fly']", "no action 'fly'"),
            ("[roles]\nx = 'pause'", "not a list of action names"),
            ("[tokens]", "unknown tokens"),
            ("[[people]]\nname = 'a'", "a name, a role and a token_sha256"),
            (f"[[people]]\nname = 'a'\nrole = 'boss'\ntoken_sha256 = '{'0' * 64}'", "has the role 'boss'"),
            ("[[people]]\nname = 'a'\nrole = 'viewer'\ntoken_sha256 = 'abc'", "not a SHA-256"),
            (f"[[people]]\nname = 'a'\nrole = 'viewer'\ntoken_sha256 = '{'0' * 64}'\n" * 2, "have the same token"),
            ("[[people", "cannot be read"),
        ],
    )
    def test_a_file_that_says_something_else_is_refused(self, tmp_path: Path, text: str, why: str) -> None:
        with pytest.raises(ConfigError, match=why):
            self.people(tmp_path, text)
