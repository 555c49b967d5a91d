"""Who may do what, who is refused, and what the log keeps of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard import access, access_log

APP = str(Path(__file__).parent.parent.parent / "dashboard" / "app.py")
PEOPLE = {"vera@example.org": "viewer", "Aud@example.org": "auditor", "app@example.org": "approver"}


@pytest.fixture
def roles(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server with login, and its file of roles."""
    file = home / "roles.toml"
    file.write_text("[roles]\n" + "".join(f'"{who}" = "{role}"\n' for who, role in PEOPLE.items()), "utf-8")
    monkeypatch.setenv(access.VARIABLE, str(file))
    return file


def visit(id_: str = "", **claims: Any) -> AppTest:
    """A visit of somebody; without a name nobody has logged in yet."""
    at = AppTest.from_file(APP, default_timeout=60)
    at.secrets["auth"] = {"cookie_secret": "x" * 20}
    if id_:
        at.user = {"is_logged_in": True, "email": id_, "name": id_.partition("@")[0], "iat": int(time.time())} | claims
    return at


def read(at: AppTest) -> str:
    kinds = ("text", "markdown", "header", "subheader")
    return "\n".join(str(e.value) for kind in kinds for e in getattr(at, kind))


def log() -> list[dict[str, Any]]:
    path = access.log_file()
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def test_without_login_the_one_person_is_the_user_of_the_system(home: Path) -> None:
    st.cache_resource.clear()
    at = AppTest.from_file(APP, default_timeout=60).run().switch_page("views/audit_page.py").run()
    assert not at.exception
    at.run()
    lines = log()
    assert [line.get("page") for line in lines] == ["models", "audit", None], "each once a visit"
    assert {(line["did"], line["who"].partition(":")[0], line["role"]) for line in lines} == {("opened", "os", "approver")}
    assert lines[2]["audit"]
    assert len(lines[2]["document"]) == 64
    assert access.log_file().stat().st_mode & 0o077 == 0


def test_before_login_nothing_is_shown_and_roles_are_what_the_file_says_now(roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    monkeypatch.setattr(access, "can_log_in", lambda: True)
    at = visit().run()
    assert [b.label for b in at.button] == ["Log in"]
    assert not at.dataframe
    assert log() == []
    stranger = visit("eve@example.org").run()
    assert "You are logged in as eve@example.org and have no role here." in read(stranger)
    assert not stranger.dataframe
    vera = visit("Vera@Example.org").run()
    assert len(vera.dataframe[0].value) == 2
    assert "Vera · viewer" in read(vera)
    roles.write_text('[roles]\n"app@example.org" = "approver"\n', "utf-8")
    assert not vera.run().dataframe, "a role that was taken away is gone at the next click"
    assert [(line["did"], line["who"], line["role"]) for line in log()] == [
        ("refused", "eve@example.org", None),
        ("opened", "Vera@Example.org", "viewer"),
        ("refused", "Vera@Example.org", None),
    ]


def test_an_identity_that_is_not_sure_gives_no_role(roles: Path) -> None:
    at = visit("app@example.org", email_verified=False).run()
    assert "This address was not verified" in read(at)
    assert not at.dataframe
    file = access.role_file()
    now = time.time()
    assert access.unusable({"iat": now - 3600 * 11, "email_verified": True}, file, now) is None
    for claims in ({"iat": now - 3600 * 13}, {"iat": None}, {"iat": "now"}, {}):
        assert access.unusable(claims, file, now) == "You logged in too long ago: log out and in again."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[roles",
        '[roles]\n"a" = "admin"',
        "roles = 1",
        '[roles]\n"a@b" = "viewer"\n"A@b" = "approver"',
        'hours = 0\n[roles]\n"a" = "viewer"',
        'other = 1\n[roles]\n"a" = "viewer"',
    ],
)
def test_a_file_of_roles_that_is_not_understood_gives_nobody_a_role(roles: Path, text: str) -> None:
    roles.write_text(text, "utf-8")
    file = access.role_file()
    assert file.fault.startswith(str(roles))
    assert file.roles is None
    roles.unlink()
    assert access.role_file().fault


def test_another_claim_is_compared_letter_by_letter(roles: Path) -> None:
    roles.write_text('claim = "sub"\nhours = 1\n[roles]\nAbc = "viewer"\nabc = "approver"\n', "utf-8")
    file = access.role_file()
    assert (file.roles, file.hours) == ({"Abc": "viewer", "abc": "approver"}, 1.0)
    assert access.unusable({"iat": 0.0, "email_verified": False}, file, 3600.0) is None, "the address says nothing here"
    assert access.unusable({"iat": 0.0}, file, 3600.1)


