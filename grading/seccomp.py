"""What a process in the sandbox may not ask of the kernel, as a seccomp filter in the kernel's own format.

Source of the format: https://docs.kernel.org/userspace-api/seccomp_filter.html. Source of the numbers: the kernel's
``unistd`` headers. Everything is allowed but what stands here. What stands here no loss needs, and each group is either
memory or processes that no resource limit counts, a way into another process or namespace, or a part of the kernel in
which holes are found often.
"""

import platform
import struct

# The number of each refused call on x86_64 and on aarch64; None where the system has no such call.
REFUSED = {
    # Processes: threads may be made, processes may not. (clone and clone3 are below.)
    "fork": (57, None),
    "vfork": (58, None),
    # Memory that is in no process's account: System V and POSIX.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    # Namespaces and mounts: with a user namespace of its own a process may mount memory of any size.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    # Keys: the session keyring is the one of whoever grades.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # The network, and the kernel's own sockets, which no network namespace covers. (socketpair stays: asyncio.)
    "socket": (41, 198),
    # Large and young parts of the kernel.
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "personality": (135, 92),
    # The machine itself; refused without rights too.
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "syslog": (103, 116),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, and the kernel's name for it
CLONE, CLONE3, PRCTL = (56, 220), (435, 435), (157, 167)
CLONE_THREAD = 0x00010000
PR_SET_PDEATHSIG, SIGKILL = 1, 9
OTHER_NUMBERS = 0x40000000  # x86_64's second set of system calls

LOAD, JUMP_IF_EQUAL, JUMP_IF_BITS, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
ALLOW, REFUSE, NOT_THERE = 0x7FFF0000, 0x00050001, 0x00050026  # let it be; EPERM; ENOSYS
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24  # offsets in what the kernel hands to the filter


def _returns(verdict, test, number):
    """Return this verdict, where the word that was loaded last passes the test."""
    return [(test, 0, 1, number), (RETURN, 0, 0, verdict)]


def filter_program(machine=None):
    """The filter for this kind of processor, as bytes; KeyError for one that is not in ``MACHINES``."""
    column, architecture = MACHINES[machine or platform.machine()]
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, REFUSE),
        (LOAD, 0, 0, NUMBER),
        *_returns(REFUSE, JUMP_IF_AT_LEAST, OTHER_NUMBERS),
        *_returns(NOT_THERE, JUMP_IF_EQUAL, CLONE3[column]),  # its flags are out of a filter's sight: there is clone
    ]
    for numbers in REFUSED.values():
        if numbers[column] is not None:
            program += _returns(REFUSE, JUMP_IF_EQUAL, numbers[column])
    threads = [
        (LOAD, 0, 0, FIRST_ARGUMENT),
        *_returns(ALLOW, JUMP_IF_BITS, CLONE_THREAD),
        (RETURN, 0, 0, REFUSE),
    ]
    # Nobody in here may outlive whoever grades: the signal at the parent's death is the one that ends a process.
    signals = [
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_EQUAL, 1, 0, PR_SET_PDEATHSIG),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, SECOND_ARGUMENT),
        *_returns(ALLOW, JUMP_IF_EQUAL, SIGKILL),
        (RETURN, 0, 0, REFUSE),
    ]
    for number, rest in ((CLONE[column], threads), (PRCTL[column], signals)):
        program += [(JUMP_IF_EQUAL, 0, len(rest), number), *rest]
    program += [(RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)
