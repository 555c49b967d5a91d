"""What a named person says of a control, or of a framework's document as a whole: the entry that `python -m reports.attest` makes, and a line in the log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from audit.errors import AuditError
from audit.signing import key_id, read_private
from dashboard import access, show
from dashboard.store import Entry, document_at
from reports.attest import put
from reports.obligations.attestations import read
from reports.obligations.dossier import Dossier
from reports.obligations.statements import LOOKS
from reports.speaker import Speaker, clean

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Names the private key with which this server signs what is said here (`python -m audit.keygen`).
VARIABLE = "WITNESSMARK_SIGN_KEY"


def attesting(entry: Entry, dossier: Dossier, say: Speaker) -> None:
    """The form for who may attest; for anybody else one line, and a refusal where a link asked for it."""
    st.subheader(say.t("Attest and sign off"))
    told = st.session_state.pop("attest.told", None)
    if told:
        show.plain(told)
    if not access.may("attest"):
        asked = st.query_params.get("control")
        if asked:
            access.once("refused", action="attest", about=asked[:80], audit=entry.key)
            show.plain(say.t("The attempt was recorded. Whoever runs this server gives roles."))
        names = {"least": say.t(access.NAMES["approver"]), "role": say.t(access.NAMES[access.who().role])}
        show.plain(say.t("Only the role {least} attests and signs off; yours is {role}.", **names))
    elif entry.run is not None:
        show.plain(say.t("This audit lies in the MLflow store. Attest it in the folder that audit.run wrote, under audits/ here."))
    else:
        _form(entry, dossier, say)


def signing_key() -> Ed25519PrivateKey | None:
    """The server's key; None where it was given none. AuditError where the file is no such key."""
    named = os.environ.get(VARIABLE)
    return read_private(Path(named)) if named else None


def _form(entry: Entry, dossier: Dossier, say: Speaker) -> None:
    """Who says what, of what; sending it appends one entry that nothing replaces."""
    try:
        key = signing_key()
    except AuditError as error:
        show.plain(say.t("Nothing can be attested: the key that signs entries cannot be used. {error}", error=clean(error, 300)))
        return
    whole, person = dossier.framework.id, access.who()
    names = {whole: say.t("The whole document: sign-off")} | {
        s.control.id: f"{LOOKS[s.state].sign} {say.pair(s.control.section, s.control.called(say.lang))}" for s in dossier.statements
    }
    if st.session_state.get("control") not in names:  # chosen while another framework was shown
        st.session_state.pop("control", None)
    with st.container(width=760):
        control = st.selectbox(
            say.t("What you speak of"), list(names), format_func=lambda c: clean(names[c], 160), key="control", bind="query-params"
        )
        with st.form("attest", border=False, clear_on_submit=False):
            if person.local:
                name = st.text_input(say.t("Your name"), value=person.name)
            else:
                name = person.name if person.name == person.id else f"{person.name} ({person.id})"
                show.plain(say.pair(say.t("Your name"), clean(name, 200)))
            role = st.text_input(say.t("What entitles you to say it, such as your office"), key="attest.office")
            applies = "attested"
            if control != whole:
                told = {"attested": say.t("I attest it"), "not_applicable": say.t("It does not apply here")}
                applies = str(st.radio(say.t("What you say"), list(told), horizontal=True, format_func=told.__getitem__))
            statement = st.text_area(say.t("Your statement"), max_chars=20_000, key="attest.statement")
            has_read = st.checkbox(say.t("I have read what this audit says of it."), key="attest.read")
            if key is None:
                show.plain(say.t("The entry will carry no signature, since this server was given no key: its hash alone shows a change."))
            else:
                show.plain(say.t("This server signs the entry with its key {id}.", id=key_id(key.public_key())[:16]))
            sent = st.form_submit_button(say.t("Sign off") if control == whole else say.t("Attest"))
    if not sent:
        return
    if not (has_read and name.strip() and role.strip() and statement.strip()):
        show.plain(say.t("Nothing was recorded: give name, office and statement, and say that you have read it."))
        return
    _put(entry, dossier, str(control), {"name": name, "role": role, "says": applies, "statement": statement}, key, say)


def _put(entry: Entry, dossier: Dossier, control: str, said: dict[str, str], key: Ed25519PrivateKey | None, say: Speaker) -> None:
    """Into the log first: what cannot be recorded is not done."""
    whole, folder = control == dossier.framework.id, Path(entry.where)
    access.require("sign" if whole else "attest", control)
    try:
        if document_at(folder).digest != dossier.document.digest:
            show.plain(say.t("Nothing was recorded: this audit has changed since the page was drawn. Load the page again."))
            return
        what = {"control": control, "says": said["says"], "name": said["name"], "office": said["role"]}
        access.record("signed" if whole else "attested", audit=entry.key, document=dossier.document.digest, **what)
        put(
            folder,
            control,
            said["statement"],
            name=said["name"],
            role=said["role"],
            says="not_applicable" if said["says"] == "not_applicable" else "attested",
            key=key,
        )
    except (OSError, ValueError, AuditError) as error:
        access.once("not recorded", audit=entry.key, control=control, error=clean(error, 200))
        show.plain(say.t("Nothing was recorded: {error}", error=clean(error, 300)))
        return
    made = read(folder)[-1].entry_sha256
    access.once("recorded", audit=entry.key, control=control, attestation=made)
    st.session_state["attest.told"] = say.t(
        "Recorded. Nothing that was said before is replaced. Keep its hash elsewhere, and nobody can take it away unnoticed: {hash}",
        hash=made,
    )
    for field in ("office", "statement", "read"):  # said once
        st.session_state.pop(f"attest.{field}", None)
    st.rerun()
