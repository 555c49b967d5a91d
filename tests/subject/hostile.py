"""Model folders that bring code, with harmless payloads: each prints a line, and tries to write a marker outside its scratch folder."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import yaml

PAYLOAD = """
import sys
print("payload ran", file=sys.stderr, flush=True)
try:
    open({marker!r}, "w").close()
except OSError:
    pass
"""

BEHAVIOUR = """
import ctypes, itertools, os, signal, socket, subprocess, time
import numpy as np

def attempts(*tries):
    done = 0
    for attempt in tries:
        try:
            attempt()
            done += 1
        except Exception:
            pass
    return float(done)

def secrets():
    read = lambda path: open(path, "rb").read(1)
    inside = lambda: [v for k, v in os.environ.items() if "SECRET" in k or "hunter2" in v][0]
    environ = lambda: read(f"/proc/{{os.getppid()}}/environ")
    return attempts(inside, lambda: read({home!r} + "/.netrc"), lambda: read("/etc/passwd"), environ,
                    lambda: os.kill(os.getppid(), 0), lambda: os.listdir({home!r}), lambda: os.chmod({home!r}, 0o700))

def sockets():
    make = lambda family, kind: lambda: socket.socket(family, kind).close()
    kinds = [make(f, k) for f in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) for k in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
    return attempts(*kinds, make(socket.AF_NETLINK, socket.SOCK_RAW), lambda: socket.getaddrinfo("example.org", 80))

def processes():
    def fork():
        if os.fork() == 0:
            os._exit(0)
    return attempts(fork, lambda: subprocess.run(["/bin/true"], check=True), lambda: os.posix_spawn("/bin/true", ["true"], {{}}),
                    lambda: os.execv("/bin/true", ["true"]))

def big_file():
    written = 0
    try:
        for i in itertools.count():
            with open(f"big{{i % 4}}", "ab") as file:
                for _ in range(16):
                    written += file.write(bytes(1 << 20))
    except OSError:
        pass
    return written / (1 << 20)

class Model:
    def predict(self, table, params=None):
        n, what = len(table), int(table["x0"].iloc[0])
        out = np.zeros(n)
        if what in (1, 2, 3, 4):
            out[:] = [secrets, sockets, processes, big_file][what - 1]()
        if what == 5:
            keep = [np.empty(1 << 25) for _ in range(1000)]
        if what == 6:
            return out[:-1]
        if what == 7:
            return [{{"a": 1}}] * n
        if what == 8:
            raise ValueError("the row of Jane Doe is wrong")
        if what == 9:
            raise SystemExit(3)
        if what == 10:
            while True:
                time.sleep(0.01)
        if what == 11:
            os._exit(0)
        if what == 12:
            ctypes.string_at(0)
        if what == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        if what == 14:
            return out.reshape(n, 1).repeat(40, axis=1) + np.arange(40)
        if what == 15:
            return np.zeros((0,))
        return out

def _load_pyfunc(path, model_config=None):
    {at_load}
    return Model()
"""


def folder(root: Path, flavors: dict[str, Any], files: dict[str, str | bytes]) -> Path:
    """A model folder with this MLmodel and these files, and numbers x0 and x1 as its inputs."""
    inputs = '[{"type": "double", "name": "x0", "required": true}, {"type": "double", "name": "x1", "required": true}]'
    root.mkdir(parents=True, exist_ok=True)
    record = {"flavors": flavors, "signature": {"inputs": inputs, "outputs": None}, "mlflow_version": "3.17.2", "model_uuid": "0" * 32}
    (root / "MLmodel").write_text(yaml.safe_dump(record))
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def pyfunc(**keys: Any) -> dict[str, Any]:
    """The python_function part of an MLmodel."""
    return {"python_function": {"loader_module": "mlflow.pyfunc.model", "python_version": "3.11.7", "env": {}, **keys}}


def misbehaving(root: Path, *, home: str, at_load: str = "pass") -> Path:
    """A model that does what the first row's x0 says."""
    source = BEHAVIOUR.format(home=home, at_load=at_load)
    return folder(root, pyfunc(loader_module="behaviour", code="code", data="data"), {"code/behaviour.py": source, "data/x": "x"})


class Bomb:
    """Runs its text when unpickled."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> Any:
        return exec, (self.text,)


def code_folders(root: Path, marker: str) -> dict[str, Path]:
    """The folders of the acceptance list, by what makes them run code."""
    text = PAYLOAD.format(marker=marker)
    loader = text + "\ndef _load_pyfunc(path, model_config=None):\n    raise ValueError\n"
    from_code = text + "\nimport mlflow\nmlflow.models.set_model(mlflow.pyfunc.PythonModel())\n"
    torch_keys = pyfunc(loader_module="mlflow.pytorch", data="data") | {"pytorch": {"model_data": "data", "code": "code"}}
    xgb_keys = pyfunc(loader_module="mlflow.xgboost", data="m.ubj") | {
        "xgboost": {"data": "m.ubj", "model_class": "evil.K", "code": "code"}
    }
    sk_keys = pyfunc(loader_module="mlflow.sklearn", model_path="m.pkl") | {
        "sklearn": {"pickled_model": "m.pkl", "serialization_format": "pickle"}
    }
    return {
        "pickle": folder(root / "a", sk_keys, {"m.pkl": pickle.dumps(Bomb(text))}),
        "loader_module": folder(
            root / "b", pyfunc(loader_module="evil", code="code", data="data"), {"code/evil.py": loader, "data/x": "x"}
        ),
        "pickle_module_info": folder(
            root / "c",
            torch_keys,
            {"data/model.pth": pickle.dumps(1), "data/pickle_module_info.txt": "evil", "code/evil.py": text},
        ),
        "model_code_path": folder(root / "d", pyfunc(model_code_path="model.py"), {"model.py": from_code}),
        "model_class": folder(root / "e", xgb_keys, {"m.ubj": b"{}", "code/evil.py": text + "\nclass K:\n    pass\n"}),
    }
