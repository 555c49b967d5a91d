"""What an approver attests and signs on the Compliance page, and what nobody else can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import streamlit as st
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from streamlit.testing.v1 import AppTest
from test_dashboard_access import log, read, visit
from test_dashboard_access import roles as roles

from audit.signing import SignatureError, new_key, opened, read_public
from dashboard import access_log, attesting
from dashboard.access import log_file
from reports.obligations.attestations import attestations


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    st.cache_resource.clear()


def compliance(at: AppTest) -> AppTest:
    at.run().switch_page("views/compliance_page.py").run()
    assert not at.exception
    return at


def say(at: AppTest, statement: str, *, read_it: bool = True) -> None:
    texts = {t.label: t for t in at.text_input}
    texts["What entitles you to say it, such as your office"].set_value("Head of **credit** risk")
    at.text_area[0].set_value(statement)
    if read_it:
        at.checkbox[0].check()
    next(b for b in at.button if b.label in ("Sign off", "Attest")).click().run()
    assert not at.exception


def test_an_approver_attests_a_control_and_signs_the_whole(roles: Path, home: Path) -> None:
    at = compliance(visit("app@example.org", name="<b>Ann</b> Lee"))
    assert "Draft, made by a program" in read(at)
    say(at, "Read and approved.", read_it=False)
    assert "Nothing was recorded: give name" in read(at)
    say(at, "Read and approved.")
    assert "Recorded. Nothing that was said before is replaced." in read(at)
    assert "Draft, made by a program" not in read(at), "a named person has attested the whole"
    at.selectbox(key="control").select_index(1).run()
    control = at.selectbox(key="control").value
    at.radio[-1].set_value("not_applicable")
    say(at, "/etc/passwd")
    shown = [t.value for t in at.text if "<b>Ann</b> Lee (app@example.org)" in t.value]
    assert shown, "names are shown as they are written"
    assert not [m.value for m in at.markdown if "<b>Ann" in m.value.replace("\\<b\\>", "")]
    folder = next(f for f in (home / "audits").iterdir() if (f / "attestations.jsonl").exists())
    one, two = attestations(folder)
    assert (one.name, one.role, one.says, one.holds) == ("<b>Ann</b> Lee (app@example.org)", "Head of **credit** risk", "attested", True)
    assert (two.control, two.says, two.statement, two.file) == (control, "not_applicable", "/etc/passwd", None), "a path is a text here"
    lines = [line for line in log() if line["did"] in ("signed", "attested")]
    assert [(line["did"], line["who"], line["role"], line["control"]) for line in lines] == [
        ("signed", "app@example.org", "approver", one.control),
        ("attested", "app@example.org", "approver", control),
    ]
    assert lines[0]["document"] == json.loads((folder / "audit.json").read_text("utf-8"))["digest"]
    assert access_log.faults(log_file()) == []


def test_a_viewer_and_an_auditor_on_an_approvers_link_are_refused_plainly(roles: Path, home: Path) -> None:
    for who, lang in (("vera@example.org", "en"), ("aud@example.org", "zh")):
        at = visit(who)
        at.session_state["lang"] = lang
        at.query_params["control"] = "art-10"
        compliance(at)
        assert ("Only the role approver attests" if lang == "en" else "只有批准人可以") in read(at)
        assert not at.text_area
        assert not [b for b in at.button if b.label in ("Sign off", "Attest")]
    refused = [line for line in log() if line["did"] == "refused"]
    assert [(line["who"], line["action"], line["about"]) for line in refused] == [
        ("vera@example.org", "attest", "art-10"),
        ("aud@example.org", "attest", "art-10"),
    ]
    assert not list(home.glob("audits/*/attestations.jsonl"))


def test_two_at_once_and_one_whose_role_is_taken_away(roles: Path, home: Path) -> None:
    first, second = compliance(visit("app@example.org")), compliance(visit("app@example.org", name="Bo"))
    say(second, "Second, and sooner.")
    say(first, "First, and later.")
    folder = next(f for f in (home / "audits").iterdir() if (f / "attestations.jsonl").exists())
    assert [a.statement for a in attestations(folder)] == ["Second, and sooner.", "First, and later."]
    roles.write_text('[roles]\n"app@example.org" = "viewer"\n', "utf-8")
    next(b for b in first.button if b.label == "Sign off").click().run()
    assert "Only the role approver attests" in read(first)
    assert len(attestations(folder)) == 2


def test_an_audit_that_changed_meanwhile_is_not_attested(roles: Path, home: Path) -> None:
    at = compliance(visit("app@example.org"))
    for path in home.glob("audits/*/audit.json"):
        path.write_text(path.read_text("utf-8").replace('"digest":"', '"digest":"0', 1), "utf-8")
    say(at, "Read and approved.")
    assert "Nothing was recorded" in read(at)
    assert not list(home.glob("audits/*/attestations.jsonl"))


def test_alone_on_the_machine_a_person_gives_a_name(home: Path) -> None:
    at = compliance(AppTest.from_file(visit()._script_path, default_timeout=60))
    next(t for t in at.text_input if t.label == "Your name").set_value("Ann Lee")
    say(at, "Read and approved.")
    (path,) = home.glob("audits/*/attestations.jsonl")
    assert attestations(path.parent)[0].name == "Ann Lee"
    (line,) = [line for line in log() if line["did"] == "signed"]
    assert (line["name"], line["who"].partition(":")[0]) == ("Ann Lee", "os")


def test_what_is_said_here_is_signed_with_the_servers_key(roles: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public, id_ = new_key()
    file = home / "server.key"
    file.write_bytes(private)
    file.chmod(0o600)
    monkeypatch.setenv(attesting.VARIABLE, str(file))
    at = compliance(visit("app@example.org"))
    assert f"This server signs the entry with its key {id_[:16]}." in read(at)
    say(at, "Read and approved.")
    folder = next(f for f in (home / "audits").iterdir() if (f / "attestations.jsonl").exists())
    (home / "server.pub").write_bytes(public)
    (line,) = (folder / "attestations.jsonl").read_text("utf-8").splitlines()
    assert opened(json.loads(line)["signature"], read_public(home / "server.pub"))
    with pytest.raises(SignatureError):
        opened(json.loads(line)["signature"], other_key(home))


def other_key(home: Path) -> Ed25519PublicKey:
    (home / "other.pub").write_bytes(new_key()[1])
    return read_public(home / "other.pub")


def test_a_key_that_cannot_be_used_lets_nobody_attest(roles: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(attesting.VARIABLE, str(home / "gone.key"))
    at = compliance(visit("app@example.org"))
    assert "Nothing can be attested: the key that signs entries cannot be used." in read(at)
    assert not at.text_area


def test_without_a_key_the_page_says_that_nothing_is_signed(roles: Path, home: Path) -> None:
    assert "The entry will carry no signature" in read(compliance(visit("app@example.org")))
