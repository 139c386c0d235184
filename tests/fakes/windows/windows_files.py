"""The file functions of ``os``, ``io`` and ``open`` with the rules of Windows: see sitecustomize.py."""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import posix
import re
import stat
import sys
import types
from pathlib import PurePosixPath

#: A directory with an empty file for each emulated process, by its number: whose open files are seen.
PROCESSES = "IRMEXPORT_TEST_WINDOWS"

_RESERVED = re.compile(r'[<>:"|?*\x00-\x1f]')
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(?:\..*)?", re.IGNORECASE)
#: MAX_PATH, with the NUL; a directory must leave room for a name of 8.3 characters.
_LONGEST, _LONGEST_DIRECTORY = 259, 247
_FLAGS = ("O_BINARY", "O_TEXT", "O_NOINHERIT", "O_TEMPORARY", "O_RANDOM", "O_SEQUENTIAL", "O_SHORT_LIVED")
#: Above all of the kernel's own flags.
_BITS = {name: 1 << 24 + number for number, name in enumerate(_FLAGS)}
_UTILITY = (posix.getpid, posix.readlink, posix.listdir, fcntl.fcntl, fcntl.F_GETFL)
#: Descriptors whose line ends are translated.
_text: set[int] = set()
_nt: object = None


def native(path, *, longest=_LONGEST):
    """The path on this machine of a path of Windows. Descriptors are unchanged."""
    if isinstance(path, int):
        return path
    text = os.fsdecode(os.fspath(path))
    if text.lower() == "nul":
        return "/dev/null"
    drive, rest = _nt.splitdrive(text)
    parts = rest.replace("\\", "/").split("/")
    if drive not in ("", "C:", "c:"):
        raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", text)
    if any(_RESERVED.search(part) or _DEVICE.fullmatch(part) for part in parts):
        raise OSError(errno.EINVAL, "The filename, directory name, or volume label syntax is incorrect", text)
    if len(_nt.abspath(text)) > longest:
        raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", text)
    # Win32 removes dots and spaces at the end of a name.
    return "/".join(part if part in (".", "..") else part.rstrip(". ") for part in parts)


def _refuse_open(path: str, text: object) -> None:
    """Raise PermissionError if an emulated process has the file, or one below the directory, open."""
    pid, readlink, listdir, *_ = _UTILITY
    kept = os.environ.get(PROCESSES)
    below = posix.getcwd() + "/" + path if not path.startswith("/") else path
    below = str(PurePosixPath(below))
    for process in {str(pid()), *(listdir(kept) if kept else ())}:
        try:
            numbers = listdir(f"/proc/{process}/fd")
        except OSError:
            continue  # it has ended
        for number in numbers:
            try:
                target = readlink(f"/proc/{process}/fd/{number}")
            except OSError:
                continue
            if target == below or target.startswith(f"{below}/"):
                raise PermissionError(
                    errno.EACCES, "The process cannot access the file because it is being used", text
                )


