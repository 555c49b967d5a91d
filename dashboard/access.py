"""Who is here and what they may do: OpenID Connect (`st.login`) with roles from a file, or one person on this machine alone.

With `[auth]` in Streamlit's `secrets.toml` everybody logs in, and the file that `WITNESSMARK_ROLES` names says who is what (TOML):

    claim = "email"     # what of the identity names a person (this is the default; "sub" and "oid" never change hands)
    hours = 12          # after so many hours a person logs in again (this is the default)
    [roles]
    "ann@example.org" = "approver"

Who is not listed sees nothing. The file is read on every click, so a role that is taken away is gone at the next one. Without `[auth]` the pages
are served on the loopback address only, and whoever is there is the operating-system user, with every role.
"""

from __future__ import annotations

import getpass
import importlib.util
import ipaddress
import os
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from audit.result import AuditResult
from dashboard import access_log
from dashboard.index import state_file
from dashboard.show import plain, speaker
from reports.speaker import clean, mark

#: What each may do, the next may do too.
ROLES = ("viewer", "auditor", "approver")
NAMES = {"viewer": mark("viewer"), "auditor": mark("auditor"), "approver": mark("approver"), None: mark("no role")}
#: The least role that may do each thing; `small` is to see groups of few people, which the public edition withholds.
LEAST = {"open": "viewer", "small": "auditor", "rows": "auditor", "run": "auditor", "attest": "approver", "sign": "approver"}
VARIABLE = "WITNESSMARK_ROLES"
#: What a proxy adds when it passes somebody else's request on.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


@dataclass(frozen=True)
class Person:
    """Who looks. `id` is the claim that the roles file lists, or the operating-system user; `role` is None for who is not listed."""

    id: str
    name: str
    role: str | None
    local: bool


@dataclass(frozen=True)
class RoleFile:
    """The file of roles, read; where it cannot be, `fault` says why and nobody has one."""

    claim: str = "email"
    hours: float = 12.0
    roles: Mapping[str, str] | None = None
    fault: str = ""

    def key(self, id_: str) -> str:
        """An identity as it is compared: addresses whatever their case."""
        return id_.casefold() if self.claim == "email" else id_


def log_file() -> Path:
    return state_file().with_name("access.jsonl")


def login_is_on() -> bool:
    """Whether `[auth]` is configured."""
    return bool(st.secrets.load_if_toml_exists() and "auth" in st.secrets)


def can_log_in() -> bool:
    """Whether the library that `st.login` needs is there."""
    return importlib.util.find_spec("authlib") is not None


def who() -> Person:
    """The person of this visit, with the role that the file gives now."""
    if not login_is_on():
        user = getpass.getuser()
        return Person(f"os:{user}", user, ROLES[-1], True)
    claims = st.user.to_dict()
    if not claims.get("is_logged_in"):
        return Person("", "", None, False)
    file = role_file()
    id_ = str(claims.get(file.claim) or "")
    role = None if unusable(claims, file, time.time()) else (file.roles or {}).get(file.key(id_))
    return Person(id_, str(claims.get("name") or id_), role, False)


def unusable(claims: Mapping[str, Any], file: RoleFile, now: float) -> str | None:
    """Why an identity gives no role whatever the file lists, as a template: an address that nobody verified, or a log-in of long ago."""
    if file.claim == "email" and claims.get("email_verified") in (False, "false"):
        return mark("This address was not verified by the service that you logged in with.")
    issued = claims.get("iat")
    if not isinstance(issued, int | float) or now - issued > file.hours * 3600:
        return mark("You logged in too long ago: log out and in again.")
    return None


