"""The auditor's end: ask the worker, check what comes back, and copy it. NumPy only; nothing is ever unpickled.

A worker is not believed: kind, rows, columns and length are checked against what was asked before any memory is touched, numbers are
copied out of the shared memory before they are checked, and text is cut down to short printable lines.
"""

from __future__ import annotations

import json
import select
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from audit.subject import wire
from audit.subject.frame import Array, Categories, Frame, rows
from audit.subject.wire import Header, MalformedMessageError, MemoryFile

ErrorKind = Literal["timeout", "died", "memory", "contract", "model"]
KINDS: tuple[ErrorKind, ...] = ("timeout", "died", "memory", "contract", "model")
METHODS = (
    "tree_shap", "integrated_gradients", "gradient_shap", "deep_shap", "lrp", "grad_cam", "gradient_x_input",
    "log_likelihood", "continue", "embedding",
)  # fmt: skip
MAX_COLUMNS = 200_000
MAX_BYTES = 4 << 30
TYPES = {"float64": "<f8", "float32": "<f4", "int64": "<i8", "bool": "|b1", "datetime64[ns]": "<M8[ns]"}


class WorkerError(Exception):
    """The worker could not answer. `message` names types and places, never values of the data."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class Description:
    """What the model says of itself.

    `parameters` counts trained numbers, `outputs` says what `values` of a prediction are, `peak_memory` is in bytes of resident memory and `cpu_seconds` are the process' own, both up to now,
    `flops` counts floating-point operations for one row (a multiply-add is two), None where they cannot be counted; `uncounted` names
    operations of the model that nothing counts.
    """

    classes: list[str] | None
    parameters: int | None
    kind: str
    outputs: str
    regression: bool | None
    methods: list[str]
    packages: dict[str, str]
    load_seconds: float
    peak_memory: int
    flops: float | None = None
    uncounted: tuple[str, ...] = ()
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """`values` float64 (n, k): raw outputs; `predicted` float64 (n,): index into the classes (-1 unknown), or the value itself."""

    values: Array
    predicted: Array | None


@dataclass(frozen=True)
class Attributions:
    """`values` (n, d) over the raw input columns in frame order; values.sum(1) + base ≈ explained, both (n,), in `unit`.

    `estimand`: what is switched off takes the values of the background rows, or goes the ways that the trees' training rows went. `gradients`:
    what a row and a background row took of them, on average; 0 where that is not said.
    """

    values: Array
    base: Array
    explained: Array
    unit: str
    estimand: Literal["background", "path_dependent"] = "background"
    gradients: float = 0.0


class Client:
    """Speaks to one worker over its socket; may be made anew in any process that inherits the descriptor."""

    def __init__(self, fd_or_socket: int | socket.socket) -> None:
        self._files: tuple[MemoryFile, MemoryFile] | None = None
        self._borrowed = isinstance(fd_or_socket, int)
        self._sock = socket.socket(fileno=fd_or_socket) if isinstance(fd_or_socket, int) else fd_or_socket
        self._call = time.monotonic_ns()
        self._description: Description | None = None
        self._columns: int | None = None

    def close(self) -> None:
        """Give the shared memory back; a descriptor that was passed as a number stays open."""
        for file in self._files or ():
            file.close()
        self._files = None
        if self._borrowed and self._sock.fileno() >= 0:
            self._sock.detach()

    def __del__(self) -> None:
        self.close()

    def describe(self, *, timeout: float | None) -> Description:
        """Load the model if that has not happened, and say what it is."""
        if self._description is None:
            _, body = self._ask(wire.DESCRIBE, {}, timeout=timeout)
            self._description = _description(body)
        return self._description

    def usage(self, *, timeout: float | None = None) -> Description:
        """The same, asked anew: what the process has used by now."""
        return _description(self._ask(wire.DESCRIBE, {}, timeout=timeout)[1])

    def predict(self, frame: Frame, *, timeout: float | None = None, randomise: int | None = None) -> Prediction:
        """The model's outputs for n rows, as float64 (n, k), and its own predicted labels.

        `randomise`: a seed with which its weights are drawn again for this call, so that it answers as if it had learned nothing; for models
        that have weights to draw, else a WorkerError of the kind contract.
        """
        n = rows(frame)
        if n == 0:
            return Prediction(np.empty((0, self._columns or 1)), None)
        header, _ = self._ask(wire.PREDICT, {} if randomise is None else {"randomise": randomise}, frame=frame, columns=16, timeout=timeout)
        columns = header.columns
        if self._columns not in (None, columns):
            raise WorkerError("contract", f"the model returned {columns} columns after {self._columns} in an earlier call")
        has_labels = bool(header.flags & wire.PREDICTED)
        flat = self._copied(n * (columns + has_labels))
        predicted = flat[n * columns :] if has_labels else None
        if predicted is not None:
            self._check_labels(predicted)
        self._columns = columns
        return Prediction(flat[: n * columns].reshape(n, columns), predicted)

    def mixed(self, frame: Frame, background: Frame, masks: Array, *, timeout: float | None = None) -> Array:
        """Raw outputs (n, m, b, k) of each of n rows with the columns that each mask (m, columns) keeps, the others those of each of b rows.

        For models whose first layer tells what each column adds, else a WorkerError of the kind contract. The rows are mixed beside the model: this is
        its testimony, to be held against `predict`. Only numbers are taken.
        """
        n, b = rows(frame), rows(background)
        kept: Frame = {"kept": np.ascontiguousarray(masks, dtype=bool)}
        header, _ = self._ask(
            wire.MIX, {}, frame=frame, background=background, masks=kept, answers=n * len(masks) * b, columns=16, timeout=timeout
        )
        if self._columns not in (None, header.columns):
            raise WorkerError("contract", f"the model returned {header.columns} columns after {self._columns} in an earlier call")
        values = self._copied(header.rows * header.columns)
        if not np.isfinite(values).all():
            raise WorkerError("contract", "the model's answers about mixed rows are not all numbers")
        return values.reshape(n, len(masks), b, header.columns)

    def attribute(
        self, frame: Frame, background: Frame | None, *, method: str, output: int, timeout: float | None = None, **params: Any
    ) -> Attributions:
        """Attributions computed beside the model (so its own testimony), for the output column `output`, or each row's greatest with -1.

        A text column becomes as many numbers as the parameter `words` says of it, any other as many as it holds.
        """
        n = rows(frame)
        words: dict[str, int] = params.get("words") or {}
        width = sum(words.get(name, 1 if isinstance(c, Categories) or c.ndim == 1 else c.shape[1]) for name, c in frame.items())
        control = {"method": method, "output": output, "params": params}
        header, body = self._ask(wire.ATTRIBUTE, control, frame=frame, background=background, columns=width + 1, timeout=timeout)
        if header.columns != width:
            raise WorkerError("contract", f"attributions for {width} input columns were asked for, got {header.columns}")
        flat = self._copied(n * (width + 2))
        unit = str(body.get("unit"))
        if unit not in ("log-odds", "probability", "logit", "value"):
            raise WorkerError("contract", "attributions came without a known unit")
        estimand = body.get("estimand")
        if estimand != "background" and estimand != "path_dependent":
            raise WorkerError("contract", "attributions came without word of what stood in for what is switched off")
        taken = body.get("gradients")
        return Attributions(
            flat[: n * width].reshape(n, width), flat[n * width : n * (width + 1)], flat[n * (width + 1) :], unit, estimand,
            float(taken) if isinstance(taken, int | float) and 0 <= taken < 1e9 else 0.0,
        )  # fmt: skip

    def attack(self, frame: Frame, *, method: str, timeout: float | None = None, **params: Any) -> Array:
        """The rows (n, d), moved beside the model so that it may answer otherwise: testimony, to be held against `predict` and the bounds.

        `method` and `params` are those of `audit.subject.flavors.attacks`.
        """
        width = sum(1 if isinstance(c, Categories) or c.ndim == 1 else c.shape[1] for c in frame.values())
        header, _ = self._ask(wire.ATTACK, {"method": method, **params}, frame=frame, columns=width, timeout=timeout)
        if header.columns != width:
            raise WorkerError("contract", f"rows of {width} numbers were asked for, got {header.columns}")
        return self._copied(rows(frame) * width).reshape(-1, width)

    def speak(self, frame: Frame, *, method: str, columns: int | None, timeout: float | None = None, **params: Any) -> Array:
        """What a language model makes of the texts of a frame of one column: float64 (n, columns), as `flavors.language` says of each method.

        Without `columns` as many as the model has to give.
        """
        n = rows(frame)
        header, _ = self._ask(wire.SPEAK, {"method": method, "params": params}, frame=frame, columns=columns or 16, timeout=timeout)
        if columns not in (None, header.columns):
            raise WorkerError("contract", f"{columns} numbers a text were asked for, got {header.columns}")
        return self._copied(n * header.columns).reshape(n, header.columns)

    def _check_labels(self, predicted: Array) -> None:
        classes = self._description.classes if self._description else None
        if classes is None:
            return
        whole = np.isfinite(predicted) & (predicted == np.floor(predicted)) & (predicted >= -1) & (predicted < len(classes))
        if not whole.all():
            raise WorkerError("contract", f"{int((~whole).sum())} predicted labels are not among the {len(classes)} classes")

    def _copied(self, count: int) -> Array:
        assert self._files is not None
        return np.frombuffer(self._files[1].map, dtype=np.float64, count=count).copy()

    def _ask(
        self,
        kind: int,
        control: dict[str, Any],
        *,
        frame: Frame | None = None,
        background: Frame | None = None,
        masks: Frame | None = None,
        answers: int | None = None,
        columns: int = 0,
        timeout: float | None,
    ) -> tuple[Header, dict[str, Any]]:
        """One call: send, wait, check. Grows the output once if the worker says that it is too small.

        `answers` is how many there are to be, where they are not one for each row of the frame.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        n = answers if answers is not None else 0 if frame is None else rows(frame)
        sent = {name: part for name, part in (("frame", frame), ("background", background), ("masks", masks)) if part is not None}
        for _ in range(2):
            request, body = self._request(kind, control, sent, n, columns)
            self._send(request, body, deadline)
            header, reply = self._receive(request.call, deadline)
            if header.kind == wire.GROW and frame is not None and columns < header.columns <= MAX_COLUMNS:
                columns = header.columns
                continue
            break
        if header.kind == wire.ERROR:
            kind_ = reply.get("kind")
            raise WorkerError(kind_ if kind_ in KINDS else "model", printable(reply.get("message"), "the model failed"))
        self._check(header, n, columns)
        return header, reply

    def _check(self, header: Header, n: int, columns: int) -> None:
        if header.kind != wire.OK:
            raise WorkerError("contract", "the worker's reply is of an unknown kind")
        if header.rows != n:
            raise WorkerError("contract", f"the worker says {header.rows} rows for {n} that were asked for")
        if n and not 1 <= header.columns <= columns:
            raise WorkerError("contract", f"the worker says {header.columns} columns where 1 to {columns} fit")

    def _request(self, kind: int, control: dict[str, Any], sent: dict[str, Frame], n: int, columns: int) -> tuple[Header, bytes]:
        """Lay the columns into the input memory and describe them."""
        self._call += 1
        parts: list[tuple[int, Array]] = []
        end = wire.ALIGN
        for name, part in sent.items():
            control[name], end = _layout(part, end, parts)
            control[f"{name}_rows"] = rows(part)
        body = json.dumps(control, separators=(",", ":")).encode()
        inline = len(body) <= wire.JSON_LIMIT
        need = end if inline else end + len(body)
        out = n * (columns + 1) * 8
        if need > MAX_BYTES or out > MAX_BYTES:
            raise WorkerError("contract", f"{n} rows are too many for one call; send fewer")
        source, _ = self._room(need, out)
        for offset, array in parts:
            np.frombuffer(source.map, dtype=array.dtype, count=array.size, offset=offset).reshape(array.shape)[...] = array
        if not inline:
            source.map[end : end + len(body)] = body
        header = Header(kind, 0, self._call, source.token, n, columns, 0 if inline else end, len(body))
        return header, body if inline else b""

    def _room(self, need: int, out: int) -> tuple[MemoryFile, MemoryFile]:
        """The two memory files, made anew only where they are too small; untouched pages cost nothing."""
        if self._files is None or self._files[0].size < need or self._files[1].size < out:
            old = self._files
            sizes = (max(need, old[0].size), max(out, old[1].size)) if old else (need, out)
            self._files = (MemoryFile(sizes[0], read_only=True), MemoryFile(sizes[1], read_only=False))
            for file in old or ():
                file.close()
        return self._files

    def _send(self, header: Header, body: bytes, deadline: float | None) -> None:
        assert self._files is not None
        self._wait(select.POLLOUT, deadline)
        try:
            socket.send_fds(self._sock, [wire.pack(header, body)], [file.fd for file in self._files])
        except OSError as error:
            raise WorkerError("died", "the worker's process has ended") from error

    def _receive(self, call: int, deadline: float | None) -> tuple[Header, dict[str, Any]]:
        """The reply to this call; answers to calls that an earlier client left behind are thrown away."""
        while True:
            self._wait(select.POLLIN, deadline)
            try:
                message = wire.receive(self._sock)
                if message is None:
                    raise WorkerError("died", "the worker's process has ended")
                if message[0].call == call:
                    return message[0], wire.parse(message[1])
            except OSError as error:
                raise WorkerError("died", "the worker's process has ended") from error
            except MalformedMessageError as error:
                raise WorkerError("contract", f"the worker sent {error}") from error

    def _wait(self, event: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._sock, event)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not poll.poll(left):
            raise WorkerError("timeout", "the worker did not answer in time")


