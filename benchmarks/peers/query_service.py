"""Log Analytics and Entra ID as Microsoft's client sees them: prepared answers, nothing computed.

argv: a directory, into which it writes api.json once it listens; how many rows; on how many days. It ends
with its standard input. The emulator that ships runs the query, which would be measured here instead.
A row is a user, a day and an activity, as the aggregation `okta` gives them; the rows of a week are in no
order, as Kusto's are. An answer is compressed, as the service's is.
"""

from __future__ import annotations

import gzip
import http.server
import json
import random
import re
import ssl
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
WEEK = 7
USERS = 8_000
ACTIVITIES = (
    *("Granted administrator rights", "Removed a sign-in factor", "Created an API token"),
    *("Granted impersonation", "Switched off a policy"),
)
_COLUMNS = {
    "UserPrincipalName": "string",
    "AggregationDate": "datetime",
    "SourceWorkload": "string",
    "Activity": "string",
    "ActivityCount": "long",
}
_SPAN = re.compile(r"starttime:datetime = datetime\((\S+?)\), endtime:datetime = datetime\((\S+?)\)")


def main(directory: Path, count: int, days: int) -> None:
    """Serve until standard input ends."""
    authority = trustme.CA()
    pem = directory / "server.pem"
    pem.touch(mode=0o600)
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    answers = {
        span(start, days): _answer(start, min(start + WEEK, days), count, days)
        for start in range(0, days, WEEK)
    }
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    described = {
        "url": f"https://localhost:{server.server_address[1]}",
        "ca_file": str(directory / "ca.pem"),
        "workspace_id": "00000000-0000-0000-0000-00000000c0de",
        "tenant_id": "contoso",
        "app_id": "irmexport",
        "secret": "made up",
        "now": (FIRST + timedelta(days=days + 1)).isoformat(),
    }
    (directory / "new.json").touch(mode=0o600)
    (directory / "new.json").write_text(json.dumps(described))
    (directory / "new.json").rename(directory / "api.json")
    sys.stdin.read()


def iso(day: int) -> str:
    """The beginning of a day, in the form that the query uses."""
    return f"{FIRST + timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}"


def span(start: int, days: int) -> tuple[str, str]:
    """The week that begins with this day, or the rest of it."""
    return iso(start), iso(min(start + WEEK, days))


def _answer(start: int, end: int, count: int, days: int) -> bytes:
    """The answer for some days."""
    draw = random.Random(start)
    rows = []
    for day in range(start, end):
        of_day = count * (day + 1) // days - count * day // days
        rows += [
            [
                f"user{number % USERS:04d}@contoso.com",
                iso(day),
                "Okta",
                ACTIVITIES[number // USERS],
                draw.randrange(1, 500),
            ]
            for number in range(of_day)
        ]
    draw.shuffle(rows)
    columns = [{"name": name, "type": kind} for name, kind in _COLUMNS.items()]
    document = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]}
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 6)


def _handler(answers: dict[tuple[str, str], bytes]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Any GET is OpenID's discovery; a POST is a query if it is JSON, else for a token."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits for the acknowledgement of its headers: 40 ms

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            return

        def do_GET(self) -> None:
            root = f"https://{self.headers['Host']}/{self.path.split('/')[1]}"
            self._send(
                200,
                {
                    "issuer": f"{root}/v2.0",
                    "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{root}/oauth2/v2.0/token",
                },
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.path.endswith("/query"):
                self._send(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": "made-up"})
                return
            asked = _SPAN.search(json.loads(body)["query"])
            answer = answers.get(asked.groups()) if asked else None
            if answer is None:
                self._send(400, {"error": {"code": "BadArgumentError", "message": "not a week that is made"}})
            else:
                self._send(200, answer)

        def _send(self, status: int, answer: bytes | dict[str, object]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            if isinstance(answer, bytes):
                self.send_header("Content-Encoding", "gzip")
            else:
                answer = json.dumps(answer).encode()
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    return Handler


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
