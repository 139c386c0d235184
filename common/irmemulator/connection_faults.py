"""What a TLS connection is made to do, byte by byte: faults that HTTP has no word for.

Promised: each function ends the connection, or fails with OSError when the client has gone.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress

_LINGER_ON_FOR_0_S = struct.pack("ii", 1, 0)
_CHUNK = 65_536


def reset(connection: ssl.SSLSocket) -> None:
    """Close with an RST: no close_notify, and what was not delivered yet is thrown away.

    Every file made of the socket must be closed first, else the system keeps it open.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ON_FOR_0_S)
    connection.close()


def close_in_order(connection: ssl.SSLSocket) -> None:
    """Say close_notify without waiting for the client's, then close."""
    if connection.fileno() < 0:
        return  # reset already
    # The client may be gone already, and without waiting unwrap always "wants to read".
    with suppress(OSError):
        connection.settimeout(0)
        connection.unwrap()
    connection.close()


def discard(read: Callable[[int], bytes], connection: ssl.SSLSocket, seconds: float) -> None:
    """Read and throw away for so many seconds, or until the client stops sending.

    A close with unread bytes makes Linux send an RST, and with it the client may lose the reply
    that was sent before.
    """
    until = time.monotonic() + seconds
    # A client that has gone or says nothing more is what is waited for.
    with suppress(OSError):
        while (left := until - time.monotonic()) > 0:
            connection.settimeout(left)
            if not read(_CHUNK):
                return


def drip(
    write: Callable[[bytes], object],
    content: bytes,
    seconds: float,
    wait: Callable[[float], bool],
) -> bool:
    """Send one byte, then wait, and so on.

    Args:
        write: Sends bytes.
        content: What to send.
        seconds: The wait after each byte.
        wait: Waits, and says whether to stop.

    Returns:
        Whether everything was sent.
    """
    for at in range(len(content)):
        write(content[at : at + 1])
        if wait(seconds):
            return False
    return True
