r"""A Python that behaves like one on Windows, where the difference can reach irmexport's files.

A child process gets it by having this directory first in PYTHONPATH. Python imports a module of this name at
its start (docs.python.org/3/library/site.html). What differs then:

- A name that Windows' Python lacks is absent: os.fork, os.geteuid, os.fchmod, os.pread, os.O_DIRECTORY,
  fcntl, pwd and so on. typeshed says which: it checks its stubs against a running Python of each
  system, and agrees with the "Availability" notes of docs.python.org/3/library/os.html.
- Paths have a drive and backslashes, and ``os.path`` is ntpath: C:\ is the root of this machine. A path of
  260 characters or more, a reserved character and a reserved name are refused
  (learn.microsoft.com/windows/win32/fileio/naming-a-file).
- A directory cannot be opened, and a file that an emulated process has open cannot be renamed, replaced or
  deleted: C's run-time opens files with FILE_SHARE_READ and FILE_SHARE_WRITE only
  (learn.microsoft.com/cpp/c-runtime-library/reference/fsopen-wfsopen, _SH_DENYNO).
- os.rename does not replace a file; os.fsync needs a descriptor that may write; modes, owners, ``dir_fd`` and
  a scanned entry's inode do not exist (docs.python.org/3/library/os.html).
- Text files, and descriptors without os.O_BINARY, have CRLF; text is CP1252 unless an encoding is given.
- ``msvcrt`` locks bytes, as fake_msvcrt.py says.

It cannot show: what NTFS does at a power loss; access control lists; names that differ only in case; that
others cannot read a locked byte; consoles; the registry, the certificate store and the proxy of Windows;
signals; programs that a command starts; and the modules of ``_EARLY``, which are imported before the change
and so behave as on this system. C code that takes a path does so by the wrappers of ``_c_paths`` only.
"""

from __future__ import annotations

import sys

#: Standard modules that would load a module of Windows in C, and click, which would load the console.
_EARLY = [
    *("asyncio", "ctypes", "getpass", "selectors", "socket", "sqlite3", "ssl", "subprocess", "uuid"),
    *("click", "click.testing", "click.shell_completion", "click._termui_impl"),
]
#: Modules that decide at import which system they are on, to be imported anew.
_ANEW = ("pathlib", "shutil", "tempfile", "glob", "fnmatch", "importlib.resources._common")


def _c_paths(native: object) -> None:
    """Let the C functions that take a path get the one of this machine."""
    import sqlite3
    import ssl

    def wrapped(function, *positions):
        def call(*args, **keywords):
            args = [native(arg) if n in positions and arg is not None else arg for n, arg in enumerate(args)]
            for name in ("cafile", "capath", "certfile", "keyfile"):
                if keywords.get(name) is not None:
                    keywords[name] = native(keywords[name])
            return function(*args, **keywords)

        return call

    ssl.SSLContext.load_verify_locations = wrapped(ssl.SSLContext.load_verify_locations, 1, 2)
    ssl.SSLContext.load_cert_chain = wrapped(ssl.SSLContext.load_cert_chain, 1, 2)
    ssl.enum_certificates = ssl.enum_crls = lambda store: []
    connect = sqlite3.connect

    def connected(database, *args, **keywords):
        uri = str(database).startswith("file:///")  # sqlite.org/uri.html: file:///C:/Documents/x.db
        here = database.replace("file:///C:", "file://", 1) if uri else native(database)
        return connect(here, *args, **keywords)

    sqlite3.connect = connected


def _become_windows() -> None:
    for name in _EARLY:
        __import__(name)
    import ntpath
    import os
    import signal
    import time

    import fake_msvcrt
    import windows_files
    import windows_names

    for name in _ANEW:
        sys.modules.pop(name, None)
    windows_files.install(os, ntpath)
    _c_paths(windows_files.native)
    for module in (os, signal, time):
        for name in windows_names.missing(module.__name__):
            if hasattr(module, name):
                delattr(module, name)
    for name in windows_names.MODULES:
        sys.modules[name] = None  # importing it raises ModuleNotFoundError
    sys.modules["msvcrt"] = fake_msvcrt
    os.supports_dir_fd = os.supports_fd = os.supports_effective_ids = os.supports_follow_symlinks = set()
    os.name, sys.platform, sys._vpath = "nt", "win32", ""
    ctypes, sys.modules["ctypes"] = sys.modules["ctypes"], None  # platformdirs shall read the environment
    __import__("platformdirs.windows")
    sys.modules["ctypes"] = ctypes
    for stream in (sys.stdout, sys.stderr, sys.stdin):  # of a pipe; a console has UTF-8
        if stream is not None:
            stream.reconfigure(encoding="cp1252", newline="\r\n" if stream is not sys.stdin else None)


_become_windows()
