"""The line in ``FORMAT``, and what follows from it.

``FORMAT`` and ``outbox.json`` each restore the other. A later format MUST replace ``outbox.json`` first: a
``FORMAT`` that contradicts a valid ``outbox.json`` of this version is damage.
"""

from __future__ import annotations

import re

from irmcore.errors import DamageError, UnknownFormat
from irmcore.outbox.identity import Identity

FILE = "FORMAT"
LINE = b"irmexport outbox 4\n"
#: What a migration starts from, and what the file says until it or a rotation of the key is complete.
OLD_LINE = b"irmexport outbox 3\n"
REWRITING_LINE = b"irmexport outbox 4, being rewritten\n"
_ANY_LINE = re.compile(rb"irmexport outbox [0-9]+\n")


def check(line: bytes | None, identity: Identity | None, path: str) -> Identity:
    """``identity``, if it and ``line`` are those of this version. Raises UnknownFormat, DamageError."""
    name = path.rsplit("/", 1)[1]
    if line == LINE and identity is not None:
        return identity
    if line == OLD_LINE and identity is None:
        raise UnknownFormat(
            "this outbox has format 3, and this version of irmexport uses format 4",
            where=path,
            next_step=f"Run `irmexport outbox migrate {name}` once.",
        )
    if line == REWRITING_LINE:
        raise DamageError(
            "a migration or a rotation of the key was interrupted",
            where=path,
            next_step=f"Run `irmexport outbox repair {name}` to finish it. No row is lost.",
        )
    if line is not None and line != LINE and identity is None and _ANY_LINE.fullmatch(line):
        raise UnknownFormat(
            "this version of irmexport does not know the format of this outbox",
            where=path,
            next_step="Use the irmexport version that wrote it, or a later one.",
        )
    broken = "outbox.json" if line == LINE else FILE
    raise DamageError(
        f"{broken} is missing or damaged, so nothing is accepted or sent",
        where=f"{path}/{broken}",
        next_step=f"Run `irmexport outbox repair {name}`, which restores it.",
    )