def role_file() -> RoleFile:
    """The roles that hold now."""
    path = os.environ.get(VARIABLE)
    if not path:
        return RoleFile(fault=f"{VARIABLE} names no file")
    try:
        given = tomllib.loads(Path(path).read_text("utf-8"))
        roles, claim, hours = dict(given.pop("roles")), given.pop("claim", "email"), given.pop("hours", 12.0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return RoleFile(fault=f"{path}: {error}")
    strange = [*given, *(str(r) for r in roles.values() if r not in ROLES)]
    if strange or not isinstance(claim, str) or isinstance(hours, bool) or not isinstance(hours, int | float) or hours <= 0:
        return RoleFile(fault=f"{path}: {strange[0] if strange else 'claim, hours'}")
    read = RoleFile(claim, float(hours))
    keyed = {read.key(id_): role for id_, role in roles.items()}
    return replace(read, roles=keyed) if len(keyed) == len(roles) else RoleFile(fault=f"{path}: one person is listed twice")


def may(action: str) -> bool:
    """Whether this person may do it now."""
    role = who().role
    return role is not None and ROLES.index(role) >= ROLES.index(LEAST[action])


def may_see_rows(document: AuditResult) -> bool:
    """Whether single rows of people may be shown: the plan allowed them, and this person's role does."""
    return document.plan.get("audit", {}).get("rows") is True and may("rows")


def require(action: str, about: str = "") -> Person:
    """The person, who may do it; anybody else sees a plain refusal and nothing after it, and the attempt is in the log."""
    person, say = who(), speaker()
    if not may(action):
        st.header(say.t("You may not do this"))
        plain(
            say.t(
                "This page asks for the role {least}; yours is {role}.", least=say.t(NAMES[LEAST[action]]), role=say.t(NAMES[person.role])
            )
        )
        plain(say.t("The attempt was recorded. Whoever runs this server gives roles."))
        once("refused", action=action, about=about)
        st.stop()
    return person


def record(did: str, **what: object) -> None:
    """One line in the log, on the disk when this returns; OSError where it cannot be written, and then the deed must not be done."""
    person = who()
    access_log.append(log_file(), {"did": did, "who": person.id, "role": person.role} | what)


def once(did: str, **what: object) -> None:
    """A line that a visit leaves once. Where login is on, nothing is shown that cannot be recorded."""
    said = (did, who().id, *sorted((k, str(v)) for k, v in what.items()))
    seen: set[tuple[object, ...]] = st.session_state.setdefault("access.seen", set())
    if said in seen:
        return
    try:
        record(did, **what)
    except OSError as error:
        say = speaker()
        plain(say.t("The log of who opened what cannot be written: {error}", error=str(error)))
        if login_is_on():
            st.stop()
    seen.add(said)


def recorded(make: Callable[[], bytes], **what: object) -> Callable[[], bytes]:
    """`make` for a download button: it runs at the click, when no visit is at hand, so who is here now is remembered.

    The click leaves a line first. Where login is on, nothing is given that cannot be recorded, nor to who has lost the role meanwhile.
    """
    person = who()

    def given() -> bytes:
        file = role_file()
        if not person.local and (file.roles or {}).get(file.key(person.id)) != person.role:
            raise PermissionError("expected the role that this page was shown with, and it was taken away: load the page again")
        try:
            access_log.append(log_file(), {"did": "downloaded", "who": person.id, "role": person.role} | what)
        except OSError:
            if not person.local:  # who is alone on the machine was told of it when the page opened
                raise
        return make()

    return given


def opened(**what: object) -> None:
    """A page, or an audit on it, was opened: a line for each visit that does so."""
    once("opened", **what)


def refusal() -> str | None:
    """Why nobody can be served as this server stands, as a template; None where people can be."""
    if not st.get_option("server.enableXsrfProtection"):
        return mark("Protection against forged requests is off: leave server.enableXsrfProtection on.")
    if login_is_on():
        return None
    if any(Path(p).exists() for p in st.get_option("secrets.files")) and not st.secrets.load_if_toml_exists():
        return mark("secrets.toml cannot be read, so nobody can log in: mend it, or take it away.")
    if os.environ.get(VARIABLE):
        return mark("WITNESSMARK_ROLES names a file of roles and nobody can log in: put [auth] into .streamlit/secrets.toml.")
    if not loopback(st.get_option("server.address")):
        return mark(
            "Without login this is served on this machine alone: start it with --server.address 127.0.0.1, or put [auth] into .streamlit/secrets.toml."
        )
    if elsewhere(*asked_from()):
        return mark("This request came from another machine and nobody can log in here: put [auth] into .streamlit/secrets.toml.")
    return None


def asked_from() -> tuple[str | None, Mapping[str, str]]:
    """The address that this request came from, None for this machine, and its headers."""
    return st.context.ip_address, st.context.headers


def elsewhere(address: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request came from another machine, or through a proxy that serves others."""
    return address is not None or any(headers.get(name) for name in FORWARDED)


def loopback(address: str | None) -> bool:
    """Whether a server at this address is reached from this machine alone; without an address it listens on every one."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def admit() -> None:
    """Let in who may open pages; anybody else sees why not, and what to do."""
    say, why = speaker(), refusal()
    if why is not None:
        st.header(say.t("Nothing is served here"))
        plain(say.t(why))
        st.stop()
    person = who()
    if person.local:
        return
    if not person.id and not st.user.to_dict().get("is_logged_in"):
        st.header("Witnessmark")
        if can_log_in():
            plain(say.t("Log in to see what was audited."))
            st.button(say.t("Log in"), on_click=st.login)
        else:
            plain(say.t("Logging in needs a library that is not installed: pip install 'witnessmark[login]'"))
        st.stop()
    _logged_in(person)


def _logged_in(person: Person) -> None:
    """Who is logged in, the way out, and for who has no role why."""
    say = speaker()
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.text(f"{clean(person.name, 80)} · {say.t(NAMES[person.role])}")
        st.button(say.t("Log out"), on_click=st.logout)
    if person.role is not None:
        return
    file = role_file()
    st.header(say.t("You may not do this"))
    reason = unusable(st.user.to_dict(), file, time.time())
    if file.fault:
        plain(say.t("The file of roles cannot be read: {error}", error=file.fault))
    elif reason:
        plain(say.t(reason))
    else:
        plain(say.t("You are logged in as {id} and have no role here. Whoever runs this server gives roles.", id=person.id))
    once("refused", action="open")
    st.stop()
