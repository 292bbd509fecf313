"""Access: who may look, and who may use which action.

Closed by default: a viewer may look, and may perform only actions that both the role and the dashboard allow.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from itsdangerous import BadData, URLSafeTimedSerializer

from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from starlette.requests import Request

#: Seconds after which a viewer must log in again: a working day.
SESSION_S = 12 * 3600
#: Characters of the shortest accepted token: 16 letters and digits are 95 bits.
_SHORTEST = 16
_LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")


class Viewer(NamedTuple):
    """A person with access to the dashboard.

    Attributes:
        name: for the audit.
        actions: names of the allowed actions; see `s3queue.dashboard.ACTIONS`.
        role: for the audit.
    """

    name: str
    actions: frozenset[str] = frozenset()
    role: str = ""


#: Returns the viewer who sends a request; None: the sender has no access.
Authenticate: TypeAlias = "Callable[[Request], Viewer | Awaitable[Viewer | None] | None]"


class Session(NamedTuple):
    """The content of a session cookie.

    Attributes:
        id: random; binds the tokens of forms to this browser.
        token: digest of the token of the login; empty where no token is needed.
    """

    id: str
    token: str = ""


class Access:
    """The access rules of one dashboard.

    Args:
        known: names of all actions.
        allow: actions that this dashboard allows to anybody. By default none.
        tokens: viewers by the digest of their token, see `digest`.
        anybody: everyone who reaches the server is this viewer, without a token.
        authenticate: called for each request, instead of tokens.
        hosts: host names that a browser may use; None: any. Protects a server of this machine against pages of other
            sites that point a name of theirs at it (DNS rebinding).
        secret: signs cookies. Random by default, so that a restart ends all sessions. Several processes behind one
            address need the same one.

    Raises:
        ConfigError: there is no such action.
    """

    def __init__(
        self,
        known: Iterable[str],
        *,
        allow: Iterable[str] = (),
        tokens: Mapping[str, Viewer] | None = None,
        anybody: Viewer | None = None,
        authenticate: Authenticate | None = None,
        hosts: Iterable[str] | None = None,
        secret: str | None = None,
    ) -> None:
        self.allowed = chosen(known, allow)
        self.tokens = dict(tokens or {})
        self.anybody, self.authenticate = anybody, authenticate
        self._hosts = None if hosts is None else frozenset(name.lower() for name in hosts)
        self._secret = secret or secrets.token_urlsafe(32)
        self._cookies = URLSafeTimedSerializer(self._secret, salt="s3queue.dashboard.session")

    def narrowed(self, viewer: Viewer) -> Viewer:
        """The viewer, with only the actions that this dashboard allows."""
        return viewer._replace(actions=frozenset(viewer.actions) & self.allowed)

    def knows_host(self, host: str) -> bool:
        """Whether a browser may use this host name."""
        if self._hosts is None:
            return True
        name = host.lower()
        return name in self._hosts or name.rpartition(":")[0] in self._hosts

    # ---- sessions ------------------------------------------------------------------------------------------

    def admit(self, token: str) -> Session | None:
        """A new session for this token. None: no viewer has this token."""
        told = digest(token)
        found = [known for known in self.tokens if hmac.compare_digest(known, told)]
        return Session(secrets.token_urlsafe(16), found[0]) if found else None

    def cookie(self, session: Session) -> str:
        """The signed cookie of a session."""
        return self._cookies.dumps(list(session))

    def session(self, cookie: str) -> Session | None:
        """The session in a cookie. None: we did not sign it within the last `SESSION_S` seconds."""
        try:
            said = self._cookies.loads(cookie, max_age=SESSION_S)
        except BadData:
            return None
        return Session(*said) if isinstance(said, list) and len(said) == 2 else None

    def viewer(self, session: Session) -> Viewer | None:
        """The viewer of a session, where tokens are used. None: its token is no longer valid."""
        known = self.tokens.get(session.token) if session.token else self.anybody
        return None if known is None else self.narrowed(known)

    # ---- forms ---------------------------------------------------------------------------------------------

    def form_token(self, session: Session) -> str:
        """The token that every form of this browser carries. Pages of other sites cannot know it."""
        return hmac.new(self._secret.encode(), f"form {session.id}".encode(), hashlib.sha256).hexdigest()

    def is_ours(self, session: Session, form_token: str) -> bool:
        """Whether this is the form token of the session."""
        return hmac.compare_digest(self.form_token(session).encode(), form_token.encode())


def digest(token: str) -> str:
    """SHA-256 of a token in hex: the only form in which a token is kept. Tokens are random, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def chosen(known: Iterable[str], named: Iterable[str]) -> frozenset[str]:
    """The actions with these names; ``all`` stands for every action. Raises `ConfigError`: there is no such action."""
    every, wanted = frozenset(known), frozenset(named)
    if "all" in wanted:
        return every
    for name in sorted(wanted - every):
        raise ConfigError(f"no action {name!r}", ", ".join(sorted(every)) + ", or all")
    return wanted


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def local_hosts(more: Iterable[str] = ()) -> list[str]:
    """The names of this machine, and further ones."""
    return [*_LOCAL, *more]


def read_token(path: str) -> str:
    """The token in a file.

    Raises:
        ConfigError: the file cannot be read, or the token is too short.
    """
    try:
        token = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"the token in {path} cannot be read: {fault}") from fault
    if len(token) < _SHORTEST:
        raise ConfigError(
            f"the token in {path} has {len(token)} characters", f"at least {_SHORTEST}; openssl rand -hex 16 makes one"
        )
    return token


def read_people(path: str, known: Iterable[str]) -> dict[str, Viewer]:
    """Roles, and people with the digests of their tokens, from a TOML file.

    ::

        [roles]
        operator = ["pause", "resume"]

        [[people]]
        name = "anna"
        role = "operator"           # or viewer, which may only look
        token_sha256 = "…"          # printf %s TOKEN | sha256sum

    Raises:
        ConfigError: it cannot be read, or says something else.
    """
    try:
        said = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as fault:
        raise ConfigError(f"{path} cannot be read: {fault}") from fault
    roles, people = said.pop("roles", {}), said.pop("people", [])
    if said or not isinstance(roles, dict) or not isinstance(people, list):
        raise ConfigError(f"{path}: unknown {', '.join(said) or 'contents'}", "it has [roles] and [[people]]")
    every = tuple(known)
    actions = {"viewer": frozenset[str]()}
    for role, names in roles.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{path}: role {role!r} is not a list of action names", "known: " + ", ".join(every))
        actions[role] = chosen(every, names)
    found: dict[str, Viewer] = {}
    for one in people:
        if not isinstance(one, dict) or set(one) != {"name", "role", "token_sha256"}:
            raise ConfigError(f"{path}: each of [[people]] has a name, a role and a token_sha256, and nothing else")
        name, role, told = str(one["name"]), str(one["role"]), str(one["token_sha256"]).lower()
        if role not in actions:
            raise ConfigError(f"{path}: {name} has the role {role!r}", "known: " + ", ".join(actions))
        if len(told) != 64 or set(told) - set("0123456789abcdef"):
            raise ConfigError(f"{path}: token_sha256 of {name} is not a SHA-256", "printf %s TOKEN | sha256sum")
        if told in found:
            raise ConfigError(
                f"{path}: {name} and {found[told].name} have the same token", "give each person another one"
            )
        found[told] = Viewer(name, actions[role], role)
    if not found:
        raise ConfigError(f"{path} names no people", "add at least one [[people]]")
    return found
