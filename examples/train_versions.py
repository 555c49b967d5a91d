"""Two versions of a small model and the people that both are judged on: `python train_versions.py FOLDER STRENGTH`.

Version 1 is in use. Version 2 is trained anew with another strength of the penalty: 0.5 makes it nearly the same, 0.0001 a much worse one.
"""

import os
import sys
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

INPUTS = ["income", "debt", "years_employed"]


def people(n: int, seed: int) -> pd.DataFrame:
    """Made-up borrowers, and whether each of them repaid."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "income": rng.lognormal(10.3, 0.5, n).round(),
            "debt": rng.lognormal(8.5, 1.0, n).round(),
            "years_employed": rng.exponential(6, n).round(1),
            "sex": np.where(rng.random(n) < 0.4, "female", "male"),
        }
    )
    z = 1.5 * (np.log(frame.income) - 10.3) - 1.2 * (np.log(frame.debt) - 8.5) + 0.15 * (frame.years_employed - 6) + 0.4
    frame["repaid"] = np.where(rng.random(n) < 1 / (1 + np.exp(-z)), "yes", "no")
    return frame


def train(known: pd.DataFrame, strength: float, folder: Path) -> None:
    """A logistic regression as MLflow keeps it."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength)).fit(known[INPUTS], known["repaid"])
    signature = infer_signature(known[INPUTS], model.predict(known[INPUTS]))
    mlflow.sklearn.save_model(model, str(folder), signature=signature, pip_requirements=[])


def main(folder: Path, strength: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    known = people(4000, seed=1)
    train(known, 1.0, folder / "version-1")
    train(known, strength, folder / "version-2")
    people(6000, seed=2).to_csv(folder / "people.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
