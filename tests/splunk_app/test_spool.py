"""What the spool says of a cell that Splunk has encoded as a list."""

from __future__ import annotations

import pytest
from irmsplunk.spool import is_list


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
