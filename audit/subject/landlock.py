"""Which files a worker may open, by Landlock (Linux; standard library only)."""

from __future__ import annotations

import ctypes
import os
import stat

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
SPECIAL = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11  # devices, sockets and pipes are never made
TRUNCATE = 1 << 14
RIGHTS_BY_ABI = (0, 13, 14, 15, 15, 16)  # number of rights of each version; later ones have 16
PATH_RULE, PORT_RULE, CONNECT = 1, 2, 2
READ = READ_FILE | READ_DIR
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _Port(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def version() -> int:
    """The ABI that this kernel speaks, 0 where it has none."""
    try:
        return _syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def apply(readable: list[str], executable: list[str], writable: list[str], port: int | None = None) -> str:
    """Restrict this thread, and all that it starts, to these paths; returns "ABI n" or why it could not be. Absent paths are passed over.

    TCP and abstract sockets and signals to other processes are taken away too, where the kernel can; connections to `port` stay.
    """
    abi = version()
    if abi < 1:
        return "unavailable: the kernel does not offer it"
    every = (1 << RIGHTS_BY_ABI[min(abi, 5)]) - 1
    ruleset = _Ruleset(every, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    try:
        fd = _syscall(CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
        for paths, rights in ((readable, READ), (executable, READ | EXECUTE), (writable, every & ~EXECUTE & ~SPECIAL & ~(1 << 15))):
            for path in paths:
                _allow(fd, path, rights & every)
        if port is not None and abi >= 4:
            _syscall(ADD_RULE, fd, PORT_RULE, ctypes.byref(_Port(CONNECT, port)), ctypes.c_uint32(0))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(38, 1, 0, 0, 0)  # no_new_privs
        _syscall(RESTRICT_SELF, fd, ctypes.c_uint32(0))
        os.close(fd)
    except OSError as error:
        return f"unavailable: {error.strerror}"
    return f"ABI {abi}"


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= ON_FILES
        _syscall(ADD_RULE, ruleset, PATH_RULE, ctypes.byref(_Beneath(rights, fd)), ctypes.c_uint32(0))
    finally:
        os.close(fd)