@pytest.mark.parametrize(
    ("address", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("localhost", True),
        ("::1", True),
        (None, False),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_what_is_this_machine_alone(address: str | None, alone: bool) -> None:
    assert access.loopback(address) is alone


def test_without_login_nobody_else_is_served(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.refusal() is None
    with monkeypatch.context() as other:
        other.setattr(access, "asked_from", lambda: ("10.0.0.7", {}))
        at = AppTest.from_file(APP, default_timeout=60).run()
        assert "came from another machine" in read(at)
        assert not at.dataframe
    assert access.elsewhere(None, {"X-Forwarded-For": "10.0.0.7"}), "a proxy on this machine that serves others"
    assert not access.elsewhere(None, {"Host": "localhost:8501"})
    with monkeypatch.context() as forgotten:
        forgotten.setenv(access.VARIABLE, "/nowhere")
        assert "nobody can log in" in str(access.refusal())
    for option, value, told in (
        ("server.address", "0.0.0.0", "Without login this is served on this machine alone"),
        ("server.enableXsrfProtection", False, "Protection against forged requests is off"),
    ):
        before = config.get_option(option)
        config.set_option(option, value)
        try:
            assert told in str(access.refusal())
        finally:
            config.set_option(option, before)
    (home / "secrets.toml").write_text("[auth", "utf-8")
    before = config.get_option("secrets.files")
    config.set_option("secrets.files", [str(home / "secrets.toml")])
    try:
        assert "secrets.toml cannot be read" in str(access.refusal())
    finally:
        config.set_option("secrets.files", before)
    assert log() == []


def test_what_each_role_may(roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may = {}
    for role in (*access.ROLES, None):
        monkeypatch.setattr(access, "who", lambda role=role: access.Person("x", "x", role, False))
        may[role] = [action for action in access.LEAST if access.may(action)]
    assert may == {
        "viewer": ["open"],
        "auditor": ["open", "small", "rows", "run"],
        "approver": ["open", "small", "rows", "run", "attest", "sign"],
        None: [],
    }


def test_lines_follow_each_other_and_a_changed_one_shows(tmp_path: Path) -> None:
    path = tmp_path / "state" / "access.jsonl"
    for n in range(4):
        access_log.append(path, {"did": "opened", "who": f"人{n}\n" + "x" * 70_000 * (n == 1)})
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    assert access_log.faults(path) == []
    path.write_bytes(b"".join([lines[0], lines[1].replace(b"opened", b"closed"), *lines[2:]]))
    assert access_log.faults(path) == [3]
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert access_log.faults(path) == [2]
    path.write_bytes(b"".join(lines)[:-10])  # as a power cut leaves it
    access_log.append(path, {"did": "opened"})
    assert access_log.faults(path) == [4], "what was cut short stays, and what comes after it follows from it"
    assert json.loads(path.read_bytes().splitlines()[4])["did"] == "opened"


def test_a_log_that_cannot_be_written_closes_what_needs_it(roles: Path) -> None:
    st.cache_resource.clear()
    access.log_file().mkdir(parents=True)
    at = visit("vera@example.org").run()
    assert "cannot be written" in read(at)
    assert not at.dataframe
    with pytest.raises(OSError, match="access"):
        access_log.append(access.log_file(), {})


def test_a_download_is_recorded_before_it_is_given_and_refused_to_who_lost_the_role(roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vera = access.Person("vera@example.org", "vera", "viewer", False)
    monkeypatch.setattr(access, "who", lambda: vera)
    before: list[int] = []
    make = access.recorded(lambda: bytes(before.append(len(log())) or b"report"), audit="a1", file="report.pdf")
    assert log() == [], "no line for a button"
    assert make() == b"report"
    (line,) = log()
    assert before == [1]
    assert (line["did"], line["who"], line["role"], line["audit"], line["file"]) == ("downloaded", vera.id, "viewer", "a1", "report.pdf")
    roles.write_text('[roles]\n"ann@example.org" = "viewer"\n', "utf-8")
    with pytest.raises(PermissionError, match="taken away"):
        make()
    roles.write_text('[roles]\n"vera@example.org" = "viewer"\n', "utf-8")
    monkeypatch.setattr(access, "log_file", lambda: roles.parent)  # a folder: no line can be written
    with pytest.raises(OSError, match=str(roles.parent)):
        make()


def test_a_viewer_sees_no_group_of_few_people_and_an_auditor_does(roles: Path, home: Path) -> None:
    from dashboard.documents import NAMES

    st.cache_resource.clear()
    seen = {}
    for who in ("vera@example.org", "Aud@example.org"):
        at = visit(who).run().switch_page("views/audit_page.py")
        at.session_state["documents"] = True
        at.query_params["check"] = "fairness.group"
        at.run()
        assert not at.exception
        tables = [str(cell) for frame in at.dataframe for row in frame.value.to_numpy().tolist() for cell in row]
        editions = next(r for r in at.radio if r.label == "Edition").options
        seen[who] = (any("withheld in the public edition" in cell for cell in tables), list(editions))
    assert seen["vera@example.org"] == (True, [NAMES["public"]])
    assert seen["Aud@example.org"] == (False, [NAMES["internal"], NAMES["public"]])
    at = visit("vera@example.org").run().switch_page("views/compare_page.py").run()
    assert "This page asks for the role auditor; yours is viewer." in read(at)
