"""Each flavor, as MLflow stores it, answers in the confined worker with the very bytes that it gives in process."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.explain.parts import Columns
from audit.subject.client import WorkerError
from audit.subject.frame import Categories, Frame, take
from audit.subject.inspect import inspect_model

LIMIT = 120.0
Save = Callable[..., Path]
TREE_TYPES = ["sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def signature(x: Any, y: Any) -> Any:
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return infer_signature(x, y)


def ask(start: Any, path: Path, frame: Frame, **options: Any) -> tuple[Any, Any, Any]:
    client, _ = start(path, **options)
    description = client.describe(timeout=LIMIT)
    answer = client.predict(frame, timeout=LIMIT)
    again = client.predict(take(frame, slice(0, 50)), timeout=LIMIT)  # a smaller call, then the same one: the memory is reused
    assert np.array_equal(client.predict(frame, timeout=LIMIT).values, answer.values)
    assert again.values.shape[0] == 50
    return client, description, answer


def test_reading_skops_loads_no_torch() -> None:
    code = "import sys; from audit.subject.flavors import sklearn; sklearn._import_skops(); print('skops.io' in sys.modules, 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["True", "False"]


def test_pipeline_on_numbers_and_words(save: Save, start: Any, rows: Frame, table: Any, target: Any) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = make_column_transformer(
        (StandardScaler(), ["x0", "x1", "x2", "x3", "whole"]), (OneHotEncoder(handle_unknown="infrequent_if_exist"), ["word"])
    )
    labels = np.where(target == 1, "yes", "no")
    model = make_pipeline(encode, LogisticRegression()).fit(table, labels)
    path = save("sklearn", model, signature=signature(table, labels))
    assert inspect_model(path).load_risk == "data_only"
    _, description, answer = ask(start, path, rows)
    assert np.array_equal(answer.values, model.predict_proba(table))
    assert np.array_equal(np.array(["no", "yes"])[answer.predicted.astype(int)], model.predict(table))
    assert (description.classes, description.kind, description.outputs, description.regression) == (
        ["no", "yes"],
        "estimator",
        "probability",
        False,
    )
    assert description.parameters == len(model[-1].coef_[0]) + 1
    assert description.packages["scikit-learn"]


@pytest.mark.parametrize(
    "kind",
    [
        "RandomForestClassifier",
        "HistGradientBoostingClassifier",
        pytest.param("GradientBoostingClassifier", marks=pytest.mark.slow),
        pytest.param("RandomForestRegressor", marks=pytest.mark.slow),
    ],
)
def test_trees_of_scikit_learn(save: Save, start: Any, numbers: Frame, table: Any, target: Any, kind: str) -> None:
    import sklearn.ensemble

    x = table.drop(columns="word")
    model = getattr(sklearn.ensemble, kind)(random_state=0, **({"max_iter": 10} if kind.startswith("Hist") else {"n_estimators": 8}))
    model.fit(x, target)
    path = save("sklearn", model, signature=signature(x, target.astype(float)), skops_trusted_types=TREE_TYPES)
    client, description, answer = ask(start, path, numbers)
    expected = model.predict(x).reshape(-1, 1) if kind.endswith("Regressor") else model.predict_proba(x)
    assert np.array_equal(answer.values, expected)
    assert np.array_equal(answer.predicted, model.predict(x))
    assert description.regression is kind.endswith("Regressor")
    assert description.parameters is not None
    assert description.methods == ["tree_shap"]
    if kind in ("GradientBoostingClassifier", "RandomForestClassifier"):
        check_tree_shap(client, numbers, margin=None)


def check_tree_shap(
    client: Any, frame: Frame, margin: Any, perturbations: tuple[str, ...] = ("interventional", "tree_path_dependent")
) -> None:
    some, background = take(frame, slice(0, 40)), take(frame, slice(100, 120))
    for perturbation in perturbations:
        found = client.attribute(some, background, method="tree_shap", output=1, perturbation=perturbation, timeout=LIMIT)
        other = client.attribute(some, background, method="tree_shap", output=0, perturbation=perturbation, timeout=LIMIT)
        assert np.allclose(found.values.sum(axis=1) + found.base, found.explained, atol=1e-5)
        assert np.allclose(found.values, -other.values, atol=1e-9)
        assert found.estimand == {"interventional": "background"}.get(perturbation, "path_dependent")
        if margin is not None:
            assert np.allclose(found.explained, margin[:40], atol=1e-6)


def test_xgboost_wrapper_and_booster(save: Save, start: Any, numbers: Frame, table: Any, target: Any) -> None:
    import xgboost

    x = table.drop(columns="word")
    model = xgboost.XGBClassifier(n_estimators=6, n_jobs=1).fit(x, target)
    client, description, answer = ask(start, save("xgboost", model, signature=signature(x, target)), numbers)
    assert np.array_equal(answer.values, model.predict_proba(x).astype(float))
    assert np.array_equal(answer.predicted, model.predict(x))
    assert (description.classes, description.kind, description.outputs) == (["0", "1"], "estimator", "probability")
    check_tree_shap(client, numbers, model.predict(x, output_margin=True))
    booster = model.get_booster()
    _, description, answer = ask(start, save("xgboost", booster, signature=signature(x, target)), numbers)
    assert np.array_equal(answer.values[:, 0], booster.predict(xgboost.DMatrix(x)).astype(float))
    assert (description.kind, description.outputs, description.regression) == ("booster", "probability", False)


def test_lightgbm_wrapper_with_words(save: Save, start: Any, rows: Frame, table: Any, target: Any) -> None:
    import lightgbm

    x = table.astype({"word": "category"})
    model = lightgbm.LGBMClassifier(n_estimators=6, min_data_per_group=5, cat_smooth=1, verbose=-1, n_jobs=1).fit(x, target)
    assert model.feature_importances_[-1] > 0, "the words must matter, or this test shows nothing"
    client, description, answer = ask(start, save("lightgbm", model, signature=signature(table, target)), rows)
    assert np.array_equal(answer.values, model.predict_proba(x))
    assert np.array_equal(answer.predicted, model.predict(x))
    assert description.classes == ["0", "1"]
    check_tree_shap(client, rows, model.predict(x, raw_score=True), ("tree_path_dependent",))
    some, background = take(rows, slice(0, 4)), take(rows, slice(10, 20))
    found = client.attribute(some, background, method="tree_shap", output=1, timeout=LIMIT)
    assert found.estimand == "path_dependent"  # trees that split by categories, and nothing was asked for by name
    with pytest.raises(WorkerError, match="tree_path_dependent"):
        client.attribute(some, background, method="tree_shap", output=1, perturbation="interventional", timeout=LIMIT)


def test_lightgbm_booster_as_text(save: Save, start: Any, numbers: Frame, table: Any, target: Any) -> None:
    import lightgbm

    x = table.drop(columns="word")
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, lightgbm.Dataset(x, target), num_boost_round=6)
    path = save("lightgbm", booster, signature=signature(x, target))
    assert inspect_model(path).serialization == "text"
    client, description, answer = ask(start, path, numbers)
    assert np.array_equal(answer.values[:, 0], booster.predict(x))
    assert (description.kind, description.outputs) == ("booster", "probability")
    check_tree_shap(client, numbers, booster.predict(x, raw_score=True))


def onnx_model(*, mapped: bool) -> Any:
    """Five numbers → a label and two probabilities, as a tensor or as one map per row."""
    import onnx
    from onnx import TensorProto, helper

    weights = np.random.default_rng(3).normal(size=(5, 2)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
        helper.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, [None])]
    if mapped:
        nodes.append(helper.make_node("ZipMap", ["p"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]))
        row = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        outputs.append(helper.make_value_info("probabilities", helper.make_sequence_type_proto(row)))
    else:
        outputs.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 2]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 5])],
        outputs,
        [onnx.numpy_helper.from_array(weights, "W")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=9)


@pytest.mark.parametrize("mapped", [False, True])
def test_onnx(save: Save, start: Any, numbers: Frame, mapped: bool) -> None:
    import onnxruntime

    model = onnx_model(mapped=mapped)
    matrix = np.column_stack([np.asarray(c) for c in numbers.values()]).astype(np.float32)
    path = save("onnx", model, signature=signature(matrix, matrix[:, :2]))
    _, description, answer = ask(start, path, numbers)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    label, scores = session.run(None, {"x": matrix})
    expected = np.array([[row[0], row[1]] for row in scores]) if mapped else scores
    assert np.array_equal(answer.values, expected.astype(float))
    assert np.array_equal(answer.predicted, label)
    assert description.classes == (["0", "1"] if mapped else None)
    assert description.parameters == 10


def torch_net() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)).eval()


WORD_CODES = {"columns": [{"name": "word", "kind": "category", "vocabulary": ["ü", "a"]}]}


def coded(rows: Frame) -> Any:
    """The matrix that the metadata ask for: words by the model's own vocabulary, -1 where it lacks them."""
    word = rows["word"]
    assert isinstance(word, Categories)
    own = np.array([1, -1, 0, -1])[word.codes]
    return np.column_stack([*(np.asarray(c) for n, c in rows.items() if n != "word"), own]).astype(np.float32)


