"""System calls that a model has no business with, refused by a BPF filter (x86-64 Linux; standard library only).

A deny-list, applied twice: `stage=1` before the worker is executed, `stage=2` in the worker before anything of the model is read, which
also takes away starting programs and processes. It narrows what a model can reach; it is not proof against a kernel flaw.
"""

from __future__ import annotations

import ctypes
import os
import platform

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
ARCH_X86_64, X32_BIT = 0xC000003E, 0x40000000
CLONE_THREAD, CLONE_NEW = 0x00010000, 0x7E020080
NR_SOCKET, NR_CONNECT, AF_INET, AF_INET6, NO_STREAM = 41, 42, 2, 10, 0xE  # a stream's type has none of these bits
NR_IOCTL, NR_CLONE, NR_KILL, NR_TGKILL, NR_PRLIMIT, NR_AFFINITY, NR_CLONE3 = 16, 56, 62, 234, 302, 203, 435

DENIED = {
    "network": [41, 42, 43, 49, 50, 288],  # socket connect accept bind listen accept4
    "shared memory and queues": [29, 30, 64, 68, 240, 319, 447],  # shmget shmat semget msgget mq_open memfd_create memfd_secret
    "other processes": [101, 129, 200, 297, 310, 311, 312, 424, 434, 438, 440, 448],  # ptrace *sigqueueinfo tkill process_vm_* kcmp pidfd_*
    "priorities": [141, 142, 144, 251, 256, 279, 314],  # setpriority sched_set* ioprio_set migrate_pages move_pages
    "owners, modes and times of files": [90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, 452],
    "namespaces and mounts": [155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 433, 442],
    "the kernel": [103, 135, 163, 167, 168, 169, 172, 173, 175, 176, 179, 246, 248, 249, 250, 298, 300, 303, 304, 313, 320, 321, 323, 443],
    "clock and names": [159, 164, 170, 171, 227, 305],
    "asynchronous input and output": [278, 425, 426, 427],  # vmsplice io_uring_*
}
STARTING = [57, 58, 59, 322]  # fork vfork execve execveat

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
AT_NUMBER, AT_ARCH, AT_FIRST, AT_SECOND = 0, 4, 16, 24


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


Code = list[tuple[int, int, int, int]]


def program(stage: int, pid: int, *, network: bool = False) -> Code:
    """The filter as (code, jump if true, jump if false, value); signals may only go to `pid`, the worker itself.

    With `network` streams over the internet protocols may be opened, and nothing else: no name service, no local sockets, no listening.
    """
    deny = (RETURN, 0, 0, ERRNO | EPERM)
    code: Code = [
        (LOAD, 0, 0, AT_ARCH),
        (JUMP_EQUAL, 1, 0, ARCH_X86_64),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, AT_NUMBER),
        (JUMP_AT_LEAST, 0, 1, X32_BIT),
        deny,
        (JUMP_EQUAL, 0, 1, NR_CLONE3),  # its flags lie in memory that a filter cannot read: the C library falls back to clone
        (RETURN, 0, 0, ERRNO | ENOSYS),
    ]
    numbers = [n for group in DENIED.values() for n in group] + (STARTING if stage == 2 else [])
    for number in sorted(set(numbers) - ({NR_SOCKET, NR_CONNECT} if network else set())):
        code += [(JUMP_EQUAL, 0, 1, number), deny]
    if network:
        code += _if(NR_SOCKET, AT_FIRST, [(JUMP_EQUAL, 2, 0, AF_INET), (JUMP_EQUAL, 1, 0, AF_INET6), deny])
        code += _if(NR_SOCKET, AT_SECOND, [(JUMP_BITS, 0, 1, NO_STREAM), deny])
    code += _if(NR_CLONE, AT_FIRST, [(JUMP_BITS, 0, 1, CLONE_NEW), deny])
    if stage == 2:
        code += _if(NR_CLONE, AT_FIRST, [(JUMP_BITS, 1, 0, CLONE_THREAD), deny])
    for number in (NR_KILL, NR_TGKILL):
        code += _if(number, AT_FIRST, [(JUMP_EQUAL, 1, 0, pid), deny])
    for number in (NR_PRLIMIT, NR_AFFINITY):
        code += _if(number, AT_FIRST, [(JUMP_EQUAL, 2, 0, 0), (JUMP_EQUAL, 1, 0, pid), deny])
    code += _if(NR_IOCTL, AT_SECOND, [(JUMP_EQUAL, 1, 0, 0x5412), (JUMP_EQUAL, 0, 1, 0x541C), deny])  # typing into a terminal
    return [*code, (RETURN, 0, 0, ALLOW)]


def _if(number: int, argument: int, checks: Code) -> Code:
    """Apply `checks` to the low half of an argument of one call, and restore the call's number for what follows."""
    return [(JUMP_EQUAL, 0, len(checks) + 2, number), (LOAD, 0, 0, argument), *checks, (LOAD, 0, 0, AT_NUMBER)]


def apply(stage: int, *, network: bool = False) -> str:
    """Install the filter on all threads of this process; returns "on", or why it could not be."""
    if platform.machine() != "x86_64":
        return f"unavailable: no table of system calls for {platform.machine()}"
    code = program(stage, os.getpid(), network=network)
    instructions = (_Instruction * len(code))(*(_Instruction(*step) for step in code))
    wanted = _Program(len(code), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0):  # no_new_privs
        return f"unavailable: {os.strerror(ctypes.get_errno())}"
    if libc.syscall(ctypes.c_long(317), 1, 1, ctypes.byref(wanted)):  # seccomp(SET_MODE_FILTER, TSYNC)
        return f"unavailable: {os.strerror(ctypes.get_errno())}"
    return "on"
