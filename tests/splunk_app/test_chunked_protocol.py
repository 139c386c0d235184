"""The protocol reader: any bytes are requests or an InputError; a truncated request is never accepted."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.errors import InputError
from irmsplunk.search.chunked_protocol import pieces, read_head

METADATA = st.dictionaries(st.sampled_from(["finished", "action", "x"]), st.booleans() | st.text(max_size=9))
REQUESTS = st.lists(st.tuples(METADATA, st.binary(max_size=40)), min_size=1, max_size=4)


def written(requests: list[tuple[dict[str, object], bytes]]) -> bytes:
    """The bytes of these requests as splunkd writes them."""
    data = b""
    for metadata, body in requests:
        text = json.dumps(metadata).encode()
        data += b"chunked 1.0,%d,%d\n" % (len(text), len(body)) + text + body
    return data


def read(data: bytes) -> list[tuple[dict[str, object], bytes]]:
    """The requests that the reader finds. Raises InputError."""
    stream = io.BytesIO(data)
    found = []
    while (head := read_head(stream)) is not None:
        found.append((dict(head.metadata), b"".join(pieces(stream, head.body))))
    return found


@given(REQUESTS)
def test_what_was_written_is_read(requests: list[tuple[dict[str, object], bytes]]) -> None:
    """Requests are read back unchanged, whatever their bodies contain."""
    assert read(written(requests)) == requests


@given(REQUESTS, st.data())
def test_truncation_is_always_detected(
    requests: list[tuple[dict[str, object], bytes]], data: st.DataObject
) -> None:
    """A stream that ends inside a request is an error; one that ends between two has all before."""
    whole = written(requests)
    ends = {len(written(requests[:count])): count for count in range(len(requests) + 1)}
    at = data.draw(st.integers(0, len(whole)))
    if at in ends:
        assert read(whole[:at]) == requests[: ends[at]]
    else:
        with pytest.raises(InputError, match="Nothing was accepted"):
            read(whole[:at])


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: b"chunked 1.0,3,4\n" + tail))
def test_any_bytes_are_requests_or_an_error(data: bytes) -> None:
    """Bytes that are not requests raise InputError and nothing else."""
    try:
        found = read(data)
    except InputError:
        return
    assert sum(len(body) for _, body in found) <= len(data)
