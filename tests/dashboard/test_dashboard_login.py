"""Logging in for real: a browser, the running dashboard, and a provider of OpenID Connect on this machine."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

import pytest
from test_dashboard_browser import ROOT, free_port, wait_for

from dashboard.access import can_log_in

EMAIL = "vera@example.org"


@pytest.fixture
def provider() -> Iterator[str]:
    """A provider whose only person is always logged in."""
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    key, nonces = RSAKey.generate_key(2048, parameters={"kid": "k"}), dict[str, str]()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def answer(self, content: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def do_GET(self) -> None:
            asked = urlparse(self.path)
            if asked.path == "/keys":
                self.answer({"keys": [key.as_dict(private=False)]})
            elif asked.path == "/authorize":
                given = {name: values[0] for name, values in parse_qs(asked.query).items()}
                nonces["code"] = given["nonce"]
                self.send_response(302)
                self.send_header("Location", given["redirect_uri"] + "?" + urlencode({"code": "code", "state": given["state"]}))
                self.end_headers()
            else:
                self.answer(
                    {
                        "issuer": issuer,
                        "authorization_endpoint": f"{issuer}/authorize",
                        "token_endpoint": f"{issuer}/token",
                        "jwks_uri": f"{issuer}/keys",
                        "response_types_supported": ["code"],
                        "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256"],
                    }
                )

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            now = int(time.time())
            claims = {"iss": issuer, "aud": "dashboard", "sub": "1", "iat": now, "exp": now + 600, "nonce": nonces["code"],
                      "email": EMAIL, "email_verified": True, "name": "Vera *Viewer*"}  # fmt: skip
            token = jwt.encode({"alg": "RS256", "kid": "k"}, claims, key)
            self.answer({"access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": token})

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(not can_log_in(), reason="logging in is an extra: pip install 'streamlit[auth]'")
def test_who_logs_in_has_the_role_of_the_file_and_leaves_as_nobody(home: Path, provider: str, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    port = free_port()
    address = f"http://localhost:{port}"
    (home / ".streamlit").mkdir()
    (home / ".streamlit" / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "{address}/oauth2callback"\ncookie_secret = "{"s" * 32}"\nclient_id = "dashboard"\nclient_secret = "x"\n'
        f'server_metadata_url = "{provider}/.well-known/openid-configuration"\n',
        "utf-8",
    )
    (home / "roles.toml").write_text(f'[roles]\n"{EMAIL}" = "viewer"\n', "utf-8")
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py"), "--server.port", str(port)]
    environment = os.environ | {"WITNESSMARK_ROLES": str(home / "roles.toml")}
    server = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        wait_for(f"{address}/_stcore/health", server)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-quic"])
            page = browser.new_page(viewport={"width": 1200, "height": 1200}, locale="en-US")
            page.set_default_timeout(120_000)
            page.goto(address)
            page.get_by_role("button", name="Log in").click()
            page.get_by_text("Vera *Viewer* · viewer").wait_for()
            page.get_by_text("2 of 2 audits.").wait_for()
            page.get_by_role("link", name="Run", exact=True).click()
            page.get_by_text("This page asks for the role auditor; yours is viewer.").wait_for()
            page.get_by_role("button", name="Log out").click()
            page.get_by_text("Log in to see what was audited.").wait_for()
            browser.close()
    finally:
        server.terminate()
        server.wait(30)
    lines = [json.loads(line) for line in (home / "state" / "witnessmark" / "access.jsonl").read_text("utf-8").splitlines()]
    assert [(line["did"], line["who"], line.get("page") or line.get("action")) for line in lines][:3] == [
        ("opened", EMAIL, "models"),
        ("opened", EMAIL, "run"),
        ("refused", EMAIL, "run"),
    ]
