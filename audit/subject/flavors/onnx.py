"""ONNX graphs through onnxruntime: one matrix, or one input per column; labels and probabilities, as maps too."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from audit.subject.flavors.base import Answer, ContractError, Subject, labels, numeric
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array, label_text

TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(bool)": np.bool_, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8,
}  # fmt: skip
LABELS = ("tensor(int64)", "tensor(string)", "tensor(int32)")


class Session(Subject):
    """An inference session with one thread."""

    kind = "session"
    packages = ("onnxruntime",)
    size: int | None = None

    def __init__(self, path: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = self._session.get_inputs()
        produced = self._session.get_outputs()
        self._label = next((o.name for o in produced if o.type in LABELS), None)
        scores = [o for o in produced if o.name != self._label]
        self._scores = scores[0].name if scores else None
        self._mapped = bool(scores) and scores[0].type.startswith("seq(map")
        said = str(self._scores).lower()
        self.outputs = (
            "label" if not scores else "probability" if self._mapped or "prob" in said else "logit" if "logit" in said else "unknown"
        )
        if self._label is not None and scores:
            self.regression = False

    def predict(self, rows: Rows) -> Answer:
        """Scores and labels, whichever the graph has."""
        wanted = [name for name in (self._scores, self._label) if name is not None]
        found = dict(zip(wanted, self._session.run(wanted, self._feed(rows)), strict=True))
        scores = None if self._scores is None else self._values(found[self._scores], rows.n)
        predicted = None if self._label is None else labels(found[self._label], self.classes, rows.n)
        if scores is None:
            assert predicted is not None
            return Answer(predicted.reshape(-1, 1), predicted)
        return Answer(scores, predicted)

    def parameters(self) -> int | None:
        """Elements of the graph's initializers, and nodes of its trees; None without the onnx library."""
        return self.size

    def _values(self, raw: Any, n: int) -> Array:
        if not self._mapped:
            return numeric(raw, n)
        keys = list(raw[0]) if raw else []
        if self.classes is None:
            self.classes = [label_text(k) for k in keys]
        return numeric([[row[k] for k in keys] for row in raw], n)

    def _feed(self, rows: Rows) -> dict[str, Any]:
        if len(self._inputs) == 1:
            only = self._inputs[0]
            if only.type == "tensor(string)":
                return {only.name: np.column_stack([_texts(a, v) for _, a, v in rows.columns])}
            matrix = rows.matrix(self._dtype(only))
            shape = only.shape
            inner = [s for s in shape[1:] if isinstance(s, int) and s > 0]
            return {only.name: matrix.reshape(rows.n, *inner) if len(shape) > 2 and len(inner) == len(shape) - 1 else matrix}
        columns = {name: (array, vocabulary) for name, array, vocabulary in rows.columns}
        missing = [i.name for i in self._inputs if i.name not in columns]
        if missing:
            raise ContractError(f"the graph needs the inputs {missing[:5]}, which the rows do not have")
        return {i.name: self._column(i, *columns[i.name], rows.n) for i in self._inputs}

    def _column(self, port: Any, array: Array, vocabulary: list[str] | None, n: int) -> Any:
        if port.type == "tensor(string)":
            column: Array = _texts(array, vocabulary)
        elif vocabulary is not None:
            raise ContractError(f"the input {port.name!r} takes numbers and the rows hold text")
        else:
            column = array.astype(self._dtype(port))
        return column.reshape(n, 1) if len(port.shape) == 2 and column.ndim == 1 else column

    def _dtype(self, port: Any) -> Any:
        if port.type not in TYPES:
            raise ContractError(f"the input {port.name!r} is of type {port.type}, which is not supported")
        return TYPES[port.type]


def _texts(array: Array, vocabulary: list[str] | None) -> Array:
    """Strings (n,), "" where missing."""
    if vocabulary is not None:
        return np.array([*vocabulary, ""], dtype=object)[array]
    return np.array([label_text(v) for v in array], dtype=object)


def load(spec: dict[str, Any]) -> Subject:
    """A session over the graph, with what the graph's own nodes tell of classes and trained numbers."""
    path = os.path.join(spec["root"], spec["model_file"])
    session = Session(path)
    try:
        import onnx
    except ImportError:
        return session
    graph = onnx.load(path, load_external_data=False).graph
    known = {a.name: list(a.ints) or [label_text(v) for v in a.strings] for node in graph.node for a in node.attribute}
    classes = next((v for k, v in known.items() if k.startswith("classlabels_") and v), None)
    session.classes = None if classes is None else [label_text(v) for v in classes]
    nodes = next((len(v) for k, v in known.items() if k == "nodes_nodeids"), 0)
    session.size = sum(int(np.prod(t.dims)) for t in graph.initializer) + nodes or None
    return session
