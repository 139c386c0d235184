"""The request pattern of Microsoft's sample script: a token and a POST for every 5,000 rows, one by one.

argv: the file, the service, its CA. No check of the rows, no record of what was sent.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import requests

ROWS = 5_000


def main(file: str, url: str, verify: str) -> None:
    """Send the file."""
    with Path(file).open(encoding="utf-8") as lines:
        header = next(lines)
        while part := list(islice(lines, ROWS)):
            token = requests.post(
                f"{url}/tenant/oauth2/token",
                data={"grant_type": "client_credentials", "client_id": "app", "client_secret": "made up"},
                verify=verify,
                timeout=400,
            )
            token.raise_for_status()
            body = ("rows.csv", (header + "".join(part)).encode(), "text/csv")
            sent = requests.post(
                f"{url}/api/signals?jobid=job",
                headers={"Authorization": f"Bearer {token.json()['access_token']}"},
                files={"file": body},
                verify=verify,
                timeout=400,
            )
            sent.raise_for_status()


main(*sys.argv[1:])
