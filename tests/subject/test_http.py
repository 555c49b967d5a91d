"""A model behind an address: what is sent, what is read, what is tried again, and how little the process that asks may do."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from endpoints import WRONG, Endpoint, endpoint

from audit.errors import AuditError
from audit.subject import endpoint as addresses
from audit.subject.client import Client, WorkerError
from audit.subject.flavors import http
from audit.subject.flavors.answers import read
from audit.subject.flavors.base import ContractError, RefusedError
from audit.subject.frame import Categories, Frame
from audit.subject.launch import Worker, launch

YES = ["no", "yes"]


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    with endpoint() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSES", (0.01, 0.01, 0.01))


def spec(url: str, **more: Any) -> dict[str, Any]:
    return addresses.locate({"uri": url}, None) | {"authorization": None, "timeout": 20.0, "quote": True} | more


def rows(n: int, /, **columns: Any) -> Any:
    """Rows as the worker has them."""
    given = columns or {"a": np.arange(n, dtype=np.float64)}
    return SimpleNamespace(n=n, columns=[(k, v[0] if isinstance(v, tuple) else v, v[1] if isinstance(v, tuple) else None) for k, v in given.items()])  # fmt: skip


@contextmanager
def subject(url: str, **more: Any) -> Iterator[http.Endpoint]:
    made = http.Endpoint({"endpoint": spec(url, **more)})
    made.classes = YES
    try:
        yield made
    finally:
        made.close()


def asked(url: str, given: Any = None, **more: Any) -> Any:
    with subject(url, **more) as asking:
        return asking.predict(rows(4) if given is None else given)


def said(content: Any, n: int, classes: list[str] | None = None) -> Any:
    import json

    return read(json.dumps(content).encode(), n, classes)


# --- what is read ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predictions", "values", "predicted"),
    [
        ([0.25, None, 1], [[0.25], [np.nan], [1]], None),
        ([[0.25, 0.75], [1, 0], None], [[0.25, 0.75], [1, 0], [np.nan, np.nan]], None),
        ([[0.25], [None], [1]], [[0.25], [np.nan], [1]], None),
        (["yes", "no", None], [[1], [0], [-1]], [1, 0, -1]),
        ([["yes"], ["no"], ["perhaps"]], [[1], [0], [-1]], [1, 0, -1]),
        ([{"yes": 0.25, "no": 0.75}] * 3, [[0.75, 0.25]] * 3, None),
        ([{"0": 0.25, "1": 0.75}] * 3, [[0.25, 0.75]] * 3, None),
        ([{"label": "yes", "score": 0.75}] * 3, [[0.75]] * 3, [1, 1, 1]),
        ({"yes": [0.1, 0.2, 0.3], "no": [0.9, 0.8, 0.7]}, [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], None),
        ({"scores": [[0.25, 0.75]] * 3, "label": ["no", "no", "yes"]}, [[0.25, 0.75]] * 3, [0, 0, 1]),
        ([{"p": 0.5}, None, {"p": 0.25}], [[0.5], [np.nan], [0.25]], None),
    ],
)
def test_labels_numbers_lists_and_columns_are_read(predictions: Any, values: Any, predicted: Any) -> None:
    answer = said({"predictions": predictions}, 3, YES)
    np.testing.assert_array_equal(answer.values, np.array(values, dtype=float))
    if predicted is None:
        assert answer.predicted is None
    else:
        np.testing.assert_array_equal(answer.predicted, predicted)


def test_numbers_that_are_labels_beside_a_score() -> None:
    answer = said({"predictions": [{"prediction": 1, "probability": 0.7}, {"prediction": 0, "probability": 0.2}]}, 2, ["0", "1"])
    assert answer.values.tolist() == [[0.7], [0.2]]
    assert answer.predicted.tolist() == [1, 0]


def test_truth_values_are_labels_where_the_classes_say_so_and_numbers_elsewhere() -> None:
    assert said({"predictions": [True, False]}, 2, ["false", "true"]).predicted.tolist() == [1, 0]
    assert said({"predictions": [True, False]}, 2, ["0", "1"]).values.tolist() == [[1], [0]]


def test_what_json_writes_for_no_number_is_undefined() -> None:
    answer = read(b'{"predictions": [NaN, Infinity, 1e999, 0.5]}', 4, None)
    assert np.isfinite(answer.values[:, 0]).tolist() == [False, False, False, True]


def test_every_digit_survives_the_way_there_and_back(server: Endpoint) -> None:
    numbers = np.random.default_rng(0).normal(size=3000) * 10.0 ** np.random.default_rng(1).integers(-300, 300, 3000)
    server.answer = lambda _, data: [row[0] for row in data]
    answer = asked(server.url(), rows(3000, a=numbers))
    assert np.array_equal(answer.values[:, 0], numbers)


@pytest.mark.parametrize("way", WRONG)
def test_a_wrong_answer_is_named_and_never_read_as_another(server: Endpoint, way: str) -> None:
    with pytest.raises(ContractError, match="the endpoint") as caught:
        asked(server.url(way))
    assert caught.value.kind == "contract"
    assert server.seen[way] == 1, "what is wrong is not asked again"
    server.seen[way] = 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"<html>", "not JSON"), (b"[" * 100_000, "not JSON"), (b'{"predictions": [' + b"9" * 5000 + b"]}", "not JSON"), (b"\xff", "not JSON")],
)  # fmt: skip
def test_what_is_no_json_is_said_to_be_none(content: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read(content, 1, None)


# --- what is sent ---------------------------------------------------------------------------------------------------------------------------


def test_rows_are_sent_as_mlflow_wants_them(server: Endpoint) -> None:
    server.requests.clear()
    times = np.array(["2024-02-29T12:30:00", "NaT"], dtype="datetime64[ns]")
    columns = {
        "x": np.array([0.1, np.nan]), "n": np.array([3, -4]), "t": np.array([True, False]),
        "word": (np.array([1, -1], dtype=np.int32), ["a", "ü"]), "when": times,
    }  # fmt: skip
    server.answer = lambda _, data: [0.5] * len(data)
    asked(server.url(), rows(2, **columns), authorization="Bearer t")
    (path, headers, body) = server.requests[0]
    assert body == {
        "dataframe_split": {
            "columns": ["x", "n", "t", "word", "when"],
            "data": [[0.1, 3, True, "ü", "2024-02-29T12:30:00.000000000"], [None, -4, False, None, None]],
        }
    }
    assert path == "/good/invocations"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer t"


def test_many_rows_go_in_pieces_whose_borders_depend_on_the_shape_only(server: Endpoint) -> None:
    server.requests.clear()
    server.answer = lambda _, data: [row[0] for row in data]
    answer = asked(server.url(), rows(25_000))
    assert np.array_equal(answer.values[:, 0], np.arange(25_000))
    assert [len(b["dataframe_split"]["data"]) for _, _, b in server.requests] == [10_000, 10_000, 5_000]
    server.requests.clear()
    asked(server.url(), rows(250, **{f"c{i}": np.zeros(250) for i in range(1000)}))
    assert [len(b["dataframe_split"]["data"]) for _, _, b in server.requests] == [100, 100, 50]


def test_answers_that_change_their_shape_between_requests_are_refused(server: Endpoint) -> None:
    server.answer = lambda _, data: [0.5] * len(data) if data[0][0] == 0 else [[0.5, 0.5]] * len(data)
    with pytest.raises(ContractError, match="another shape"):
        asked(server.url(), rows(10_001))


def test_infinity_is_the_rows_fault(server: Endpoint) -> None:
    with pytest.raises(RefusedError, match="infinite"):
        asked(server.url(), rows(2, a=np.array([1.0, np.inf])))


# --- what goes wrong on the way -------------------------------------------------------------------------------------------------------------


def test_a_server_that_fails_now_and_then_is_asked_again(server: Endpoint) -> None:
    server.answer = lambda _, data: [0.5] * len(data)
    server.seen["flaky"] = 0
    assert asked(server.url("flaky")).values.tolist() == [[0.5]] * 4
    assert server.seen["flaky"] == 3


FAULTS: dict[str, tuple[type[ContractError], str, int]] = {
    "broken": (RefusedError, r"failed 4 times: HTTP 500: out of order", 4),
    "refusing": (RefusedError, r"refused: HTTP 400: the column 'c' is missing", 1),
    "closed": (ContractError, r"refused: HTTP 401: who are you\?", 1),
    "redirect": (ContractError, r"redirects elsewhere \(HTTP 307\)", 1),
    "page": (ContractError, "not JSON", 1),
    "cut": (ContractError, "failed 4 times: the answer was cut off", 4),
    "endless": (ContractError, "longer than 64 MiB", 1),
}


@pytest.mark.parametrize("way", FAULTS)
def test_a_fault_is_told_in_one_line_after_a_bounded_number_of_tries(server: Endpoint, way: str) -> None:
    kind, message, tries = FAULTS[way]
    server.seen.clear()
    with pytest.raises(kind, match=message) as caught:
        asked(server.url(way))
    assert type(caught.value) is kind
    assert server.seen == {way: tries}, "and a redirect is not followed"


@pytest.mark.parametrize("way", ["slow", "trickle"])
def test_no_answer_in_time_is_given_up_however_it_dawdles(server: Endpoint, way: str) -> None:
    began = time.monotonic()
    with pytest.raises(ContractError, match="did not answer within 1 s"):
        asked(server.url(way), timeout=1.0)
    assert time.monotonic() - began < 6, "the server would go on for longer"


def test_nobody_there() -> None:
    with endpoint() as gone:
        url = gone.url()
    with pytest.raises(ContractError, match="failed 4 times: connection refused"):
        asked(url)


def test_a_servers_words_are_repeated_until_it_has_answered_once(server: Endpoint) -> None:
    for quote, words in ((True, "out of order"), (False, r"HTTP 500$")):
        with pytest.raises(RefusedError, match=words):
            asked(server.url("broken"), quote=quote)
    server.answer = lambda _, data: [0.5] * len(data)
    with subject(server.url()) as asking:
        asking.predict(rows(1))
        asking._at["path"] = "/refusing/invocations"
        with pytest.raises(RefusedError, match=r"HTTP 400$"):
            asking.predict(rows(1))


# --- addresses and credentials --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "plain", "secret"),
    [
        ("http://h:1/invocations", "http://h:1/invocations", None),
        ("https://me:p%40ss@h/a/invocations", "https://h/a/invocations", "me:p@ss"),
        ("http://me@h/invocations", "http://h/invocations", "me:"),
        ("http://[::1]:8/invocations", "http://[::1]:8/invocations", None),
    ],
)
def test_credentials_are_parted_from_the_address(address: str, plain: str, secret: str | None) -> None:
    assert addresses.split(address) == (plain, secret)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://u:hidden@h", "names no path"), ("http://h/invocations?key=hidden", "goes on after its path"), ("http://h/x#hidden", "goes on"),
        ("http:///invocations", "no host"), ("http://h:port/invocations", "cannot be read"), ("http://[h/invocations", "cannot be read"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_asked(address: str, message: str) -> None:
    with pytest.raises(AuditError, match=message) as caught:
        addresses.split(address)
    assert "hidden" not in str(caught.value)


def test_tokens_and_passwords_as_headers() -> None:
    assert addresses.authorization(None) is None
    assert addresses.authorization("abc.def") == "Bearer abc.def"
    assert addresses.authorization("Aladdin:open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617, section 2
    with pytest.raises(AuditError, match="no header can carry") as caught:
        addresses.authorization("a\r\nhidden")
    assert "hidden" not in str(caught.value)


def test_a_host_that_is_not_known() -> None:
    with pytest.raises(AuditError, match="is not known"):
        addresses.locate({"uri": "http://nowhere.invalid/invocations"}, None)


# --- the process that asks ------------------------------------------------------------------------------------------------------------------

Start = Callable[..., tuple[Client, Worker]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Start]:
    running: list[tuple[Client, Worker]] = []

    def do(url: str, *, isolation: Any = "required", **more: Any) -> tuple[Client, Worker]:
        worker = launch(tmp_path, addresses.inspection(), trust_pickle=False, isolation=isolation, classes=YES, endpoint=spec(url, **more))
        running.append((Client(worker.socket), worker))
        return running[-1]

    yield do
    for client, worker in running:
        client.close()
        worker.stop()


def test_it_may_connect_to_that_port_and_do_nothing_else(server: Endpoint, begin: Start) -> None:
    server.answer = lambda _, data: [["yes", "no"][int(row[0] > 1)] for row in data]
    client, worker = begin(server.url())
    seen = worker.observed
    assert seen["network"] == f"to TCP port {server.port} only, for the endpoint"
    assert seen["connect to another port"] == "denied"
    assert seen["model code"] == "none runs here"
    assert seen["environment"] == "clean"
    for name in ("read /etc/passwd", "read environment of parent", "list home", "write outside scratch", "write packages", "signal parent", "start a process"):  # fmt: skip
        assert seen[name] == "denied", name
    assert client.describe(timeout=30).kind == "endpoint"
    frame: Frame = {"a": np.arange(3.0), "w": Categories(np.array([0, 0, -1], dtype=np.int32), ("x",))}
    answer = client.predict(frame, timeout=30)
    assert answer.predicted is not None
    assert answer.predicted.tolist() == [1, 1, 0]


def test_unconfined_it_says_that_it_may_connect_anywhere(server: Endpoint, begin: Start) -> None:
    _, worker = begin(server.url(), isolation="none")
    assert worker.observed["network"].startswith("possible: ")
    assert worker.observed["connect to another port"] == "possible"


def test_a_worker_passes_a_refusal_on_with_its_kind(server: Endpoint, begin: Start) -> None:
    client, _ = begin(server.url("refusing"))
    with pytest.raises(WorkerError, match="HTTP 400") as caught:
        client.predict({"a": np.zeros(2)}, timeout=30)
    assert caught.value.kind == "model"


def test_a_certificate_that_this_machine_trusts_and_one_that_it_does_not(
    begin: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *options, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with endpoint(context) as secure:
        unknown, _ = begin(secure.url())
        with pytest.raises(WorkerError, match="certificate is not valid: self-signed certificate"):
            unknown.predict({"a": np.zeros(2)}, timeout=30)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        known, worker = begin(secure.url())
        assert worker.observed["network"] == f"to TCP port {secure.port} only, for the endpoint"
        assert known.predict({"a": np.zeros(2)}, timeout=30).values.tolist() == [[0.5], [0.5]]
