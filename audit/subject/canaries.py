"""Before a model is read, the worker tries what the model must not be able to do, and says what happened. Standard library only.

Each try is harmless where it succeeds: sockets are closed, files that could be made are removed, signal 0 is sent.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable
from typing import Any

SOCKETS = [(family, kind) for family in ("AF_INET", "AF_INET6", "AF_UNIX") for kind in ("SOCK_STREAM", "SOCK_DGRAM")]
SOCKETS.append(("AF_NETLINK", "SOCK_DGRAM"))
STREAMS = {"AF_INET SOCK_STREAM", "AF_INET6 SOCK_STREAM"}


def observe(config: dict[str, Any]) -> dict[str, str]:
    """What each try led to: "denied" or "possible". A worker that asks an endpoint may connect to that port, and says so."""
    parent = config["parent"]
    tries: dict[str, Callable[[], object]] = {
        "read /etc/passwd": lambda: _read("/etc/passwd"),
        "read environment of parent": lambda: _read(f"/proc/{parent}/environ"),
        "read environment of process 1": lambda: _read("/proc/1/environ"),
        "list home": lambda: os.listdir(config["home"]),
        "list working directory of parent": lambda: os.listdir(config["cwd"]),
        "write outside scratch": lambda: _write(os.path.dirname(config["scratch"])),
        "write model": lambda: _write(config["model"]),
        "write packages": lambda: _write(config["package"]),
        "write shared memory": lambda: _write("/dev/shm"),  # noqa: S108 — the point is that it must fail
        "signal parent": lambda: os.kill(parent, 0),
        "start a process": _fork,
    }
    seen = {name: _try(attempt) for name, attempt in tries.items()}
    opened = [f"{family} {kind}" for family, kind in SOCKETS if _try(functools.partial(_socket, family, kind)) != "denied"]
    seen["network"] = "possible: " + ", ".join(opened) if opened else "denied"
    if config["port"] is not None:
        seen["model code"] = "none runs here"
        seen["connect to another port"] = _try(functools.partial(_connect, 9 if config["port"] != 9 else 7))
        if set(opened) <= STREAMS and seen["connect to another port"] == "denied":
            seen["network"] = f"to TCP port {config['port']} only, for the endpoint"
    surplus = sorted(set(os.environ) - set(config["environment"]) - {"LC_CTYPE"})
    seen["environment"] = f"{len(surplus)} variables more than given" if surplus else "clean"
    return seen


def _try(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError:
        return "denied"
    return "possible"


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write(folder: str) -> None:
    path = os.path.join(folder, f".canary-{os.getpid()}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def _socket(family: str, kind: str) -> None:
    socket.socket(getattr(socket, family), getattr(socket, kind)).close()


def _connect(port: int) -> None:
    """Nothing listens there as a rule: only the kernel's refusal to let us try counts as denied."""
    with socket.socket() as tried:
        try:
            tried.connect(("127.0.0.1", port))
        except PermissionError:
            raise
        except OSError:
            return


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
