"""User principal names: their canonical spelling, or the reason for a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.reasons import REASONS, Refused
from irmcore.shaping.upn import canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sarad@contoso.com", "sarad@contoso.com"),
        ("SaraD@Contoso.COM", "sarad@contoso.com"),
        ("  sarad@contoso.com ", "sarad@contoso.com"),
        ("sara.d@contoso.com", "sara.d@contoso.com"),
        ("sara_d-x@contoso.com", "sara_d-x@contoso.com"),
        ("O'Neil@contoso.com", "o'neil@contoso.com"),
        ("a!b#c^d~e@contoso.com", "a!b#c^d~e@contoso.com"),
        ("-_~@contoso.com", "-_~@contoso.com"),
        ("a..b@contoso.com", "a..b@contoso.com"),
        ("7@1.2", "7@1.2"),
        ("sarad@eu.mail.contoso.com", "sarad@eu.mail.contoso.com"),
        ("sarad@xn--bcher-kva.example", "sarad@xn--bcher-kva.example"),
        ("sarad@365-contoso.onmicrosoft.com", "sarad@365-contoso.onmicrosoft.com"),
        (
            "bradh_fabrikam.com#EXT#@contoso.onmicrosoft.com",
            "bradh_fabrikam.com#ext#@contoso.onmicrosoft.com",
        ),
        ("s" * 64 + "@contoso.com", "s" * 64 + "@contoso.com"),
        ("sarad@" + "c" * 44 + ".com", "sarad@" + "c" * 44 + ".com"),
        ("S" * 64 + "@" + "C" * 44 + ".COM", "s" * 64 + "@" + "c" * 44 + ".com"),
    ],
)
def test_a_user_principal_name(text: str, expected: str) -> None:
    """Spellings that Entra treats as one user become the same."""
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("?ambiguous j.smith: jane@contoso.com, john@contoso.com", "user-ambiguous"),
        (" ?unknown CONTOSO\\zo\u00eb", "user-unknown"),
        ("?validity-unknown a: a@contoso.com", "user-validity-unknown"),
        ("?unknown", "upn-without-domain"),
        ("?other a@contoso.com", "upn-malformed"),
        ("", "upn-malformed"),
        ("   ", "upn-malformed"),
        ("@", "upn-malformed"),
        ("@contoso.com", "upn-malformed"),
        ("sarad@", "upn-malformed"),
        ("sarad@contoso", "upn-malformed"),
        ("sarad@contoso.", "upn-malformed"),
        ("sarad@.contoso.com", "upn-malformed"),
        ("sarad@contoso..com", "upn-malformed"),
        ("sarad@contoso.com.", "upn-malformed"),
        ("sarad@-contoso.com", "upn-malformed"),
        ("sarad@contoso-.com", "upn-malformed"),
        ("sarad@contoso.com-", "upn-malformed"),
        ("sarad@con_toso.com", "upn-malformed"),
        ("sarad@[10.0.0.1]", "upn-malformed"),
        (".sarad@contoso.com", "upn-malformed"),
        (f"sarad@{47 * 'c'}-", "upn-malformed"),
        (f"sarad@{48 * 'c'}-", "upn-too-long"),
        (f".{63 * 's'}@contoso.com", "upn-malformed"),
        (f".{64 * 's'}@contoso.com", "upn-too-long"),
        ("sarad.@contoso.com", "upn-malformed"),
        (".@contoso.com", "upn-malformed"),
        ("sara d@contoso.com", "upn-malformed"),
        ("sarad @contoso.com", "upn-malformed"),
        ("sarad@ contoso.com", "upn-malformed"),
        ("sara+d@contoso.com", "upn-malformed"),
        ("sara&d@contoso.com", "upn-malformed"),
        ("sara/d@contoso.com", "upn-malformed"),
        ("sarad@@contoso.com", "upn-malformed"),
        ("sarad@contoso.com@fabrikam.com", "upn-malformed"),
        ("sarad@contoso.com;bradh@contoso.com", "upn-malformed"),
        ("Sara Davis <sarad@contoso.com>", "upn-malformed"),
        ("\tsarad@contoso.com", "upn-malformed"),
        ("sarad@contoso.com\n", "upn-malformed"),
        ("sarad\0@contoso.com", "upn-malformed"),
        ("CONTOSO\\sarad@contoso.com", "upn-malformed"),
        ("CONTOSO\\sarad", "upn-down-level-name"),
        (" CONTOSO\\Sara Davis ", "upn-down-level-name"),
        ("CONTOSO\\zo\u00eb", "upn-down-level-name"),
        ("sarad", "upn-without-domain"),
        ("Sara Davis", "upn-without-domain"),
        ("S-1-5-21-397955417-626881126-188441444-1010", "upn-without-domain"),
        ("s" * 200, "upn-without-domain"),
        ("\\", "upn-without-domain"),
        ("zo\u00eb@contoso.com", "upn-not-ascii"),
        ("zoe\u0308@contoso.com", "upn-not-ascii"),
        ("sarad@b\u00fccher.example", "upn-not-ascii"),
        ("sar\u0430d@contoso.com", "upn-not-ascii"),
        ("sarad@\u212aontoso.com", "upn-not-ascii"),
        ("sarad\u200b@contoso.com", "upn-not-ascii"),
        ("\ufeffsarad@contoso.com", "upn-not-ascii"),
        ("\u00a0sarad@contoso.com", "upn-not-ascii"),
        ("sarad\uff20contoso.com", "upn-not-ascii"),
        ("sarad\u0661@contoso.com", "upn-not-ascii"),
        ("sarad\udcff@contoso.com", "upn-not-ascii"),
        ("s" * 65 + "@contoso.com", "upn-too-long"),
        ("sarad@" + "c" * 45 + ".com", "upn-too-long"),
        ("sarad@" + "c" * 64 + ".com", "upn-too-long"),
    ],
)
def test_a_name_that_is_refused(text: str, expected: str) -> None:
    """Text that is not a user principal name is refused with the most helpful reason."""
    with pytest.raises(Refused) as caught:
        canonical(text)
    assert caught.value.code == expected


@given(
    st.from_regex(r"[a-zA-Z0-9'_!#^~.-]{1,65}@[a-zA-Z0-9-]{1,30}(\.[a-zA-Z0-9-]{1,20}){0,2}")
    | st.text(st.characters())
    | st.text("aZ9.@-_ \\#\u0130\u212a")
)
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """A result is ASCII in lower case, short enough, and stable."""
    try:
        name = canonical(text)
    except Refused as refused:
        if refused.code not in REASONS:
            raise
        return
    assert name == text.strip(" ").lower()
    assert name.isascii()
    assert len(name) <= 113
    assert canonical(name) == canonical(name.upper()) == name
