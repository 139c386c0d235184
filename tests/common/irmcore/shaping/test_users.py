"""The memory of resolved names: bounded, and without a change of any answer."""

from __future__ import annotations

from irmcore.shaping.users import EXCLUDED, Users


def test_a_limited_number_of_names_is_remembered() -> None:
    """After more than 250,000 names, good and refused ones together, the memory begins anew."""
    users = Users(None, {"gone@contoso.com": EXCLUDED})
    names = [f"u{number}@contoso.com" for number in range(250_000)]
    assert users.column(names, [0] * len(names)) == names
    assert users.user("gone@contoso.com", 0) == EXCLUDED
    assert len(users._known) == 250_001  # noqa: SLF001 - memory is not visible otherwise
    assert users.user("last@contoso.com", 0) == "last@contoso.com"
    assert list(users._known) == ["last@contoso.com"]  # noqa: SLF001
