"""The hosts: those of Microsoft's clouds, and an emulator on this machine; nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.clouds import CLOUDS, RESOURCE_APP_ID, Endpoints, emulator_endpoints
from irmcore.errors import AddressRefused


def test_the_clouds() -> None:
    """The table is that of Microsoft's scripts."""
    assert dict(CLOUDS) == {
        "commercial": Endpoints(
            upload="https://webhook.ingestion.office.com", login="https://login.microsoftonline.com"
        ),
        "gcc": Endpoints(
            upload="https://webhook-gcc.ingestion.office365.us", login="https://login.microsoftonline.com"
        ),
        "gcc-high": Endpoints(
            upload="https://webhook-itarl4.ingestion.office365.us", login="https://login.microsoftonline.us"
        ),
        "dod": Endpoints(
            upload="https://webhook-itarl5.ingestion.apps.mil", login="https://login.microsoftonline.us"
        ),
    }
    assert RESOURCE_APP_ID == "86dfdabb-5089-4a0c-880a-cfa5a790c5b1"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("https://127.0.0.1:8443/", "https://127.0.0.1:8443"),
        ("https://127.0.0.1", "https://127.0.0.1"),
        ("https://127.1.2.3:1", "https://127.1.2.3:1"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("HTTPS://LOCALHOST:8443", "https://localhost:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_an_emulator_on_this_machine(url: str, base: str) -> None:
    """An https address on the loopback interface serves uploads and tokens."""
    assert emulator_endpoints(url) == Endpoints(upload=base, login=base)


REFUSED = (
    "`emulator` must be an https:// address on this machine's loopback interface. "
    "Give the address that `irmexport emulator` prints, for example https://127.0.0.1:8443"
)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://127.0.0.1:8443", "127.0.0.1"),
        ("ftp://127.0.0.1:8443", "127.0.0.1"),
        ("127.0.0.1:8443", "--emulator"),
        ("//127.0.0.1:8443", "127.0.0.1"),
        ("https:127.0.0.1", "--emulator"),
        ("https:///127.0.0.1", "--emulator"),
        ("", "--emulator"),
        ("https://", "--emulator"),
        ("https://webhook.ingestion.office.com", "webhook.ingestion.office.com"),
        ("https://127.0.0.1.evil.com", "127.0.0.1.evil.com"),
        ("https://localhost.evil.com", "localhost.evil.com"),
        ("https://evil.com/127.0.0.1", "evil.com"),
        ("https://evil.com#@127.0.0.1", "evil.com"),
        ("https://evil.com?@127.0.0.1", "evil.com"),
        ("https://127.0.0.1@evil.com", "evil.com"),
        ("https://127.0.0.1:8443@evil.com", "evil.com"),
        ("https://127.0.0.1\\@evil.com", "evil.com"),
        ("https://user@127.0.0.1:8443", "127.0.0.1"),
        ("https://user:hunter2@127.0.0.1:8443", "127.0.0.1"),
        ("https://:hunter2@127.0.0.1:8443", "127.0.0.1"),
        ("https://@127.0.0.1:8443", "127.0.0.1"),
        ("https://evil.com@127.0.0.1:8443", "127.0.0.1"),
        ("https://2130706433", "2130706433"),
        ("https://0x7f000001", "0x7f000001"),
        ("https://0177.0.0.1", "0177.0.0.1"),
        ("https://127.1", "127.1"),
        ("https://0.0.0.0", "0.0.0.0"),  # noqa: S104
        ("https://10.0.0.1", "10.0.0.1"),
        ("https://169.254.169.254", "169.254.169.254"),
        ("https://[::]", "::"),
        ("https://[fe80::1]", "fe80::1"),
        ("https://[::1", "--emulator"),
        ("https://127.0.0.1]", "--emulator"),
        ("https://127.0.0.1\u2100", "--emulator"),
        ("https://\uff11\uff12\uff17.0.0.1", "\uff11\uff12\uff17.0.0.1"),
        ("https://127.0.0.1:99999", "127.0.0.1"),
        ("https://127.0.0.1:port", "127.0.0.1"),
        ("https://127.0.0.1:0", "127.0.0.1"),
        ("https://127.0.0.1:8443/api", "127.0.0.1"),
        ("https://127.0.0.1:8443?x=1", "127.0.0.1"),
        ("https://127.0.0.1:8443#x", "127.0.0.1"),
        ("https://127.0.0.1 .evil.com", "127.0.0.1 .evil.com"),
    ],
)
def test_an_address_that_is_refused(url: str, where: str) -> None:
    """Any other host, scheme or form is refused; the message names the host and shows no password."""
    with pytest.raises(AddressRefused) as caught:
        emulator_endpoints(url)
    assert str(caught.value) == f"{where}: {REFUSED}"


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            (
                "https://",
                "127.0.0.1",
                "localhost",
                "[",
                "]",
                "::1",
                "@",
                ":",
                "/",
                "\\",
                "?",
                "#",
                ".",
                "evil.com",
                "8443",
                "%",
                "\u2100",
            )
        ),
        max_size=8,
    ).map("".join)
)
def test_no_text_leads_elsewhere(url: str) -> None:
    """Any text is refused or leads to this machine."""
    try:
        found = emulator_endpoints(url)
    except AddressRefused:
        return
    assert found.upload == found.login
    assert found.upload.startswith(("https://127.0.0.1", "https://localhost", "https://[::1"))
    assert not set("@/\\?# ") & set(found.upload[len("https://") :])
