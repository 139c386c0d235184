"""What a disk holds after a power loss: everything that was synced, and any part of the rest.

The model is stricter than a journaling file system: of the writes and names that were not synced, any
subset may survive, in any combination. It assumes two things that ext4, XFS, Btrfs, APFS and NTFS guarantee:
a rename is there or not, never half; and a sector of 512 bytes is old or new.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Union

SECTOR_BYTES = 512
ROOT = 0

LOST = -1
WHOLE = -2
ZEROS = -3  # the file has grown, but its data is lost
# Any other form is a number of bytes: a write that was torn after them.


class Write(NamedTuple):
    file: int
    offset: int
    data: bytes


class Link(NamedTuple):
    directory: int
    name: str
    node: int


class Unlink(NamedTuple):
    directory: int
    name: str
    node: int


class Move(NamedTuple):
    old_directory: int
    old_name: str
    directory: int
    name: str
    node: int


Operation = Union[Write, Link, Unlink, Move]


@dataclass(frozen=True)
class Medium:
    """Files and directories by node number. A missing node is empty."""

    files: Mapping[int, bytes]
    directories: Mapping[int, Mapping[str, int]]

    def tree(self, node: int = ROOT, path: str = "") -> Iterator[tuple[str, bytes | None]]:
        """Every reachable path with its bytes; None for a directory."""
        for name, child in sorted(self.directories.get(node, {}).items()):
            here = f"{path}/{name}"
            if child in self.directories:
                yield here, None
                yield from self.tree(child, here)
            else:
                yield here, self.files.get(child, b"")


EMPTY = Medium({}, {ROOT: {}})


def written(old: bytes, offset: int, data: bytes) -> bytes:
    """``old`` with ``data`` at ``offset``."""
    return old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :]


def applied(medium: Medium, operations: Sequence[tuple[Operation, int]]) -> Medium:
    """The medium after each operation survived in its given form."""
    files = dict(medium.files)
    directories = {node: dict(names) for node, names in medium.directories.items()}
    for operation, way in operations:
        if way == LOST:
            continue
        if isinstance(operation, Write):
            old = files.get(operation.file, b"")
            end = operation.offset + len(operation.data)
            if way == ZEROS:
                files[operation.file] = old.ljust(end, b"\0")
            else:
                data = operation.data if way == WHOLE else operation.data[:way]
                files[operation.file] = written(old, operation.offset, data)
            continue
        names = directories.setdefault(operation.directory, {})
        if isinstance(operation, Move):
            # What is moved has one name, even if an earlier move of it is lost.
            for others in directories.values():
                for other in [name for name, node in others.items() if node == operation.node]:
                    del others[other]
            names[operation.name] = operation.node
        elif isinstance(operation, Link):
            names[operation.name] = operation.node
        elif names.get(operation.name) == operation.node:
            del names[operation.name]
    return Medium(files, directories)


def ways(operation: Operation) -> list[int]:
    """The forms in which an operation that was not synced may survive."""
    found = [WHOLE, LOST]
    if isinstance(operation, Write):
        end = operation.offset + len(operation.data)
        first = SECTOR_BYTES - operation.offset % SECTOR_BYTES
        found.extend(range(first, len(operation.data), SECTOR_BYTES))
        if end:
            found.append(ZEROS)
    return found


def survivals(pending: Sequence[Operation], limit: int, seed: int) -> Iterator[tuple[int, ...]]:
    """The forms of all pending operations: every combination if there are at most ``limit``, else a sample.

    A sample has each form of each single operation with all others complete, and with all others lost;
    the rest, up to ``limit``, is random with ``seed``.
    """
    choices = [ways(operation) for operation in pending]
    total = 1
    for choice in choices:
        total *= len(choice)
    if total <= limit:
        yield from itertools.product(*choices)
        return
    corners: dict[tuple[int, ...], None] = {}
    for others in (WHOLE, LOST):
        corners[(others,) * len(choices)] = None
    for others in (WHOLE, LOST):
        for at, choice in enumerate(choices):
            for way in choice:
                combination = [others] * len(choices)
                combination[at] = way
                corners[tuple(combination)] = None
    rng = random.Random(seed)  # noqa: S311 - a sample, not a secret
    sample = list(corners)
    if len(sample) > limit:
        sample = (sample[:2] + rng.sample(sample[2:], max(0, limit - 2)))[:limit]
    yield from sample
    for _ in range(limit - len(sample)):
        yield tuple(rng.choice(choice) for choice in choices)
