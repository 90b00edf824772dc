"""System calls the standard library does not offer, as functions that raise OSError."""

import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2
CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_PR_SET_PDEATHSIG = 1
_SYS_OPEN_TREE = 428  # these have the same numbers on every architecture
_SYS_MOVE_MOUNT = 429
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_BOTH_EMPTY = 0x04 | 0x40
_MOVE_MOUNT_BENEATH = 0x200
_MOUNT_ATTR_CONFINED = 0x1 | 0x2 | 0x4 | 0x8
"""Read-only, no set-user-id, no devices, no programs."""

_SPAWN_SETSIGDEF, _SPAWN_SETSID = 0x04, 0x80
_OPAQUE = 512
"""More than enough bytes for any of the structures only the C library looks into."""

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def clone_confined(path: str | Path) -> int:
    """Return a descriptor of a mount of ``path`` that is nowhere yet (open_tree(2)).

    What is there can be read, and nothing else.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    tree = _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)
    _check(tree, path)
    attributes = _MountAttr(set=_MOUNT_ATTR_CONFINED)
    size = ctypes.sizeof(attributes)
    try:
        _check(
            _libc.syscall(
                _SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size
            ),
            path,
        )
    except OSError:
        os.close(tree)
        raise
    return int(tree)


def move_mount(tree: int, target: int, *, beneath: bool = False) -> None:
    """Attach a mount at the open ``target``, on top of it or beneath (move_mount(2))."""
    flags = _MOVE_MOUNT_BOTH_EMPTY | (_MOVE_MOUNT_BENEATH if beneath else 0)
    _check(_libc.syscall(_SYS_MOVE_MOUNT, tree, b"", target, b"", flags))


def mount(
    source: str | Path, target: str | Path, fstype: str | None, flags: int = 0, data: str = ""
) -> None:
    """Attach a filesystem (mount(2))."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode() if fstype else None,
            ctypes.c_ulong(flags),
            data.encode() if data else None,
        ),
        target,
    )


def umount2(target: str | Path, flags: int = 0) -> None:
    """Detach a filesystem (umount2(2))."""
    _check(_libc.umount2(os.fsencode(target), flags), target)


def syncfs(path: str | Path) -> None:
    """Write out everything of the filesystem ``path`` is on (syncfs(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.syncfs(fd), path)
    finally:
        os.close(fd)


def setns(fd: int, nstype: int) -> None:
    """Move the calling thread into a namespace (setns(2))."""
    _check(_libc.setns(fd, nstype))


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own (unshare(2))."""
    _check(_libc.unshare(flags))


def pivot_root(new: str | Path, old: str | Path) -> None:
    """Make ``new`` the root of this mount namespace and ``old`` the place of the last one."""
    _check(_libc.pivot_root(os.fsencode(new), os.fsencode(old)), new)


def die_with_parent() -> None:
    """Have this process killed when the thread that made it ends (prctl(2))."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def openat2(dirfd: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """Open ``path`` below ``dirfd`` under rules about links (openat2(2)); close-on-exec."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    fd = _libc.syscall(
        _SYS_OPENAT2, dirfd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
    )
    _check(fd, path)
    return int(fd)


def posix_spawn(
    program: str, argv: Sequence[str], env: Mapping[str, str], descriptors: Sequence[int]
) -> int:
    """Start a program in a session of its own and return its process id (posix_spawn(3)).

    It has ``descriptors`` as 0, 1, 2 and so on, and no others. Unlike the standard library's
    ways, other threads go on while the kernel makes the process.
    """
    actions = ctypes.create_string_buffer(_OPAQUE)
    attributes = ctypes.create_string_buffer(_OPAQUE)
    defaults = ctypes.create_string_buffer(_OPAQUE)
    pid = ctypes.c_int()
    _refused(_libc.posix_spawn_file_actions_init(actions), program)
    _refused(_libc.posix_spawnattr_init(attributes), program)
    try:
        for target, source in enumerate(descriptors):
            _refused(_libc.posix_spawn_file_actions_adddup2(actions, source, target), program)
        _refused(_libc.posix_spawn_file_actions_addclosefrom_np(actions, len(descriptors)), program)
        _libc.sigemptyset(defaults)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            # Python ignores these two, which a program would inherit.
            _libc.sigaddset(defaults, int(number))
        _refused(_libc.posix_spawnattr_setsigdefault(attributes, defaults), program)
        flags = ctypes.c_short(_SPAWN_SETSIGDEF | _SPAWN_SETSID)
        _refused(_libc.posix_spawnattr_setflags(attributes, flags), program)
        _refused(
            _libc.posix_spawn(
                ctypes.byref(pid),
                os.fsencode(program),
                actions,
                attributes,
                _strings(argv),
                _strings([f"{name}={value}" for name, value in env.items()]),
            ),
            program,
        )
    finally:
        _libc.posix_spawn_file_actions_destroy(actions)
        _libc.posix_spawnattr_destroy(attributes)
    return pid.value


def _strings(words: Sequence[str]) -> "ctypes.Array[ctypes.c_char_p]":
    found = [os.fsencode(word) for word in words]
    return (ctypes.c_char_p * (len(found) + 1))(*found, None)


def _refused(number: int, subject: str) -> None:
    """Raise for functions that return an error's number instead of setting it."""
    if number:
        raise OSError(number, os.strerror(number), subject)


def _check(result: int, subject: str | Path = "") -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(subject))
