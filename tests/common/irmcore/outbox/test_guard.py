"""Network file systems are refused by their type; local ones are not."""

from __future__ import annotations

import pytest
from irmcore.errors import PlaceRefused
from irmcore.outbox.guard import refuse_network


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "afs", "fuse.sshfs", "vboxsf", "lustre", "ceph"]
)
def test_a_network_file_system_is_refused(kind: str) -> None:
    """Two machines may each hold its locks."""
    with pytest.raises(PlaceRefused, match=f"network file system .{kind}."):
        refuse_network(kind, "/outbox/small")


@pytest.mark.parametrize(
    "kind", ["", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "fuse.mergerfs"]
)
def test_a_local_file_system_is_not(kind: str) -> None:
    """Also one whose type is unknown."""
    refuse_network(kind, "/outbox/small")
