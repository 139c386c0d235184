"""``msvcrt`` as far as irmexport needs it: locks on bytes of a file, between any two descriptors.

As docs.python.org/3/library/msvcrt.html and
learn.microsoft.com/cpp/c-runtime-library/reference/locking describe them: the region begins at the current
position and need not exist; another descriptor of the same process is refused as well; LK_NBLCK raises
OSError at once (EACCES), LK_LOCK after ten attempts, a second apart (EDEADLK); a lock ends with its
descriptor. Not shown: that others cannot read or write a locked byte.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time

LK_UNLCK, LK_LOCK, LK_NBLCK, LK_RLCK, LK_NBRLCK = range(5)

#: The kernel's own functions: those of fcntl and os are gone when this is called.
_control = fcntl.fcntl
_SET_LOCK, _WRITE, _NONE = fcntl.F_OFD_SETLK, fcntl.F_WRLCK, fcntl.F_UNLCK
_seek, _here = os.lseek, os.SEEK_CUR


def locking(fd: int, mode: int, nbytes: int) -> None:
    """Lock or unlock ``nbytes`` bytes of the open file ``fd`` from its current position."""
    kind = _NONE if mode == LK_UNLCK else _WRITE
    # struct flock of fcntl(2), on a 64-bit Linux: type, whence, start, length, pid.
    request = struct.pack("hhqqixxxx", kind, 0, _seek(fd, 0, _here), nbytes, 0)
    patient = mode in (LK_LOCK, LK_RLCK)
    for attempt in range(10 if patient else 1):
        if attempt:
            time.sleep(1)
        try:
            _control(fd, _SET_LOCK, request)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        else:
            return
    number = errno.EDEADLK if patient else errno.EACCES
    raise OSError(number, os.strerror(number))
