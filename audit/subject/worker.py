"""The confined process: load one model, answer calls about it. Run by `confine`; never imported by the auditor.

A call that fails is answered with its kind and the place in the code, never with values; after a MemoryError the worker goes on.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import mmap
import os
import platform
import socket
import sys
import time
import traceback
from typing import Any

import numpy as np

from audit.subject import canaries, seccomp, wire
from audit.subject.flavors.base import Answer, ContractError, Subject
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array
from audit.subject.wire import Header


class Server:
    """Answers on one socket until it closes."""

    def __init__(self, sock: socket.socket, spec: dict[str, Any]) -> None:
        self._sock = sock
        self._spec = spec
        self._subject: Subject | None = None
        self._load_seconds = 0.0
        self._described: dict[str, Any] | None = None
        self._token: int | None = None
        self._input: mmap.mmap | None = None
        self._output: mmap.mmap | None = None

    def run(self) -> None:
        """The loop; ends when the auditor closes its end."""
        while (message := wire.receive_with_files(self._sock)) is not None:
            header, body, fds = message
            try:
                self._map(header, fds)
                reply, content = self._answer(header, body)
            except BaseException as error:
                reply, content = Header(wire.ERROR), failure(error)
                if isinstance(error, MemoryError):
                    del error
                    gc.collect()
            encoded = json.dumps(content).encode()
            self._sock.send(wire.pack(reply._replace(call=header.call, length=len(encoded)), encoded))

    def _map(self, header: Header, fds: list[int]) -> None:
        """Map the two memory files of a request, unless they are those of the call before."""
        try:
            if header.arena != self._token and len(fds) == 2:
                self._input = mmap.mmap(fds[0], os.fstat(fds[0]).st_size, prot=mmap.PROT_READ)
                self._output = mmap.mmap(fds[1], os.fstat(fds[1]).st_size)
                self._token = header.arena
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, header: Header, body: bytes) -> tuple[Header, dict[str, Any]]:
        assert self._input is not None
        if header.offset:
            body = self._input[header.offset : header.offset + header.length]
        control = wire.parse(body)
        subject = self._loaded()
        if header.kind == wire.DESCRIBE:
            return Header(wire.OK), self._describe(subject)
        if header.kind == wire.MIX:
            return self._write(header, Answer(self._mixed(subject, control)).checked(header.rows), [])
        rows = Rows(self._input, control.pop("frame"), header.rows, self._spec)
        if header.kind == wire.PREDICT:
            seed = control.get("randomise")
            answer = (subject.predict(rows) if seed is None else subject.meaningless(rows, int(seed))).checked(header.rows)
            return self._write(header, answer, [] if answer.predicted is None else [answer.predicted])
        if header.kind == wire.ATTACK:
            del control["frame_rows"]
            return self._write(header, Answer(subject.attack(rows, **control)).checked(header.rows), [])
        background = Rows(self._input, control["background"], control["background_rows"], self._spec) if "background" in control else None
        if control["method"] not in subject.methods():
            raise ContractError(f"the method {control['method']} does not apply to this model")
        if header.kind == wire.SPEAK:
            return self._write(header, Answer(subject.speak(rows, method=control["method"], **control["params"])).checked(header.rows), [])
        explained = subject.attribute(rows, background, method=control["method"], output=control["output"], **control["params"])
        reply, _ = self._write(header, Answer(explained.values), [explained.base, explained.explained])
        return reply, {"unit": explained.unit, "estimand": explained.estimand, "gradients": explained.gradients}

    def _mixed(self, subject: Subject, control: dict[str, Any]) -> Array:
        """Answers (n·m·b, k) about n rows, m masks and b background rows."""
        assert self._input is not None
        own, other, masks = (
            Rows(self._input, control[name], control[f"{name}_rows"], self._spec) for name in ("frame", "background", "masks")
        )
        found = subject.mixed(own, other, masks.columns[0][1])
        return found.reshape(-1, found.shape[-1])

    def _loaded(self) -> Subject:
        if self._subject is None:
            start = time.monotonic()
            self._subject = load(self._spec)
            self._load_seconds = time.monotonic() - start
        return self._subject

    def _describe(self, subject: Subject) -> dict[str, Any]:
        """What the model is, worked out once, and what this process has used by now."""
        if self._described is None:
            self._described = self._looked_at(subject)
        return self._described | {"peak_memory": peak_memory(), "cpu_seconds": time.process_time()}

    def _looked_at(self, subject: Subject) -> dict[str, Any]:
        versions = {"python": platform.python_version()}
        for name in ("numpy", *subject.packages):
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        flops, uncounted = subject.flops()
        return {
            "classes": subject.classes,
            "parameters": subject.parameters(),
            "kind": subject.kind,
            "outputs": subject.outputs,
            "regression": subject.regression,
            "methods": subject.methods(),
            "packages": versions,
            "load_seconds": self._load_seconds,
            "flops": flops,
            "uncounted": uncounted,
        }

    def _write(self, header: Header, answer: Answer, more: list[Array]) -> tuple[Header, dict[str, Any]]:
        """Values and further columns into the output memory, or word that it is too small."""
        assert self._output is not None
        n, k = answer.values.shape
        need = (n * k + n * len(more)) * 8
        if k > header.columns or need > len(self._output):
            return Header(wire.GROW, columns=k), {}
        flat = np.frombuffer(self._output, dtype=np.float64, count=need // 8)
        flat[: n * k] = answer.values.reshape(-1)
        for i, column in enumerate(more):
            flat[n * (k + i) : n * (k + i + 1)] = column
        return Header(wire.OK, flags=wire.PREDICTED if more else 0, rows=n, columns=k), {}


def peak_memory() -> int:
    """Largest resident memory in bytes since this program was executed; `getrusage` would count the auditor that started it."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM")), 0)