def _shown(found, *, scanned=False):
    """What Windows' stat says: no owners, no modes but read-only, no inode of a scanned entry."""
    kind, writable = stat.S_IFMT(found.st_mode), found.st_mode & stat.S_IWUSR
    mode = kind | (0o777 if stat.S_ISDIR(found.st_mode) else 0o666 if writable else 0o444)
    inode, device, links = (0, 0, 0) if scanned else (found.st_ino, found.st_dev, found.st_nlink)
    times = {name: getattr(found, name) for name in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")}
    return os.stat_result((mode, inode, device, links, 0, 0, found.st_size, *found[7:10]), times)


class _Entry:
    """A DirEntry with a path of Windows."""

    def __init__(self, entry, folder) -> None:
        self._entry, self.name = entry, entry.name
        self.path = _nt.join(folder, entry.name)
        self.is_dir, self.is_file, self.is_symlink = entry.is_dir, entry.is_file, entry.is_symlink

    def __fspath__(self) -> str:
        return self.path

    def stat(self, *, follow_symlinks=True):
        return _shown(self._entry.stat(follow_symlinks=follow_symlinks), scanned=True)


class _Entries:
    def __init__(self, entries, folder) -> None:
        self._entries, self._folder = entries, folder

    def __iter__(self):
        return self

    def __next__(self):
        return _Entry(next(self._entries), self._folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self._entries.close()


def _no_dir_fd(*descriptors) -> None:
    if any(each is not None for each in descriptors):
        raise NotImplementedError("dir_fd unavailable on this platform")


def install(os, ntpath) -> None:  # noqa: C901 - one small function of Windows after the other
    """Replace the functions of ``os``, ``io`` and ``builtins``."""
    global _nt  # noqa: PLW0603 - native needs it before sys.modules has it
    _nt = ntpath
    if kept := os.environ.get(PROCESSES):
        posix.close(posix.open(f"{kept}/{posix.getpid()}", posix.O_CREAT | posix.O_WRONLY))
    *_, control, get_flags = _UTILITY
    plain_open = io.open

    def stat_(path, *, dir_fd=None, follow_symlinks=True):
        _no_dir_fd(dir_fd)
        return _shown(posix.stat(native(path), follow_symlinks=follow_symlinks))

    def open_(path, flags, mode=0o777, *, dir_fd=None):
        _no_dir_fd(dir_fd)
        own = sum(bit for bit in _BITS.values() if flags & bit)
        where = native(path)
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        found = posix.open(where, flags & ~own | posix.O_CLOEXEC, 0o600 if mode & 0o200 else 0o400)
        (_text.discard if own & _BITS["O_BINARY"] else _text.add)(found)
        return found

    def write(fd, data):
        if fd not in _text:
            return posix.write(fd, data)
        rest = bytes(data).replace(b"\n", b"\r\n")
        while rest:
            rest = rest[posix.write(fd, rest) :]
        return len(data)

    def read(fd, size):
        data = posix.read(fd, size)
        return data.replace(b"\r\n", b"\n").partition(b"\x1a")[0] if fd in _text else data

    def close(fd):
        _text.discard(fd)
        posix.close(fd)

    def fsync(fd):
        if control(fd, get_flags) & posix.O_ACCMODE == posix.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        posix.fsync(fd)

    def open_file(
        file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None
    ):
        if isinstance(file, int):
            _text.discard(file)  # FileIO sets a descriptor to binary
        elif opener is None:
            where = native(file)
            if os.path.isdir(file):
                raise PermissionError(errno.EACCES, "Permission denied", file)
            file = where
        if "b" not in mode:
            encoding = "cp1252" if encoding in (None, "locale") else encoding
            if newline is None and "r" not in mode:
                newline = "\r\n"
        return plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)

    def movable(old, new):
        _no_dir_fd()
        source, target = native(old), native(new)
        _refuse_open(source, old)
        return source, target

    def rename(old, new, *, src_dir_fd=None, dst_dir_fd=None):
        _no_dir_fd(src_dir_fd, dst_dir_fd)
        source, target = movable(old, new)
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", old)
        posix.rename(source, target)

    def replace(old, new, *, src_dir_fd=None, dst_dir_fd=None):
        _no_dir_fd(src_dir_fd, dst_dir_fd)
        source, target = movable(old, new)
        if os.path.isdir(new):
            raise PermissionError(errno.EACCES, "Access is denied", old)
        _refuse_open(target, new)
        posix.rename(source, target)

    def unlink(path, *, dir_fd=None):
        _no_dir_fd(dir_fd)
        where = native(path)
        if not stat_(path, follow_symlinks=False).st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, "Access is denied", path)
        _refuse_open(where, path)
        posix.unlink(where)

    def chmod(path, mode, *, dir_fd=None, follow_symlinks=True):
        _no_dir_fd(dir_fd)
        where = native(path)
        if not os.path.isdir(path):
            posix.chmod(where, 0o600 if mode & stat.S_IWUSR else 0o400)

    def mkdir(path, mode=0o777, *, dir_fd=None):
        _no_dir_fd(dir_fd)
        posix.mkdir(native(path, longest=_LONGEST_DIRECTORY), 0o755)

    def rmdir(path, *, dir_fd=None):
        _no_dir_fd(dir_fd)
        posix.rmdir(native(path))

    def symlink(*_, **__):
        raise OSError(errno.EPERM, "A required privilege is not held by the client")

    def realpath(path, *, strict=False):
        return ntpath.abspath(path)  # there are no links

    def access(path, mode, **_):
        return posix.access(native(path), mode)

    own = {
        "stat": stat_,
        "lstat": lambda path, *, dir_fd=None: stat_(path, dir_fd=dir_fd, follow_symlinks=False),
        "fstat": lambda fd: _shown(posix.fstat(fd)),
        "open": open_,
        "write": write,
        "read": read,
        "close": close,
        "fsync": fsync,
        "rename": rename,
        "replace": replace,
        "unlink": unlink,
        "remove": unlink,
        "chmod": chmod,
        "mkdir": mkdir,
        "rmdir": rmdir,
        "symlink": symlink,
        "access": access,
        "listdir": lambda path=".": posix.listdir(native(path)),
        "scandir": lambda path=".": _Entries(posix.scandir(native(path)), path),
        "utime": lambda path, *args, **keys: posix.utime(native(path), *args, **keys),
        "truncate": lambda path, length: posix.truncate(native(path), length),
        "chdir": lambda path: posix.chdir(native(path)),
        "getcwd": lambda: "C:" + posix.getcwd().replace("/", "\\"),
        "getlogin": lambda: os.environ["USERNAME"],
    }
    for name, function in own.items():
        setattr(os, name, function)
    for name, bit in _BITS.items():
        setattr(os, name, bit)
    io.open = builtins.open = open_file
    os.path, os.sep, os.altsep, os.pathsep, os.linesep, os.devnull = ntpath, "\\", "/", ";", "\r\n", "nul"
    ntpath.realpath = realpath
    sys.modules["os.path"] = ntpath
    system = types.ModuleType("nt")
    system._getdiskusage = lambda path: _usage(posix.statvfs(native(path)))
    sys.modules["nt"] = system


def _usage(found):
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
