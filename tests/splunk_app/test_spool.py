"""The spool: a full disk is reported before a reply, and multivalue cells are detected."""

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
def test_several_values_differ_from_one_with_dollar_signs(encoded: str, several: bool) -> None:  # noqa: FBT001
    """Several values may be empty; doubled dollar signs belong to a value."""
    assert is_list(encoded) is several


def test_a_full_disk_is_reported_after_reading_the_request(tmp_path: Path) -> None:
    """The spool raises OutboxFull after it has read the request to its end."""
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


def test_a_missing_dispatch_directory_is_reported(tmp_path: Path) -> None:
    """Without its directory the spool raises OutboxFull."""
    with pytest.raises(OutboxFull, match="cannot be written"):
        Spool(str(tmp_path / "gone"))
