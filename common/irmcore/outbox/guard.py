"""Whether an outbox may be used where it is: never on a network file system, never a copy."""

from __future__ import annotations

from irmcore.disk import Place
from irmcore.errors import PlaceRefused
from irmcore.outbox.identity import Identity

#: File systems of several machines: a lock may hold on each of them alone.
NETWORK = (
    *("nfs", "cifs", "smb", "9p", "afs", "lustre", "ceph", "glusterfs", "gfs2", "ocfs2", "gpfs", "beegfs"),
    *("coda", "ncpfs", "davfs", "vboxsf", "vmhgfs", "prl_fs", "virtiofs"),
    *(f"fuse.{name}" for name in ("sshfs", "glusterfs", "ceph", "s3fs", "rclone", "gcsfuse", "blobfuse")),
    *(f"fuse.{name}" for name in ("davfs", "vmhgfs", "mount-s3", "goofys", "hdfs", "moosefs", "juicefs")),
)


def check(identity: Identity | None, place: Place, path: str) -> None:
    """Raises PlaceRefused unless the outbox ``path`` may be used at ``place``."""
    refuse_network(place.file_system, path)
    if identity is None:
        return
    name = path.rsplit("/", 1)[1]
    if identity.retired:
        raise PlaceRefused(
            "this outbox is retired, so it accepts and sends nothing",
            where=path,
            next_step=f"Send from the outbox that replaced it. `irmexport outbox export {name}` writes the "
            "rows that are still queued here.",
        )
    difference = identity.difference(place)
    if difference:
        raise PlaceRefused(
            f"{difference}, so it accepts and sends nothing: the original may send the same rows",
            where=path,
            next_step="If the original is gone or retired, run `irmexport outbox adopt "
            f"{name} --why REASON`. "
            f"Otherwise run `irmexport outbox retire {name} --why REASON` here.",
        )


def refuse_network(file_system: str, path: str) -> None:
    """Raises PlaceRefused for a network file system."""
    if file_system.startswith(NETWORK):
        raise PlaceRefused(
            f"an outbox must not be on a network file system ({file_system}): its locks may not hold, "
            "and rows could be sent twice",
            where=path,
            next_step="Choose a directory on a local disk with --outbox.",
        )
