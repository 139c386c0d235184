"""The spool: a full disk is told before an answer, and a list is told from a value."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from irmcore.errors import OutboxFull
from irmsplunk.export.spool import Spool, is_list


@pytest.mark.parametrize(
    ("encoded", "several"),
    [
        ("$x$", False),
        ("$$", False),
        ("$a$$b$", False),
        ("$a$$;$$b$", False),
        ("$x$;$y$", True),
        ("$x$;$$;$y$", True),
        ("$$;$second$", True),
        ("$a$$$;$b$", True),
    ],
)
def test_a_list_is_told_from_a_value_with_dollars(encoded: str, several: bool) -> None:  # noqa: FBT001
    """Several values, also empty ones, are a list; doubled dollars are the value's own."""
    assert is_list(encoded) is several


def test_a_full_disk_is_told_after_the_request_was_read(tmp_path: Path) -> None:
    """What cannot be spooled is OutboxFull at once, and the request is read to its end."""
    pieces = iter([b"x" * 50_000] * 4)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    spool = Spool(str(tmp_path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutboxFull, match="cannot be written"):
            spool.add(pieces)
        spool.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(pieces) == []


def test_a_dispatch_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    """Without its directory the spool says so in words."""
    with pytest.raises(OutboxFull, match="cannot be written"):
        Spool(str(tmp_path / "gone"))