def test_exported_torch_graph(save: Save, start: Any, rows: Frame) -> None:
    import torch

    net, x = torch_net(), coded(rows)
    expected = net(torch.from_numpy(x)).detach().numpy()
    path = save("pytorch", net, signature=signature(x, expected), input_example=x[:4], metadata=WORD_CODES)
    inspection = inspect_model(path)
    assert (inspection.serialization, inspection.load_risk) == ("pt2", "data_only")
    client, description, answer = ask(start, path, rows)
    assert np.array_equal(answer.values, expected.astype(float))
    assert description.flops == 2 * (6 * 16 + 16 * 2)
    assert (description.kind, description.parameters) == ("graph", 6 * 16 + 16 + 16 * 2 + 2)
    assert description.methods == ["integrated_gradients", "gradient_shap", "gradient_x_input"]
    some, background = take(rows, slice(0, 60)), take(rows, slice(60, 62))
    found = client.attribute(some, background, method="integrated_gradients", output=1, timeout=LIMIT)
    gap = np.abs(found.values.sum(axis=1) + found.base - found.explained)
    assert np.allclose(found.explained, expected[:60, 1], atol=1e-6)
    assert (
        np.quantile(gap / np.maximum(np.abs(found.explained - found.base), 0.05 * np.median(np.abs(found.explained - found.base))), 0.95)
        <= 0.01
    )
    assert found.unit == "logit"
    check_mixed(client, take(rows, slice(0, 7)), take(rows, slice(60, 65)))


