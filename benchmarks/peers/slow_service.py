"""Entra ID and the connector as both sides see them. All they do is wait before each reply.

argv: a directory, into which it writes emulator.json once it listens; the seconds to wait. It ends with
its standard input. The emulator that ships reads each row, which would be measured here instead.
"""

from __future__ import annotations

import http.server
import json
import ssl
import sys
import threading
import time
from pathlib import Path

import trustme


def main(directory: Path, seconds: float) -> None:
    """Serve until standard input ends."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    pem = directory / "server.pem"
    pem.touch(mode=0o600)
    leaf.private_key_and_cert_chain_pem.write_to_path(str(pem))
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    (directory / "secret").touch(mode=0o600)
    (directory / "secret").write_text("emulator-only-made-up")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(seconds))
    server.daemon_threads = True
    # The handshake waits for the thread of its connection, not for the one that accepts them all.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    described = {
        "url": f"https://127.0.0.1:{server.server_address[1]}",
        "ca_file": str(directory / "ca.pem"),
        "secret_file": str(directory / "secret"),
    }
    (directory / "new.json").write_text(json.dumps(described))
    (directory / "new.json").rename(directory / "emulator.json")
    sys.stdin.read()


def _handler(seconds: float) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Any GET is OpenID's discovery, any POST a token or an upload."""

        disable_nagle_algorithm = True  # else a body waits for the acknowledgement of its headers: 40 ms

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            return

        def do_GET(self) -> None:
            root = f"https://{self.headers['Host']}/{self.path.split('/')[1]}"
            self._answer(
                {
                    "issuer": f"{root}/v2.0",
                    "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{root}/oauth2/v2.0/token",
                }
            )

        def do_POST(self) -> None:
            left = int(self.headers["Content-Length"])
            while left:
                left -= len(self.rfile.read(min(left, 65_536)))
            self._answer({"token_type": "Bearer", "expires_in": 3599, "access_token": "made-up"})

        def _answer(self, body: dict[str, object]) -> None:
            time.sleep(seconds)
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    return Handler


main(Path(sys.argv[1]), float(sys.argv[2]))
