"""Bad input: one line that says what is wrong and how to mend it, exit status 2, nothing left behind; what can be handled is handled and told."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from at_terminal import User

SAVE = """
import lightgbm, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
rng = np.random.default_rng(0)
x = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
y = np.where(x["a"] + rng.normal(size=400) > 0, "yes", "no")
model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(x, y)
mlflow.lightgbm.save_model(model, "model", signature=infer_signature(x, y), pip_requirements=[])
"""
ROLES = ["--target", "y", "--positive", "yes", "--favourable", "yes", "--no-log"]
HEADER = "a,b,sex,y\n"


@pytest.fixture(scope="module")
def model(user: User) -> str:
    environment = user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAVE], cwd=user.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return str(user.folder / "model")


def good(rows: int = 300) -> str:
    rng = np.random.default_rng(1)
    lines = [
        f"{a:.4f},{b:.4f},{s},{'yes' if a > 0 else 'no'}"
        for a, b, s in zip(rng.normal(size=rows), rng.normal(size=rows), ["f", "m"] * (rows // 2), strict=True)
    ]
    return HEADER + "\n".join(lines) + "\n"


def refused(user: User, *arguments: str) -> str:
    before = {p.name for p in user.folder.iterdir()} | {"state"}
    done = user.audit(*arguments, "--out", "refused")
    assert done.status == 2, (done.status, done.err)
    assert done.out == ""
    last = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(last) == 1, done.err
    assert " — " in last[0], "what is wrong, and how to mend it"
    assert "Traceback" not in done.err
    assert {p.name for p in user.folder.iterdir()} <= before, "nothing is left behind"
    return last[0]


DATA = {
    "empty file": ("", "empty (0 bytes)"),
    "no rows": (HEADER, "no rows"),
    "doubled column": ("a,b,b,y\n1,2,3,yes\n1,2,3,no\n", "more than once"),
    "missing column": ("a,y\n1,yes\n2,no\n", "'b' is not a column"),
    "one class": (HEADER + "1,2,f,yes\n3,4,m,yes\n", "one value only"),
    "no class": (HEADER + "1,2,f,\n3,4,m,\n", "missing in every row"),
    "unknown label": (HEADER + "1,2,f,yes\n3,4,m,perhaps\n", "does not know: perhaps"),
    "ragged": (HEADER + "1,2,f,yes\n3\n", "cannot read"),
    "texts for numbers": (HEADER + "x,2,f,yes\ny,4,m,no\n", "must hold numbers"),
}


@pytest.mark.parametrize("case", DATA)
def test_data_that_cannot_be_audited(user: User, model: str, case: str, tmp_path: Path) -> None:
    content, said = DATA[case]
    path = tmp_path / "data.csv"
    path.write_text(content)
    assert said in refused(user, model, "--data", str(path), *ROLES)


def test_a_truncated_parquet_file(user: User, model: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": [1.0] * 1000, "b": [2.0] * 1000, "y": ["yes", "no"] * 500}), path)
    path.write_bytes(path.read_bytes()[:-40])
    assert "cannot read" in refused(user, model, "--data", str(path), *ROLES)


OPTIONS = {
    "no data": ([], "no evaluation data was logged"),
    "remote data": (["--data", "s3://bucket/x.parquet"], "remote path"),
    "data that are not there": (["--data", "nowhere.csv"], "no data at"),
    "unknown target": (["--data", "GOOD", "--target", "z"], "'z' is not a column"),
    "unknown sensitive column": (["--data", "GOOD", "--sensitive", "race"], "'race' is not a column"),
    "unknown positive": (["--data", "GOOD", "--positive", "maybe"], "none of the classes"),
    "unknown favourable": (["--data", "GOOD", "--favourable", "maybe"], "none of the classes"),
    "reference that no row has": (["--data", "GOOD", "--sensitive", "sex", "--reference", "sex=x"], "no row has"),
    "time column that is not there": (["--data", "GOOD", "--time", "year"], "'year' is not a column"),
    "time column of names": (["--data", "GOOD", "--time", "sex"], "neither dates nor numbers"),
    "training rows that are not there": (["--data", "GOOD", "--training", "nowhere.csv"], "no data at"),
    "unknown rule": (["--data", "GOOD", "--decision", "best"], "is not known"),
    "unknown check": (["--data", "GOOD", "--checks", "magic"], "no check and no family"),
    "unknown option": (["--data", "GOOD", "--magic"], "--magic"),
    "cluster and independent": (["--data", "GOOD", "--cluster", "sex", "--independent"], "contradict each other"),
    "no cluster column": (["--data", "GOOD", "--cluster", "school"], "'school' is not a column"),
    "cluster is target": (["--data", "GOOD", "--cluster", "y"], "is the target"),
    "no weight column": (["--data", "GOOD", "--weight", "people"], "'people' is not a column"),
    "weights of names": (["--data", "GOOD", "--weight", "sex"], "holds VARCHAR values"),
    "later option": (["--data", "GOOD", "--engine", "ray"], "later version"),
    "a key that is not there": (["--data", "GOOD", "--sign-key", "nowhere.key"], "cannot read the private key"),
    "a key that is none": (["--data", "GOOD", "--sign-key", "GOOD"], "no private key in PEM"),
    "unknown format": (["--data", "GOOD", "--format", "docx"], "docx"),
    "unknown key in the plan": (["--data", "GOOD", "--plan", "PLAN"], "judge.alpha"),
    "store that is not there": (["--data", "GOOD", "--tracking-uri", "sqlite:///none.db", "models:/x/1"], ""),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_cannot_be_carried_out(user: User, model: str, case: str, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(good())
    (tmp_path / "plan.toml").write_text("[judge]\nalpha = 0.1\n")
    options, said = OPTIONS[case]
    places = {"GOOD": str(tmp_path / "good.csv"), "PLAN": str(tmp_path / "plan.toml")}
    options = [places.get(o, o) for o in options]
    if "models:/x/1" in options:
        options.remove("models:/x/1")
        assert "no MLflow store at" in refused(user, "models:/x/1", *options, *ROLES)
        assert not (user.folder / "none.db").exists(), "a mistyped store is not created"
    else:
        assert said in refused(user, model, *(ROLES if "--target" not in options else ["--no-log", "--positive", "yes"]), *options)


def test_a_server_that_does_not_answer_is_given_up_after_bounded_retries(user: User) -> None:
    assert "does not answer" in refused(user, "models:/x/1", "--tracking-uri", "http://127.0.0.1:9", "--no-log")


def test_a_server_that_fails_is_given_up(user: User) -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        refused(user, "models:/x/1", "--tracking-uri", f"http://127.0.0.1:{server.server_port}", "--no-log")
    finally:
        server.shutdown()
        server.server_close()


def test_a_folder_that_holds_something_is_never_overwritten(user: User, model: str, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(good())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    done = user.audit(model, "--data", str(tmp_path / "good.csv"), *ROLES, "--out", str(tmp_path / "out"))
    assert done.status == 2
    assert "not empty" in done.err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_pickle_is_refused_and_named_and_when_trusted_it_stays_confined(user: User, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    folder = tmp_path / "hostile"
    folder.mkdir()
    script = (
        "import pickle, pathlib, sys\n"
        "class Bomb:\n"
        "    def __reduce__(self):\n"
        f"        return (exec, (\"open({str(marker)!r}, 'w').write('x')\",))\n"
        "pathlib.Path(sys.argv[1], 'model.pkl').write_bytes(pickle.dumps(Bomb()))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
        "  sklearn:\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n    sklearn_version: 1.9.1\n"
    )
    (tmp_path / "good.csv").write_text(good())
    arguments = [str(folder), "--data", str(tmp_path / "good.csv"), *ROLES, "--features", "a,b"]
    said = refused(user, *arguments)
    assert "--trust-pickle" in said
    assert "model.pkl" in said
    trusted = user.audit(*arguments, "--trust-pickle", "--out", str(tmp_path / "out"))
    assert trusted.status == 4, trusted.err
    assert {c["status"] for c in trusted.document["checks"]} == {"errored"}
    assert trusted.document["verdict"] == "error"
    assert not marker.exists(), "the payload ran in the worker only, and could not write"


def test_messy_rows_are_handled_and_told(user: User, model: str, tmp_path: Path) -> None:
    lines = good().splitlines()
    lines[1] = "NaN,inf,f,yes"
    lines[2] = "abc,1.0,,no"
    lines[3] = "1.0,1.0,solo,yes"
    lines[4] = "0.5,0.1,m,"
    text = "\n".join(line + ",7,2024-01-01T00:00:00+02:00" if i else line + ",constant,when" for i, line in enumerate(lines))
    reordered = "\n".join(",".join(reversed(line.split(","))) for line in text.splitlines()) + "\n"
    (tmp_path / "messy.csv").write_text(reordered)
    done = user.audit(
        model, "--data", str(tmp_path / "messy.csv"), *ROLES, "--sensitive", "sex", "--sample", "100", "--out", str(tmp_path / "out")
    )
    assert done.status == 0, done.err
    notes = " ".join(done.document["notes"])
    assert "Column a: 1 values are not numbers" in notes
    assert "another order" in notes
    assert "Rows without an outcome: 1" in notes
    assert "unknown for 1 rows" in notes
    groups = {f["slice"]["sex"] for c in done.document["checks"] for f in c["findings"] if set(f["slice"]) == {"sex"}}
    assert {"f", "m", "solo", "(missing)"} <= groups
