"""The body of an upload: which forms are read, and which are refused."""

from __future__ import annotations

import pytest
from irmemulator.file_rules import Refusal
from irmemulator.multipart import FilePart, is_form_data, read_file_part

KIND = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\na,b\r\n'


@pytest.mark.parametrize(
    ("kind", "yes"),
    [
        (KIND, True),
        ("Multipart/Form-Data", True),
        ("multipart/mixed; boundary=b", False),
        ("text/csv", False),
        ("", False),
        (None, False),
    ],
)
def test_the_type_of_a_body(kind: str | None, yes: bool) -> None:  # noqa: FBT001 - expected answer
    """Only multipart/form-data, with any parameters, is form data."""
    assert is_form_data(kind) is yes


@pytest.mark.parametrize(
    ("kind", "disposition"),
    [
        (KIND, b'form-data; name="file"; filename="x.csv"'),
        # As .NET writes it, and so PowerShell.
        ('multipart/form-data; boundary="b"', b"form-data; name=file; filename=x.csv"),
        (KIND, b"form-data; name=file; filename=x.csv; filename*=utf-8''x.csv"),
    ],
)
def test_the_file_is_returned_as_sent(kind: str, disposition: bytes) -> None:
    """The file is returned byte for byte, including line breaks, NUL and text that resembles a boundary."""
    content = b"\r\n--bb\r\n--b-\r\n\x00\xff\r\n"
    body = b"--b\r\ncontent-disposition: " + disposition
    body += b"\r\nContent-Type: text/csv\r\n\r\n" + content + b"\r\n--b--\r\n"
    assert read_file_part(kind, body) == FilePart("x.csv", content)


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("multipart/form-data", PART + b"--b--\r\n", "no_boundary"),
        (KIND, b"", "not_multipart"),
        (KIND, b"a,b\r\n", "not_multipart"),
        (KIND, PART, "not_multipart"),
        (KIND, PART + b"--b", "not_multipart"),
        (KIND, PART + PART + b"--b--\r\n", "not_one_part"),
        (KIND, PART.replace(b'"file"', b'"data"') + b"--b--\r\n", "part_not_named_file"),
        (KIND, PART.replace(b'"file"', b'"File"') + b"--b--\r\n", "part_not_named_file"),
        (KIND, PART.replace(b'; filename="x.csv"', b"") + b"--b--\r\n", "no_file_name"),
        (KIND, PART.replace(b'"x.csv"', b'""') + b"--b--\r\n", "no_file_name"),
        (KIND, PART.replace(b"Content-Disposition", b"X") + b"--b--\r\n", "part_not_named_file"),
    ],
)
def test_bodies_refused(kind: str, body: bytes, code: str) -> None:
    """A body that is not exactly one named file is refused."""
    refusal = read_file_part(kind, body)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The parser's own warnings, which quote the body, are not logged."""
    read_file_part(KIND, PART + b"--b--\r\ntrailing")
    read_file_part(KIND, b"secret row")
    assert caplog.records == []
