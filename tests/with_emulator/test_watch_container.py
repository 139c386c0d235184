"""`irmexport watch s3://…` sends each file of a bucket once."""

from __future__ import annotations

import secrets

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcli.object_store.address import parse
from irmcli.object_store.container import Container

from tests.fakes.cloud_servers import AWS, MotoS3
from tests.with_emulator.connector import HEADER, Rig, row

BAD = "bradh,Name,Low,50,2026-11-20T00:00:00Z,Salesforce,text,"


def text(*rows: str) -> bytes:
    """A CSV file's bytes."""
    return ("\n".join([HEADER, *rows]) + "\n").encode()


@pytest.fixture
def bucket(s3: MotoS3, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty prefix, with the rig's outbox."""
    for name, value in {
        **AWS,
        "IRMEXPORT_CA_FILE": str(s3.ca_file),
        "IRMEXPORT_OUTBOX": str(rig.directory / "outbox"),
    }.items():
        monkeypatch.setenv(name, value)
    return s3.address(secrets.token_hex(8))


def once(rig: Rig, address: str) -> Result:
    """Run `irmexport watch --once` on the prefix."""
    emulator = ["--emulator", str(rig.directory / "emulator")]
    words = ["watch", address, "--once", "--settle", "0.1", "-p", "salesforce-dropbox", *emulator]
    return CliRunner().invoke(main, words)


def test_a_bucket_is_a_folder(rig: Rig, bucket: str, s3: MotoS3) -> None:
    """Accepted, refused and unreadable files move as in a directory, and a content is sent once, also if the
    process was killed after it wrote to the archive and before it deleted the file.
    """
    container = Container(parse(bucket), {"IRMEXPORT_CA_FILE": str(s3.ca_file)})
    container.write("sub/x.csv", text(row(1), BAD))
    container.write("bad.csv", "a,b\n1,2\n".encode("utf-16-le"))
    done = once(rig, bucket)
    assert done.exit_code in (1, 3), done.output
    written = ["archive/sub/x.csv", "rejects/sub/x.csv", "errors/bad.csv", "errors/bad.csv.error.txt"]
    assert all(container.find(path) is not None for path in written)
    assert container.find("sub/x.csv") is None
    assert container.find("bad.csv") is None
    container.write("sub/x.csv", text(row(1), BAD))
    assert "sub/x.csv: processed before" in once(rig, bucket).output
    assert container.find("sub/x.csv") is None
    assert [one.path for one in container.folder("archive/sub")[0]] == ["archive/sub/x.csv"]
    assert rig.kept() == ["user1@contoso.com"]
    assert len(rig.emulator.uploads) == 1


@pytest.mark.usefixtures("bucket")
def test_an_address_that_is_wrong(rig: Rig, s3: MotoS3) -> None:
    """A bucket that does not exist is named, with exit code 2."""
    done = once(rig, s3.address("inbox", container="not-there"))
    assert done.exit_code == 2
    assert "the bucket not-there does not exist" in done.output
