"""The same training against an MLflow server on PostgreSQL: what works on one SQLite file must work for a team."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import Python

pytestmark = pytest.mark.slow


def test_a_training_logs_to_a_server_on_postgresql(python: Python, mlflow_server: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    done: subprocess.CompletedProcess[str] = python(
        "-m", "models.train", "credit-trees", "--epochs", "5", "--tracking-uri", mlflow_server, cwd=work
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "models:/credit-trees/1\n"
    assert not list(work.iterdir())
    code = (
        "import json, sys, mlflow, pandas as pd\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "info = mlflow.models.get_model_info(sys.argv[2])\n"
        "run = mlflow.get_run(info.run_id)\n"
        "folder = mlflow.artifacts.download_artifacts(f'runs:/{info.run_id}/audit_data', dst_path='.')\n"
        "roles = json.load(open(f'{folder}/roles.json'))\n"
        "rows = pd.read_parquet(f'{folder}/evaluation.parquet')\n"
        "scores = mlflow.pyfunc.load_model(sys.argv[2]).predict(rows[roles['features']].astype('float64'))\n"
        "print(json.dumps([run.info.status, len(scores), run.data.metrics['evaluation_roc_auc'] > 0.6, info.metadata['outputs']]))\n"
    )
    read = python("-c", code, mlflow_server, "models:/credit-trees/1", cwd=work)
    assert read.returncode == 0, read.stderr
    assert read.stdout.splitlines()[-1] == '["FINISHED", 696, true, "probability"]'
