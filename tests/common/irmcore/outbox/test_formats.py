"""What the line in ``FORMAT`` means together with ``outbox.json``."""

from __future__ import annotations

import pytest
from irmcore.disk import Place
from irmcore.errors import DamageError, UnknownFormat
from irmcore.outbox.formats import check
from irmcore.outbox.identity import Identity

OURS = Identity.new(Place("a-machine", "ext4", 7), 12.5)


def test_this_version_and_its_identity() -> None:
    """An outbox of this version is taken."""
    check(b"irmexport outbox 4\n", OURS, "/outbox/small")


@pytest.mark.parametrize(
    ("line", "identity", "error", "what", "step"),
    [
        (
            "irmexport outbox 4\n",
            None,
            DamageError,
            "outbox.json is missing",
            "outbox repair small",
        ),
        ("irmexport outbox 3\n", OURS, DamageError, "FORMAT is missing", "outbox repair small"),
        ("irmexport outbox 3\n", None, UnknownFormat, "format 3", "outbox migrate small"),
        ("irmexport outbox 5\n", OURS, DamageError, "FORMAT is missing", "outbox repair small"),
        ("irmexport outbox 5\n", None, UnknownFormat, "does not know", "or a later one"),
        ("irmexport outbox 12\n", None, UnknownFormat, "does not know", "or a later one"),
        ("irmexport outbox 5\nx", None, DamageError, "FORMAT is missing", "outbox repair small"),
        (
            "irmexport outbox 4, being rewritten\n",
            OURS,
            DamageError,
            "was interrupted",
            "outbox repair small",
        ),
        (
            "irmexport outbox 4, being rewritten\n",
            None,
            DamageError,
            "was interrupted",
            "outbox repair small",
        ),
        ("", OURS, DamageError, "FORMAT is missing", "outbox repair small"),
        (None, OURS, DamageError, "FORMAT is missing", "outbox repair small"),
        (None, None, DamageError, "FORMAT is missing", "outbox repair small"),
    ],
)
def test_another_format_or_damage(
    line: str | None, identity: Identity | None, error: type[Exception], what: str, step: str
) -> None:
    """Each is refused, and the message names the file and the command that helps."""
    with pytest.raises(error, match=what) as raised:
        check(line.encode() if line is not None else None, identity, "/outbox/small")
    damaged = what.removesuffix(" is missing")
    assert raised.value.where == "/outbox/small" + f"/{damaged}" * (damaged != what)  # type: ignore[attr-defined]
    assert step in raised.value.next_step  # type: ignore[attr-defined]
