"""A provider of OpenID Connect for tests: whoever chooses a name on its page is that person."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "witnessmark"


class Provider(ThreadingHTTPServer):
    """Serves discovery, keys, the page that asks who one is, and tokens for the codes that it gave."""

    def __init__(self, people: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.people = people
        self.key = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
        self.codes: dict[str, dict[str, Any]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        home = self.server.address
        if parts.path == "/.well-known/openid-configuration":
            self.answer({
                "issuer": home, "authorization_endpoint": f"{home}/authorize", "token_endpoint": f"{home}/token", "jwks_uri": f"{home}/keys",
                "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
            })  # fmt: skip
        elif parts.path == "/keys":
            self.answer({"keys": [self.server.key.as_dict(private=False)]})
        elif parts.path == "/authorize" and "who" not in asked:
            links = "".join(
                f'<p><a href="/authorize?{parts.query}&{urlencode({"who": name})}">{name}</a></p>' for name in self.server.people
            )
            self.answer(links)
        elif parts.path == "/authorize":
            code = f"code-{len(self.server.codes)}"
            self.server.codes[code] = asked
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = self.server.codes.pop(sent["code"][0])
        assert base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")[0] == CLIENT
        now = int(time.time())
        claims = {
            "iss": self.server.address, "aud": CLIENT, "sub": asked["who"], "iat": now, "exp": now + 3600, "nonce": asked.get("nonce"),
            "email": f"{asked['who'].lower()}@example.org", "email_verified": True, "name": f"{asked['who']} *Example*",
        }  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.server.key)
        self.answer({"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "id_token": token})

    def answer(self, content: object) -> None:
        page = isinstance(content, str)
        data = (str(content) if page else json.dumps(content)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if page else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def providing(people: Sequence[str]) -> Iterator[Provider]:
    """A provider that these people are known to."""
    provider = Provider(people)
    thread = Thread(target=provider.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        provider.server_close()
        thread.join()
