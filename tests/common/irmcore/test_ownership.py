"""What decides where rows and credentials go is refused unless it is the user's own."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import struct
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from irmcore import profile as profiles
from irmcore.errors import ConfigurationError
from irmcore.ownership import only_member, require_own, require_own_tree

not_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that others may read."""
    path = tmp_path / "a file"
    path.write_text("x")
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o444])
def test_a_file_that_only_the_owner_changes(mode: int, file: Path) -> None:
    """Others may read a file that is not private."""
    file.chmod(mode)
    require_own(file, "settings file", ConfigurationError)


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
def test_a_file_that_others_change(mode: int, file: Path) -> None:
    """It is refused with the command that takes the right away, quoted for a shell."""
    file.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        require_own(file, "settings file", ConfigurationError)
    assert f"other users may change the settings file (mode {mode:04o})" in str(caught.value)
    assert caught.value.next_step.endswith(f"chmod go-w '{file}'")


@not_root
@pytest.mark.parametrize("mode", [0o664, 0o620])
def test_a_file_that_a_group_changes(mode: int, file: Path) -> None:
    """The same for a group with other members, or one that this system does not know."""
    for group in (os.getegid() + 12345, shared_group()):
        os.chown(file, -1, group)
        file.chmod(mode)
        with pytest.raises(ConfigurationError, match=f"mode {mode:04o}") as caught:
            require_own(file, "settings file", ConfigurationError)
        assert caught.value.next_step.endswith(f"chmod go-w '{file}'")


def shared_group() -> int:
    """A group that somebody else is in: the primary one of another account."""
    return next(one.pw_gid for one in pwd.getpwall() if one.pw_uid not in (0, os.geteuid()))


ANN, BOB = ("ann", 1001, 1001), ("bob", 1002, 1002)


@pytest.mark.parametrize(
    ("names", "accounts", "private"),
    [
        ([], [ANN, BOB], True),
        (["ann"], [ANN, BOB], True),
        (["ann"], [("ann", 1001, 100), BOB], True),
        (["bob"], [ANN, BOB], False),
        (["ann", "bob"], [ANN, BOB], False),
        (["unknown"], [ANN, BOB], False),
        ([], [ANN, ("bob", 1002, 1001)], False),
        ([], [("ann", 1001, 100), BOB], False),
        ([], [ANN, ("ann-too", 1001, 1001)], True),
    ],
)
def test_a_group_of_one_user(
    names: list[str], accounts: list[tuple[str, int, int]], *, private: bool
) -> None:
    """A user's private group has nobody else in it, in the group file or by primary group."""
    assert only_member(1001, 1001, names, accounts) is private


def test_a_file_that_the_private_group_of_its_owner_changes(file: Path) -> None:
    """It is accepted, where this user has such a group, as on Ubuntu; a secret is not."""
    group = file.stat().st_gid
    accounts = [(one.pw_name, one.pw_uid, one.pw_gid) for one in pwd.getpwall()]
    private = only_member(os.geteuid(), group, grp.getgrgid(group).gr_mem, accounts)
    file.chmod(0o664)
    with nullcontext() if private else pytest.raises(ConfigurationError, match="other users may change"):
        require_own(file, "settings file", ConfigurationError)
    with pytest.raises(ConfigurationError, match="other users may read"):
        require_own(file, "settings file", ConfigurationError, private=True)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' lists are not read")
def test_an_access_control_list_that_lets_another_user_write(file: Path) -> None:
    """The group's bits are then the most that the list gives to anybody: a private group does not count."""
    entries = [(1, 6, -1), (2, 6, 12345), (4, 0, -1), (16, 6, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(file, "system.posix_acl_access", acl)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return  # a file system without such lists has nothing to refuse
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    with pytest.raises(ConfigurationError, match="other users may change"):
        require_own(file, "settings file", ConfigurationError)


@not_root
def test_a_file_of_another_user(file: Path) -> None:
    """It is refused with the command that changes its owner."""
    os.chown(file, 12345, -1)
    with pytest.raises(ConfigurationError, match=r"belongs to another user \(uid 12345\)") as caught:
        require_own(file, "settings file", ConfigurationError)
    assert caught.value.next_step.endswith(f"chown {os.geteuid()} '{file}'")


def test_a_link(file: Path, tmp_path: Path) -> None:
    """A link is refused, unless it is a path that the user gave: then its target is checked."""
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(ConfigurationError, match="is a link, which is not followed"):
        require_own(link, "settings file", ConfigurationError)
    require_own(link, "settings file", ConfigurationError, link=True)
    file.chmod(0o666)
    with pytest.raises(ConfigurationError, match="other users may change"):
        require_own(link, "settings file", ConfigurationError, link=True)


def test_a_directory_with_a_name_that_is_not_the_users_own(tmp_path: Path) -> None:
    """One link, or one file that others may change, is enough to refuse an outbox."""
    require_own_tree(str(tmp_path / "none"), ConfigurationError)
    (tmp_path / "connector.json").write_text("{}")
    require_own_tree(str(tmp_path), ConfigurationError)
    (tmp_path / "ready").symlink_to(tmp_path.parent)
    with pytest.raises(ConfigurationError, match="file of the outbox is a link"):
        require_own_tree(str(tmp_path), ConfigurationError)
    (tmp_path / "ready").unlink()
    (tmp_path / "connector.json").chmod(0o666)
    with pytest.raises(ConfigurationError, match="file of the outbox"):
        require_own_tree(str(tmp_path), ConfigurationError)


def test_a_profile_that_others_may_change(tmp_path: Path) -> None:
    """A profile decides where a credential is and where rows go: it is refused unread."""
    path = tmp_path / "p.yaml"
    path.write_text(profiles.shipped_text("leaver-prediction"))
    path.chmod(0o644)
    assert profiles.read(str(path)).name == "leaver-prediction"
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"other users may change the profile \(mode 0666\)"):
        profiles.read(str(path))


@not_root
def test_a_profile_of_another_user(tmp_path: Path) -> None:
    """The same for a profile that another user wrote."""
    path = tmp_path / "p.yaml"
    path.write_text(profiles.shipped_text("leaver-prediction"))
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigurationError, match="the profile belongs to another user"):
        profiles.read(str(path))
