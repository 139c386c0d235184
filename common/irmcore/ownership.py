"""Whose files these are: what decides where rows and credentials go must be the user's own.

A file or directory is the user's own if it belongs to the user who runs this process, or to root, and if
nobody else may write to it. A group may, if its owner is the only member, as Debian's OpenSSH allows: there,
each user has such a group, and a umask of 002. A message has the chown or chmod command that corrects it.
An access control list on Linux shows in the group's bits, and is not read further. Not promised: other such
lists, and names in a group that a directory service does not list. On Windows, which has no such modes,
nothing is checked.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
import sys
from collections.abc import Collection, Iterable
from typing import Callable

#: An error class of irmcore.errors, which is on this module's own floor.
MakeError = Callable[..., Exception]


def require_own(
    path: str | os.PathLike[str],
    what: str,
    error: MakeError,
    *,
    link: bool = False,
    private: bool = False,
) -> None:
    """Raise ``error`` if what is at ``path`` exists and is not the user's own.

    ``what`` names it, without "the". ``link``: follow a link, as for a path that the user gave; otherwise a
    link is refused. ``private``: others must not read it either. Raises OSError if it cannot be examined.
    """
    try:
        found = os.stat(path) if link else os.lstat(path)
    except FileNotFoundError:
        return
    require_own_stat(found, path, what, error, private=private)


def require_own_tree(path: str, error: MakeError) -> None:
    """Raise ``error`` unless a connector's directory, and every name in it, is the user's own.

    Whoever could write to one of them could have changed anything below. A link is refused.
    """
    require_own(path, "outbox", error)
    for name in os.listdir(path) if os.path.isdir(path) else []:
        require_own(f"{path}/{name}", "file of the outbox", error)


def require_own_stat(
    found: os.stat_result,
    path: str | os.PathLike[str],
    what: str,
    error: MakeError,
    *,
    private: bool = False,
) -> None:
    """The same for an open file or a directory, of which ``found`` is what fstat says."""
    if sys.platform == "win32":
        return
    place, word = os.fspath(path), shlex.quote(os.fspath(path))
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        raise error(
            f"the {what} is a link, which is not followed",
            where=place,
            next_step=f"If you do not know who made it, find out. To remove it, run: rm {word}",
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise error(
            f"the {what} belongs to another user (uid {found.st_uid})",
            where=place,
            next_step="Run irmexport as that user. If you trust what it holds, you can run as root instead: "
            f"chown {os.geteuid()} {word}",
        )
    group_writes = mode & stat.S_IWGRP and (
        _has_access_list(place) or not _is_private_group(found.st_gid, found.st_uid)
    )
    if mode & 0o077 if private else mode & stat.S_IWOTH or group_writes:
        right = "700" if stat.S_ISDIR(found.st_mode) else "600"
        doing, change = ("read", right) if private else ("change", "go-w")
        raise error(
            f"other users may {doing} the {what} (mode {mode:04o})",
            where=place,
            next_step=f"Check what it holds, then run: chmod {change} {word}",
        )


def _has_access_list(path: str) -> bool:
    """Whether a file has POSIX access control lists. Then the group's bits are not the group's alone."""
    if sys.platform != "linux":
        return False
    try:
        return bool(os.getxattr(path, "system.posix_acl_access"))
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.ENOTSUP)


def _is_private_group(gid: int, uid: int) -> bool:
    """Whether the user ``uid`` is the only member of the group that this system knows."""
    import grp  # noqa: PLC0415 - not on Windows
    import pwd  # noqa: PLC0415

    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
    accounts = [(account.pw_name, account.pw_uid, account.pw_gid) for account in pwd.getpwall()]
    return only_member(uid, gid, names, accounts)


def only_member(uid: int, gid: int, names: Iterable[str], accounts: Collection[tuple[str, int, int]]) -> bool:
    """Whether nobody but ``uid`` is in the group ``gid``, and that user is.

    ``names`` are those in the group file; ``accounts`` have name, uid and primary group. Pure.
    """
    uids = {name: number for name, number, _ in accounts}
    users = {uids.get(name) for name in names} | {number for _, number, group in accounts if group == gid}
    return users == {uid}
