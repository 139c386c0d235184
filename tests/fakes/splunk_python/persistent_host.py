"""Hosts a persistent handler as splunkd's process does: a request per line in, a reply per line out."""

import json
import sys

from irmexport_rest import Handler


def main() -> None:
    """Answer requests until the input ends."""
    handler = Handler("", "")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(handler.handle(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
