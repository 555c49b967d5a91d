"""Models as other people log them, trained on Adult: run as a script, `python log_foreign_models.py DATA_FOLDER TRACKING_URI`.

Nothing here knows of Witnessmark: it stands for a team's own training code.
"""

import os
import sys
import warnings

warnings.simplefilter("ignore")
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import torch
import xgboost
from mlflow.models import infer_signature
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
TEXTS = ["workclass", "education", "marital-status", "occupation"]


def log(module, model, name, example, outputs, **more):
    """Log and register one model with the signature of its data."""
    with mlflow.start_run():
        module.log_model(
            model, name=name, registered_model_name=name, signature=infer_signature(example, outputs), pip_requirements=[], **more
        )


class Net(torch.nn.Module):
    """Scales its inputs and returns two logits."""

    def __init__(self, mean, sd):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("sd", sd)
        self.layers = torch.nn.Sequential(torch.nn.Linear(len(mean), 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def forward(self, x):
        return self.layers((x - self.mean) / self.sd)


class Rule(mlflow.pyfunc.PythonModel):
    """A rule of thumb as a plain Python model: a score between 0 and 1."""

    def predict(self, context, model_input, params=None):
        return (model_input["age"] * 0.004 + model_input["education-num"] * 0.02).clip(0, 1).to_numpy()


def onnx_model():
    """The logistic function of one weighted sum."""
    weights = np.array([[0.02], [0], [0.1], [1e-4], [1e-4], [0.01]], dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "b"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["p"]),
    ]
    x, p = (
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 6]),
        helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 1]),
    )
    start = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([-3.5], dtype=np.float32), "b")]
    graph = helper.make_graph(nodes, "g", [x], [p], start)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def main(data, uri):
    mlflow.set_tracking_uri(uri)
    train = pd.read_parquet(f"{data}/adult_train.parquet").sample(8000, random_state=0)
    numbers, income = train[NUMBERS], train["income"]
    rich = (income == ">50K").astype(int)
    columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), TEXTS))
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=300)).fit(train[NUMBERS + TEXTS], income)
    log(mlflow.sklearn, pipeline, "pipeline", train[NUMBERS + TEXTS], income)
    boosted = xgboost.XGBClassifier(n_estimators=30, max_depth=3).fit(numbers, rich)
    log(mlflow.xgboost, boosted, "xgboost", numbers, rich)
    light = lightgbm.LGBMClassifier(n_estimators=30, verbose=-1).fit(numbers, income)
    log(mlflow.lightgbm, light, "lightgbm", numbers, income)
    several = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(numbers, train["relationship"])
    log(mlflow.sklearn, several, "multiclass", numbers, train["relationship"])
    few = numbers.drop(columns="hours-per-week")
    hours = make_pipeline(StandardScaler(), LinearRegression()).fit(few, train["hours-per-week"])
    log(mlflow.sklearn, hours, "regression", few, hours.predict(few))
    tensor = numbers.to_numpy(np.float32)
    torch.manual_seed(0)
    net = Net(torch.from_numpy(tensor.mean(axis=0)), torch.from_numpy(tensor.std(axis=0)))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(torch.from_numpy(tensor)), torch.from_numpy(rich.to_numpy())).backward()
        optimizer.step()
    with mlflow.start_run():
        mlflow.pytorch.log_model(net.eval(), name="net", registered_model_name="net", input_example=tensor[:4], pip_requirements=[])
    log(mlflow.onnx, onnx_model(), "onnx", tensor[:4], np.zeros((4, 1), dtype=np.float32))
    with mlflow.start_run():
        signature = infer_signature(numbers, np.zeros(5))
        mlflow.pyfunc.log_model(python_model=Rule(), name="rule", registered_model_name="rule", signature=signature, pip_requirements=[])


if __name__ == "__main__":
    main(*sys.argv[1:])