def check_mixed(client: Any, frame: Frame, background: Frame) -> None:
    """Rows that the worker mixes are answered as those that it is shown."""
    masks = np.random.default_rng(3).random((20, len(frame))) < 0.5
    found = client.mixed(frame, background, masks, timeout=LIMIT)
    shown = [client.predict(Columns(frame, background).mixed(i, masks), timeout=LIMIT).values.reshape(20, 5, -1) for i in range(7)]
    assert found == pytest.approx(np.stack(shown), rel=1e-6, abs=1e-6)


def test_no_path_leads_through_a_category_of_very_many_values(save: Save, start: Any, rows: Frame) -> None:
    net, x = torch_net(), coded(rows)
    for size, expected in ((64, ["integrated_gradients", "gradient_shap", "gradient_x_input"]), (65, [])):
        columns = [{"name": "word", "kind": "category", "vocabulary": ["ü", "a", *map(str, range(size - 2))]}]
        path = save("pytorch", net, signature=signature(x, x[:, :2]), input_example=x[:4], metadata={"columns": columns})
        client, _ = start(path)
        assert client.describe(timeout=LIMIT).methods == expected


def test_a_graph_of_two_named_inputs(save: Save, start: Any, rows: Frame, tmp_path: Path) -> None:
    """A table and a text: 4 numbers and a word; tokens by the tokenizer that came with the model. 2 · (5 + 3) · 2 operations."""
    import torch
    from tokenizers import Tokenizer, models

    class Both(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.decision = torch.nn.Embedding(6, 3), torch.nn.Linear(8, 2)

        def forward(self, table: Any, text: Any) -> Any:
            return self.decision(torch.cat([table, self.tokens(text).mean(dim=1)], dim=1))

    torch.manual_seed(0)
    words, net = {"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3}, Both().eval()
    Tokenizer(models.WordLevel(words, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    table = np.column_stack([*(np.asarray(rows[f"x{i}"]) for i in range(4)), coded(rows)[:, -1]]).astype(np.float32)
    said = Categories(rows["word"].codes, ("a", "b", "no such word"))  # type: ignore[union-attr]
    text = np.array([[2, 0], [3, 0], [1, 0], [0, 0]])[said.codes]
    with torch.inference_mode():
        expected = net(torch.from_numpy(table), torch.from_numpy(text)).numpy()
    columns = [
        *({"name": f"x{i}", "kind": "number", "input": "table"} for i in range(4)), WORD_CODES["columns"][0] | {"input": "table"},
        {"name": "said", "kind": "text", "length": 2, "input": "text"},
    ]  # fmt: skip
    path = save(
        "pytorch", net, signature=signature({"table": table, "text": text}, expected), input_example=[table[:4], text[:4]],
        metadata={"columns": columns}, extra_files=[str(tmp_path / "tokenizer.json")], serialization_format="pt2",
    )  # fmt: skip
    assert inspect_model(path).load_risk == "data_only"
    _, description, answer = ask(start, path, rows | {"said": said})
    assert answer.values == pytest.approx(expected.astype(float), abs=1e-6)
    assert (description.flops, description.methods) == (2 * 8 * 2, [])


def test_text_without_a_vocabulary_is_refused_by_name(save: Save, start: Any, rows: Frame) -> None:
    net, x = torch_net(), coded(rows)
    client, _ = start(save("pytorch", net, signature=signature(x, x[:, :2]), input_example=x[:4]))
    with pytest.raises(WorkerError, match="'word' holds text") as caught:
        client.predict(rows, timeout=LIMIT)
    assert caught.value.kind == "contract"


def test_architecture_is_rebuilt_where_its_entry_point_is_known(save: Save, start: Any, rows: Frame, tmp_path: Path) -> None:
    tabular = pytest.importorskip("models.nets.tabular")
    import torch
    from safetensors.torch import save_file

    columns = [{"name": n, "kind": "number"} for n in rows if n != "word"] + WORD_CODES["columns"]
    config = {"columns": columns, "classes": 2, "network": {"bins": 4, "hidden": [8], "dropout": 0.1}}
    net = tabular.build(config).eval()
    x = coded(rows)
    net.fit(torch.from_numpy(x))
    (tmp_path / "architecture.json").write_text(json.dumps({"name": "tabular", "config": config}))
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    with torch.inference_mode():
        expected = net(torch.from_numpy(x)).numpy()
    extra = [str(tmp_path / "architecture.json"), str(tmp_path / "weights.safetensors")]
    path = save("pytorch", net, signature=signature(x, expected), input_example=x[:4], metadata={"columns": columns}, extra_files=extra)
    client, description, answer = ask(start, path, rows)
    assert description.kind == "module"
    assert description.flops
    assert np.array_equal(answer.values, expected.astype(float))
    check_mixed(client, take(rows, slice(0, 7)), take(rows, slice(60, 65)))


def test_pickled_torch_module_needs_trust(save: Save, start: Any, rows: Frame) -> None:
    import torch

    net, x = torch_net(), coded(rows)
    expected = net(torch.from_numpy(x)).detach().numpy()
    path = save("pytorch", net, serialization_format="pickle", signature=signature(x, expected), metadata=WORD_CODES)
    assert any("torch.nn.modules" in line for line in inspect_model(path).load_evidence)
    _, description, answer = ask(start, path, rows, trust_pickle=True)
    assert description.kind == "module"
    assert np.array_equal(answer.values, expected.astype(float))


@pytest.mark.filterwarnings("ignore")  # MLflow advises type hints
def test_python_function(save: Save, start: Any, numbers: Frame, table: Any) -> None:
    import mlflow.pyfunc

    class Positive(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return (model_input["x0"] + model_input["whole"] > 3).map({True: "yes", False: "no"})

    x = table.drop(columns="word")
    path = save("pyfunc", Positive(), signature=signature(x, ["yes"]))
    _, description, answer = ask(start, path, numbers, trust_pickle=True, classes=["no", "yes"])
    assert np.array_equal(answer.predicted, (x["x0"] + x["whole"] > 3).to_numpy().astype(float))
    assert description.kind == "function"


def test_a_missing_column_is_named(plain: Path, start: Any, numbers: Frame) -> None:
    client, _ = start(plain)
    with pytest.raises(WorkerError, match="'x2'"):
        client.predict({n: c for n, c in numbers.items() if n != "x2"}, timeout=LIMIT)
    with pytest.raises(WorkerError, match="what each column adds") as caught:  # no net, so that it does not mix rows
        client.mixed(take(numbers, slice(0, 2)), take(numbers, slice(2, 4)), np.ones((1, len(numbers)), bool), timeout=LIMIT)
    assert caught.value.kind == "contract"


def test_more_columns_and_another_order_do_not_matter(plain: Path, start: Any, numbers: Frame) -> None:
    client, _ = start(plain)
    expected = client.predict(numbers, timeout=LIMIT).values
    shuffled = {"more": np.zeros(len(expected)), **dict(reversed(list(numbers.items())))}
    assert np.array_equal(client.predict(shuffled, timeout=LIMIT).values, expected)


def test_many_rows_and_one_row(plain: Path, start: Any, numbers: Frame) -> None:
    client, _ = start(plain)
    index = np.arange(65_536) % 400
    many = client.predict(take(numbers, index), timeout=LIMIT).values
    one = client.predict(take(numbers, [5]), timeout=LIMIT).values
    assert many.shape == (65_536, 2)
    assert np.array_equal(many[:400], many[400:800])
    assert np.allclose(one, many[5])
