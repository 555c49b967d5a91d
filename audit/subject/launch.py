"""Start a model's worker: a confined child process with a socket to it. Standard library only; the auditor's coordinator imports this."""

from __future__ import annotations

import importlib.metadata
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from audit.errors import AuditError
from audit.scratch import make
from audit.subject import wire

Isolation = Literal["required", "best-effort", "none"]
GIB = 1 << 30
MEND = "use --isolation best-effort, which the report shows on its first page"
LAYERS = ("namespaces", "capabilities", "no_new_privs", "landlock", "seccomp")
REQUIRED = ("limits", "capabilities", "no_new_privs", "landlock", "seccomp", "seccomp stage 2")
SCRATCH_BYTES = GIB // 4
SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives")
MACHINE = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
DEVICES = ("/dev/urandom", "/dev/zero")
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1")
ARCHITECTURES = "audit.architectures"


@dataclass
class Worker:
    """A running worker. `observed` holds each layer asked for and what the canaries saw; `log` is what the model printed."""

    pid: int
    socket: socket.socket
    observed: dict[str, str]
    log: Path
    _process: subprocess.Popen[bytes] = field(repr=False)
    _scratch: Path = field(repr=False)

    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._process.poll() is None

    def ending(self) -> str | None:
        """How the process ended ("exit 0", "SIGSEGV"), None while it runs."""
        code = self._process.poll()
        if code is None or code >= 0:
            return None if code is None else f"exit {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def stop(self) -> None:
        """Kill the whole process group and remove its scratch folder; may be called twice."""
        _end(self._process, self._scratch)
        self.socket.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def launch(
    path: Path,
    inspection: Any,
    *,
    trust_pickle: bool,
    isolation: Isolation = "best-effort",
    classes: list[str] | None = None,
    memory: int = 8 * GIB,
    cpu_seconds: int | None = None,
    load_timeout: float = 120.0,
    endpoint: dict[str, Any] | None = None,
    several: list[dict[str, Any]] | None = None,
) -> Worker:
    """Start the worker of the model at `path` and return once it has tried its canaries; the model is loaded by the first `describe`.

    `memory` is in bytes of address space, `load_timeout` in seconds bounds this start. The worker dies with the thread that calls this.
    `endpoint` is where the model answers (`endpoint.locate`): the worker runs none of it and may connect to that port.
    `several` are models to be asked side by side in its place (`flavors/several.py`), of the same inputs.
    """
    scratch = make()
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process: subprocess.Popen[bytes] | None = None
    try:
        config = _config(path.resolve(), scratch, isolation, memory, cpu_seconds, trust_pickle)
        if endpoint is not None:
            config["port"] = endpoint["port"]
            config["readable"] += [p for p in (endpoint["cafile"], endpoint["capath"], "/etc/ssl/openssl.cnf") if p]
        config["readable"] += [str(member.get("graph") or member["root"]) for member in several or ()]
        config["subject"] = {
            "root": config["model"],
            "trust_pickle": trust_pickle,
            "classes": classes,
            "endpoint": endpoint,
            "several": several,
            **inspection.model_dump(mode="json"),
        }
        (scratch / "config.json").write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "audit.subject.confine", str(there.fileno()), str(scratch / "config.json")]
        with (scratch / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=config["environment"], cwd=scratch, pass_fds=[there.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        there.close()
        observed = _started(here, process, load_timeout, scratch)
        if isolation == "required":
            _require(observed)
    except BaseException:
        here.close()
        there.close()
        _end(process, scratch)
        raise
    return Worker(process.pid, here, observed, scratch / "log", process, scratch)


def _config(path: Path, scratch: Path, isolation: Isolation, memory: int, cpu_seconds: int | None, trust_pickle: bool) -> dict[str, Any]:
    """What `confine` and the worker need to know, as JSON; the folders of the packages are linked into the scratch folder."""
    work, code = scratch / "work", scratch / "code"
    work.mkdir()
    code.mkdir()
    packages = _packages()
    for name, folder in packages.items():
        (code / name).symlink_to(folder)
    _declare_architectures(code)
    return {
        "layers": [] if isolation == "none" else list(LAYERS),
        "confined": isolation != "none",
        "port": None,
        "parent": os.getpid(),
        "model": str(path),
        "scratch": str(scratch),
        "work": str(work),
        "package": str(packages["audit"]),
        "home": str(Path.home()),
        "cwd": os.getcwd(),
        "memory": memory,
        "cpu_seconds": cpu_seconds,
        "scratch_bytes": SCRATCH_BYTES,
        "file_bytes": SCRATCH_BYTES,
        "environment": _environment(work, code, trust_pickle),
        "readable": [
            *SYSTEM,
            *_python(),
            *MACHINE,
            *DEVICES,
            str(code),
            str(scratch / "config.json"),
            str(path),
            *map(str, packages.values()),
        ],
        "executable": [os.path.realpath(sys.executable), *LOADERS],
        "writable": [str(work), "/dev/null"],
    }


def _packages() -> dict[str, Path]:
    """The folders of the packages that a worker may import beside the libraries; never what lies around them."""
    audit = Path(__file__).resolve().parent.parent
    found = {"audit": audit}
    beside = audit.parent / "models"
    if (beside / "__init__.py").is_file():
        found["models"] = beside
    return found


def _python() -> list[str]:
    """The Python installation and its libraries."""
    paths = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {os.path.join(sys.prefix, "pyvenv.cfg"), os.path.dirname(sys.executable), os.path.dirname(os.path.realpath(sys.executable))}
    paths |= {str(sysconfig.get_config_var("LIBDIR") or ""), sysconfig.get_config_var("DESTSHARED") or ""}
    return sorted(p for p in paths if p and os.path.exists(p))


def _declare_architectures(code: Path) -> None:
    """In a checkout that is not installed, let the worker find the entry points that pyproject.toml declares."""
    project = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"
    if not project.is_file():
        return
    installed = importlib.metadata.entry_points(group=ARCHITECTURES).names
    declared = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("entry-points", {}).get(ARCHITECTURES, {})
    folder = code / "checkout-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: checkout\nVersion: 0\n", encoding="utf-8")
    lines = "".join(f"{name} = {place}\n" for name, place in declared.items() if name not in installed)
    (folder / "entry_points.txt").write_text(f"[{ARCHITECTURES}]\n{lines}", encoding="utf-8")


def _environment(work: Path, code: Path, trust_pickle: bool) -> dict[str, str]:
    """The worker's environment, built from nothing: no credential of the auditor is in it."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")
    home = {name: str(work) for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR")}
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "USER": "worker",
        "LOGNAME": "worker",
        "PYTHONPATH": str(code),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "JOBLIB_MULTIPROCESSING": "0",
        "MALLOC_ARENA_MAX": "2",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true" if trust_pickle else "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{work}/none.db",
        "GIT_PYTHON_REFRESH": "quiet",
        "HF_HUB_OFFLINE": "1",
        **one,
        **home,
    }


def _started(sock: socket.socket, process: subprocess.Popen[bytes], timeout: float, scratch: Path) -> dict[str, str]:
    """Wait for the worker's first message: what became of each layer, and what the canaries saw."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    deadline = time.monotonic() + timeout
    message = wire.receive(sock) if poll.poll(max(0.0, deadline - time.monotonic()) * 1000) else None
    if message is None or message[0].kind != wire.READY:
        said = (scratch / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        why = "it did not answer in time" if process.poll() is None else said[-1] if said else f"exit {process.poll()}"
        raise AuditError(
            f"the model's worker process did not start: {why}", "try again with --isolation none to see whether confinement is the cause"
        )
    return {str(k): str(v) for k, v in wire.parse(message[1]).items()}


def _require(observed: dict[str, str]) -> None:
    """Refuse to go on where a layer is missing or a canary got through."""
    for layer in REQUIRED:
        state = observed.get(layer, "unavailable: not asked for")
        if state.startswith("unavailable"):
            raise AuditError(f"isolation layer {layer!r} is {state}", MEND)
    for name, state in observed.items():
        if state.startswith("possible"):
            raise AuditError(f"the worker is not confined: {name!r} was {state}", MEND)


def _end(process: subprocess.Popen[bytes] | None, scratch: Path) -> None:
    if process is not None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
        process.wait()
    shutil.rmtree(scratch, ignore_errors=True)
