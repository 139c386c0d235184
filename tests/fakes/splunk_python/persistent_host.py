"""Hosts a persistent handler as splunkd's own process does: a request a line in, a reply a line out."""

import json
import sys

from irmexport_rest import Handler


def main() -> None:
    """Answer until the input ends."""
    handler = Handler("", "")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(handler.handle(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