def _layout(frame: Frame, end: int, parts: list[tuple[int, Array]]) -> tuple[list[list[Any]], int]:
    """Place each column after `end`; a row of the layout is [name, type, offset, width, vocabulary]."""
    layout: list[list[Any]] = []
    for name, column in frame.items():
        array = column.codes if isinstance(column, Categories) else column
        kind = "<i4" if isinstance(column, Categories) else TYPES.get(str(array.dtype))
        if kind is None or array.ndim > 2:
            raise TypeError(f"column {name!r}: expected one of {sorted(TYPES)} of shape (n,) or (n, d), got {array.dtype} {array.shape}")
        vocabulary = list(column.vocabulary) if isinstance(column, Categories) else None
        layout.append([name, kind, end, array.shape[1] if array.ndim == 2 else 0, vocabulary])
        parts.append((end, array))
        end = wire.aligned(end + array.nbytes)
    return layout, end


def printable(text: Any, otherwise: str, limit: int = 300) -> str:
    """A short printable line of what a worker wrote, or `otherwise`."""
    if not isinstance(text, str):
        return otherwise
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip() or otherwise


def _description(body: dict[str, Any]) -> Description:
    """A description with every field checked for its type; what does not fit is unknown."""

    def text(key: str, allowed: tuple[str, ...], otherwise: str) -> str:
        return body[key] if body.get(key) in allowed else otherwise

    def number(key: str) -> float:
        value = body.get(key)
        return float(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0.0

    classes, packages, methods, uncounted = (body.get(key) for key in ("classes", "packages", "methods", "uncounted"))
    if classes is not None and not (
        isinstance(classes, list) and all(isinstance(c, str) for c in classes) and len(set(classes)) == len(classes)
    ):
        raise WorkerError("contract", "the model's classes are not a list of different labels")
    parameters = body.get("parameters")
    regression = body.get("regression")
    return Description(
        classes=classes,
        parameters=parameters if isinstance(parameters, int) and 0 <= parameters < 1 << 50 else None,
        kind=text("kind", ("estimator", "module", "graph", "booster", "session", "function", "endpoint"), "function"),
        outputs=text("outputs", ("label", "probability", "logit", "value"), "unknown"),
        regression=regression if isinstance(regression, bool) else None,
        methods=[m for m in methods if m in METHODS] if isinstance(methods, list) else [],
        packages={printable(k, "?", 60): printable(v, "?", 60) for k, v in packages.items()} if isinstance(packages, dict) else {},
        load_seconds=number("load_seconds"),
        peak_memory=int(number("peak_memory")),
        cpu_seconds=number("cpu_seconds"),
        flops=number("flops") if isinstance(body.get("flops"), int | float) else None,
        uncounted=tuple(printable(name, "?", 60) for name in uncounted[:20]) if isinstance(uncounted, list) else (),
    )
