"""Take away what a model does not need, then become the worker. Standard library only; run as `python -P -m audit.subject.confine FD FILE`.

Order matters: namespaces first (they need privileges that later layers take), then limits and capabilities, then Landlock, which binds
only the calling thread and so comes before any library starts threads, then the first seccomp filter, then `execv`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from typing import Any

NEWUSER, NEWNET, NEWIPC, NEWNS, NEWUTS = 0x10000000, 0x40000000, 0x08000000, 0x00020000, 0x04000000
NOBODY = 65534


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _error() -> str:
    return f"unavailable: {os.strerror(ctypes.get_errno())}"


def namespaces(scratch: str, size: int, *, network: bool = False) -> dict[str, str]:
    """User, network, ipc and mount namespaces of its own, and a scratch folder in memory of at most `size` bytes.

    With `network` the machine's network stays in sight.
    """
    uid, gid = os.geteuid(), os.getegid()
    libc = _libc()
    if libc.unshare(NEWUSER | (0 if network else NEWNET) | NEWIPC | NEWNS | NEWUTS):
        return {"namespaces": _error(), "scratch limit": "per file only"}
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {uid} 1"), ("gid_map", f"{NOBODY} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        return {"namespaces": f"unavailable: {error.strerror}", "scratch limit": "per file only"}
    libc.mount(None, b"/", None, 1 << 14 | 1 << 19, None)  # MS_REC | MS_SLAVE: what happens here stays here
    options = f"size={size},nr_inodes=4096,mode=700".encode()
    failed = libc.mount(b"scratch", scratch.encode(), b"tmpfs", 2 | 4, options)  # MS_NOSUID | MS_NODEV
    limit = f"per file only ({os.strerror(ctypes.get_errno())})" if failed else f"{size >> 20} MiB in all"
    return {"namespaces": "user, ipc, mount" if network else "user, network, ipc, mount", "scratch limit": limit}


def limits(memory: int, cpu_seconds: int | None, file_size: int) -> str:
    """Limits of address space (bytes), processor time (s), file size (bytes), open files, processes; no core dumps, which hold rows."""
    wanted: list[tuple[int, int, int]] = [
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, file_size, file_size),
        (resource.RLIMIT_NOFILE, 512, 512),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 2048, 2048),
    ]
    if cpu_seconds is not None:
        wanted.append((resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 5))
    missing = []
    for kind, soft, hard in wanted:
        ceiling = resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        try:
            resource.setrlimit(kind, (soft, hard))
        except (OSError, ValueError):
            missing.append(str(kind))
    return f"unavailable: {', '.join(missing)}" if missing else "on"


def drop_capabilities() -> str:
    """Give up every capability, now and across `exec`, also as root."""
    libc = _libc()
    libc.prctl(28, 0x2F, 0, 0, 0)  # securebits: root is no more than a user id, locked
    for capability in range(64):
        if libc.prctl(24, capability, 0, 0, 0) and ctypes.get_errno() == 22:  # bounding set; 22: past the last one
            break
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())):
        return _error()
    return "dropped"


def die_with(parent: int) -> None:
    """Be killed when the auditor dies; if it is dead already, end now."""
    _libc().prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != parent:
        os._exit(1)


def confine(config: dict[str, Any]) -> dict[str, str]:
    """Apply the layers that were asked for; returns what became of each."""
    asked, port = config["layers"], config["port"]
    layers: dict[str, str] = {}
    if "namespaces" in asked:
        layers |= namespaces(config["work"], config["scratch_bytes"], network=port is not None)
    die_with(config["parent"])
    layers["limits"] = limits(config["memory"], config["cpu_seconds"], config["file_bytes"])
    if "capabilities" in asked:
        layers["capabilities"] = drop_capabilities()
    if "no_new_privs" in asked:
        layers["no_new_privs"] = _error() if _libc().prctl(38, 1, 0, 0, 0) else "on"
    if "landlock" in asked:
        from audit.subject import landlock

        readable = [*config["readable"], f"/proc/{os.getpid()}"]
        layers["landlock"] = landlock.apply(readable, config["executable"], config["writable"], port)
    if "seccomp" in asked:
        from audit.subject import seccomp

        layers["seccomp"] = seccomp.apply(1, network=port is not None)
    return layers


def main() -> None:
    """Confine this process and become the worker; the only way out is `execv`."""
    fd, file = sys.argv[1:3]
    with open(file, encoding="utf-8") as stream:
        config = json.load(stream)
    layers = confine(config)
    os.chdir(config["work"])
    os.set_inheritable(int(fd), True)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "audit.subject.worker", fd, file, json.dumps(layers)])  # noqa: S606 — replaces this process


if __name__ == "__main__":
    main()
