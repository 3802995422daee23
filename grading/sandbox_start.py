"""Runs as the first process of a sandbox: loads torch once, then forks a box of its own for every submission.

Only our own code runs in this process. It has the rights that making a box takes, in its own user namespace; the box
has none of them left when the student's code begins: namespaces, mounts, rights and the filter come first.
"""

import ctypes
import gc
import json
import os
import signal
import socket
import sys

import torch

sys.path.insert(0, "/")
import sandbox_child

sys.path.pop(0)

LIBC = ctypes.CDLL(None, use_errno=True)
# unshare: mounts, System V memory, processes, network.
OWN = 0x00020000 | 0x08000000 | 0x20000000 | 0x40000000
READ_ONLY, NO_SUID, NO_DEVICES, NO_PROGRAMS, REMOUNT, BIND, ALL_BELOW, PRIVATE = 1, 2, 4, 8, 32, 4096, 1 << 14, 1 << 18
ON_PARENTS_DEATH, MAY_BE_LOOKED_AT, SET_FILTER, DROP_FROM_BOUNDS, NO_NEW_RIGHTS, AMBIENT = 1, 4, 22, 24, 38, 47
CLEAR_ALL = 4  # of AMBIENT
MOST_RIGHTS = 64


def kernel(name, *arguments):
    """Call the C library; OSError where the kernel refuses."""
    arguments = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source, target, kind, flags, options=None):
    words = [word and str(word).encode() for word in (source, target, kind, options)]
    kernel("mount", *words[:3], flags, words[3])


def own_files(order):
    """A small folder as /tmp, a /proc of this box alone, kernel settings that nobody can write."""
    mount("none", "/", None, PRIVATE | ALL_BELOW)
    below = {place: os.open(place, os.O_PATH) for place in order["below_tmp"]}  # Python may be installed there
    size = f"size={order['folder_bytes']},nr_inodes={order['folder_files']},mode=1777"
    mount("tmpfs", "/tmp", "tmpfs", NO_SUID | NO_DEVICES, size)
    for place, descriptor in below.items():
        os.makedirs(place)
        mount(f"/proc/self/fd/{descriptor}", place, None, BIND)
        mount(None, place, None, REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEVICES)
    mount("proc", "/proc", "proc", NO_SUID | NO_DEVICES | NO_PROGRAMS)
    mount("/proc/sys", "/proc/sys", None, BIND)
    mount(None, "/proc/sys", None, REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEVICES | NO_PROGRAMS)


def give_up_rights(order):
    """From here on this process may do nothing that an ordinary one may not, and less."""
    if order["user"]:  # root started the box: a user number that nobody has
        os.setgroups([])
    for right in range(MOST_RIGHTS):
        if LIBC.prctl(DROP_FROM_BOUNDS, right, 0, 0, 0) < 0:
            break  # the kernel knows no more of them
    if order["user"]:
        os.setresgid(*[order["user"]] * 3)
        os.setresuid(*[order["user"]] * 3)
        kernel("prctl", MAY_BE_LOOKED_AT, 1, 0, 0, 0)  # by itself, in its /proc, as elsewhere
    kernel("prctl", AMBIENT, CLEAR_ALL, 0, 0, 0)
    kernel("prctl", NO_NEW_RIGHTS, 1, 0, 0, 0)
    version_3, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    kernel("capset", version_3, nothing)
    kernel("prctl", ON_PARENTS_DEATH, signal.SIGKILL, 0, 0, 0)


class Program(ctypes.Structure):
    """A filter, as the kernel takes it."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def set_filter(instructions):
    kernel("prctl", SET_FILTER, 2, ctypes.byref(Program(len(instructions) // 8, instructions)), 0, 0)


def inside(order, ends):
    """The box, the first process of its own: never returns."""
    try:
        own_files(order)
        os.chdir("/tmp")
        os.setsid()
        for number, end in enumerate(ends[:2]):
            os.dup2(end, number)
        os.closerange(3, 1 << 20)
        give_up_rights(order)
        set_filter(bytes.fromhex(order["filter"]))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    try:
        sandbox_child.main()
    finally:
        os._exit(0)


def guard(order, ends, line):
    """Start the box, say so, wait for its end and say how it ended: never returns."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        kernel("prctl", ON_PARENTS_DEATH, signal.SIGKILL, 0, 0, 0)
        kernel("unshare", OWN)
        if not (box := os.fork()):
            line.close()
            inside(order, ends)
        socket.send_fds(line, [b"started"], [os.pidfd_open(box)])
        for end in ends[:2]:
            os.close(end)
        _, status = os.waitpid(box, 0)
        os.write(ends[2], str(os.waitstatus_to_exitcode(status)).encode())
    except BaseException as error:
        line.send(f"{type(error).__name__}: {error}"[:400].encode())
    finally:
        os._exit(0)


def main():
    line = socket.socket(fileno=int(sys.argv[1]))
    torch.set_num_threads(1)
    if os.getuid():  # in a user namespace of our own: there shall be none below it
        with open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")
    gc.freeze()  # what is loaded is shared by all boxes
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    line.send(b"ready")
    while True:
        order, ends, _, _ = socket.recv_fds(line, 1 << 16, 3)
        if not order:
            return
        if not os.fork():
            guard(json.loads(order), ends, line)
        for end in ends:
            os.close(end)


if __name__ == "__main__":
    main()
