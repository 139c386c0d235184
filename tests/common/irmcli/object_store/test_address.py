from __future__ import annotations

import pytest
from irmcli.object_store.address import Address, is_address, parse
from irmcore.errors import ConfigurationError

PUBLIC = "https://contoso.blob.core.windows.net"
GOOD = {
    "az://contoso/outboxes": Address("az", "contoso", "outboxes", "", PUBLIC),
    "az://contoso/outboxes/": Address("az", "contoso", "outboxes", "", PUBLIC),
    "az://contoso/outboxes/irm/one": Address("az", "contoso", "outboxes", "irm/one", PUBLIC),
    "az://contoso.blob.core.usgovcloudapi.net/outboxes/one": Address(
        "az", "contoso", "outboxes", "one", "https://contoso.blob.core.usgovcloudapi.net"
    ),
    "az://devstoreaccount1/outboxes/one?endpoint=http://127.0.0.1:10000": Address(
        "az", "devstoreaccount1", "outboxes", "one", "http://127.0.0.1:10000"
    ),
    "s3://contoso-outboxes/one?region=eu-central-1": Address(
        "s3", "", "contoso-outboxes", "one", "", "eu-central-1"
    ),
    "s3://a.bucket": Address("s3", "", "a.bucket", "", ""),
    "s3://bucket/one?endpoint=https://minio.contoso.com:9000": Address(
        "s3", "", "bucket", "one", "https://minio.contoso.com:9000"
    ),
    "s3://bucket?endpoint=http://[::1]:9000": Address("s3", "", "bucket", "", "http://[::1]:9000"),
}

BAD = {
    "outboxes/one": "begins with az:// or s3://",
    "https://contoso.blob.core.windows.net/outboxes": "begins with az:// or s3://",
    "AZ://contoso/outboxes": "begins with az:// or s3://",
    "az://": "the account's name",
    "az://Contoso/outboxes": "the account's name",
    "az://co/outboxes": "the account's name",
    "az://contoso": "the container is missing",
    "az://contoso/": "the container is missing",
    "az://contoso/ab": "a container's name",
    "az://contoso/two--dashes": "a container's name",
    "az://contoso/Outboxes": "a container's name",
    "az://contoso.example.com/outboxes": "host name ends with blob.core.windows.net",
    "az://contoso.blob.core.windows.net.example.com/outboxes": "host name ends with",
    "az://key@contoso/outboxes": "no user name, key or password",
    "az://contoso:443/outboxes": "neither a port nor a #",
    "az://contoso:port/outboxes": "not a URL",
    "az://contoso/outboxes#x": "neither a port nor a #",
    "az://contoso/outboxes/Prefix": "a prefix has",
    "az://contoso/outboxes/a//b": "a prefix has",
    "az://contoso/outboxes/a/../b": "a prefix has",
    "az://contoso/outboxes/a%20b": "a prefix has",
    "az://contoso/outboxes?sv=2022&sig=SECRET": "takes no signature",
    "az://contoso/outboxes?region=x": "the only options of this address are endpoint",
    "az://contoso/outboxes?endpoint=https://example.com": "only an emulator on this machine",
    "az://contoso/outboxes?endpoint=": "an endpoint is https://HOST",
    "az://contoso/outboxes?endpoint=https://127.0.0.1&endpoint=https://127.0.0.1": "given twice",
    "s3://": "a bucket's name",
    "s3://Bucket": "a bucket's name",
    "s3://ab": "a bucket's name",
    "s3://bucket-": "a bucket's name",
    "s3://a..bucket": "a bucket's name",
    "s3://bucket--use1-az4--x-s3": "does not list its keys in order",
    "s3://KEY:SECRET@bucket": "no user name, key or password",
    "s3://bucket?region=EU": "a region is a name",
    "s3://bucket?endpoint=http://minio.contoso.com": "begins with https://",
    "s3://bucket?endpoint=https://minio.contoso.com/path": "an endpoint is https://HOST",
    "s3://bucket?endpoint=https://KEY:SECRET@minio": "an endpoint is https://HOST",
    "s3://bucket?endpoint=ftp://127.0.0.1": "begins with https://",
    "s3://bucket?endpoint=https://host:0": "an endpoint is https://HOST",
    "s3://bucket?endpoint=https://host:99999": "an endpoint is https://HOST",
}


@pytest.mark.parametrize("text", GOOD)
def test_an_address(text: str) -> None:
    """Each part of it, as a value."""
    assert parse(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_a_mistake_has_its_message(text: str) -> None:
    """It says what is wrong and how an address is written, and repeats no part that could be a secret."""
    with pytest.raises(ConfigurationError) as raised:
        parse(text)
    assert BAD[text] in str(raised.value)
    assert raised.value.next_step.startswith("Write ")
    assert "SECRET" not in str(raised.value)
    assert "KEY" not in str(raised.value)


def test_an_address_is_shown_without_its_options() -> None:
    """As in messages; it leads to the same place."""
    assert str(parse("s3://bucket/one?region=eu-central-1")) == "s3://bucket/one"
    assert str(parse("az://contoso/outboxes")) == "az://contoso/outboxes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("az://x", True), ("S3://x", True), ("/var/lib/irmexport", False), ("s3", False), ("C:\\outbox", False)],
)
def test_a_directory_is_no_address(text: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """What a user means is decided by the scheme alone."""
    assert is_address(text) is expected
