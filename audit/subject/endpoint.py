"""A model behind MLflow's scoring protocol: its address, what may be known of it, and the credentials, which are written nowhere."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from audit.errors import AuditError
from audit.subject.inspect import Inspection

SCHEMES = ("http://", "https://")
#: A bearer token, or "user:password": a token has no colon (RFC 6750, 2012).
TOKEN = "WITNESSMARK_ENDPOINT_TOKEN"  # noqa: S105 — the name of a variable
UNKNOWN = "the model is behind an address: its files were never seen"
_SAFE = "/%:@!$&'()*+,;=-._~"


def is_address(uri: str) -> bool:
    """Whether a model URI is an address to ask."""
    return uri.lower().startswith(SCHEMES)


def split(address: str) -> tuple[str, str | None]:
    """The address without credentials, which may be written down, and "user:password" where it held them."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise AuditError(f"the endpoint's address cannot be read: {error}", "give http://HOST:PORT/invocations") from None
    user, _, place = parts.netloc.rpartition("@")
    plain = f"{parts.scheme}://{place}{parts.path}"
    if not host:
        raise AuditError("the endpoint's address names no host", "give http://HOST:PORT/invocations")
    if parts.query or parts.fragment:
        raise AuditError(f"the address of the endpoint {plain} goes on after its path", f"end it there; a token goes into {TOKEN}")
    if parts.path in ("", "/"):
        raise AuditError(f"the address {plain} names no path", f"give the whole address, such as {plain.rstrip('/')}/invocations")
    secret = unquote(user) if user else None
    return plain, secret if secret is None or ":" in secret else f"{secret}:"


def authorization(secret: str | None) -> str | None:
    """The header's value for a token, or for "user:password"."""
    if not secret:
        return None
    if ":" in secret:
        return "Basic " + base64.b64encode(secret.encode()).decode()
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise AuditError(f"{TOKEN} holds characters that no header can carry", "give the bare token, or user:password")
    return f"Bearer {secret}"


def locate(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: where the endpoint is, looked up once, so that the process that asks it needs no name service."""
    parts = urlsplit(arguments["uri"])
    secure = parts.scheme == "https"
    host, port = str(parts.hostname), parts.port or (443 if secure else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise AuditError(f"the host {host} of the endpoint is not known: {why}", "check the address and the network") from None
    addresses = list(dict.fromkeys((int(family), str(place[0])) for family, _, _, _, place in found))
    return {"host": host, "port": port, "secure": secure, "path": quote(parts.path, safe=_SAFE), "addresses": addresses} | authorities()


def authorities() -> dict[str, str | None]:
    """Where this machine keeps the certificates that it trusts (SSL_CERT_FILE and SSL_CERT_DIR as OpenSSL reads them)."""
    paths = ssl.get_default_verify_paths()
    file = paths.cafile and os.path.realpath(paths.cafile)
    return {"cafile": file, "capath": paths.capath and str(Path(paths.capath).absolute())}


def inspection() -> Inspection:
    """What is known of a model that is only an address."""
    return Inspection(flavor="http", loader="http", serialization="none", model_file="", files=[], sha256=None, sha256_reason=UNKNOWN)