def load(spec: dict[str, Any]) -> Subject:
    """The model, through the module of its flavor."""
    if spec["trust_pickle"]:
        sys.path[:0] = [os.path.join(spec["root"], folder) for folder in spec["code_paths"]]
    module = importlib.import_module(f"audit.subject.flavors.{'several' if spec.get('several') else spec['loader']}")
    subject: Subject = module.load(spec)
    if subject.classes is None and not subject.regression:
        subject.classes = spec.get("classes") or spec["metadata"].get("classes")
    return subject


def failure(error: BaseException) -> dict[str, str]:
    """What may be said of an error: our own words, or its type and the place where it was raised."""
    if isinstance(error, ContractError):
        return {"kind": error.kind, "message": str(error)}
    frames = traceback.extract_tb(error.__traceback__)
    place = ""
    if frames:
        parts = frames[-1].filename.rsplit("site-packages/", 1)
        name = parts[1] if len(parts) == 2 else os.path.basename(frames[-1].filename)
        place = f" at {name}:{frames[-1].lineno} in {frames[-1].name}"
    kind = "memory" if isinstance(error, MemoryError) else "model"
    return {"kind": kind, "message": f"{type(error).__name__}{place}"}


def main() -> None:
    """Take the last layer, try the canaries, say so, and serve."""
    fd, file, layers = sys.argv[1:4]
    sys.argv = sys.argv[:1]
    with open(file, encoding="utf-8") as stream:
        config = json.load(stream)
    observed: dict[str, str] = json.loads(layers)
    if config["confined"]:
        observed["seccomp stage 2"] = seccomp.apply(2, network=config["port"] is not None)
    observed |= canaries.observe(config)
    sock = socket.socket(fileno=int(fd))
    os.set_inheritable(int(fd), False)
    body = json.dumps(observed).encode()
    sock.send(wire.pack(Header(wire.READY, length=len(body)), body))
    Server(sock, config["subject"]).run()


if __name__ == "__main__":
    main()
