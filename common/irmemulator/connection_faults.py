"""What goes wrong on a TLS connection below HTTP: a reset, an orderly close, a slow reply.

Promised: each function does what its name says, or raises OSError if the client is gone.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress

_LINGER_FOR_0_S = struct.pack("ii", 1, 0)
_CHUNK = 65_536


def reset(connection: ssl.SSLSocket) -> None:
    """Close with an RST: no close_notify, and data that was not delivered yet is lost.

    Close every file object made of the socket first, or the system keeps the connection open.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR_0_S)
    connection.close()


def close_in_order(connection: ssl.SSLSocket) -> None:
    """Send close_notify without waiting for the client's, then close."""
    if connection.fileno() < 0:
        return  # reset already
    # The client may be gone. Without a wait, unwrap always raises "want read" after it has sent.
    with suppress(OSError):
        connection.settimeout(0)
        connection.unwrap()
    connection.close()


def discard(read: Callable[[int], bytes], connection: ssl.SSLSocket, seconds: float) -> None:
    """Read and throw away data for ``seconds``, or until the client stops sending.

    Linux answers a close with unread data by an RST, which can cost the client the reply it was sent.
    """
    until = time.monotonic() + seconds
    # An error here means that the client is gone or silent, which is what ends this.
    with suppress(OSError):
        while (left := until - time.monotonic()) > 0:
            connection.settimeout(left)
            if not read(_CHUNK):
                return


def drip(
    write: Callable[[bytes], object], content: bytes, seconds: float, wait: Callable[[float], bool]
) -> bool:
    """Send one byte every ``seconds``; ``wait`` returns whether to stop. Returns whether all was sent."""
    for at in range(len(content)):
        write(content[at : at + 1])
        if wait(seconds):
            return False
    return True
