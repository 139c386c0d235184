"""The script that splunkd starts as the modular input `irmexport_alerts`. It parses on older Pythons too."""

import os
import sys

from irmsplunk.supported import refusal

if refusal():
    sys.exit("ERROR " + refusal())

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from irmsplunk.alerts import alerts_input


def main() -> None:
    """Act on `--scheme` or `--validate-arguments`; without either, read the alerts once."""
    if "--scheme" in sys.argv:
        sys.stdout.write(alerts_input.SCHEME)
    elif "--validate-arguments" not in sys.argv:
        sys.exit(alerts_input.serve(os.environ, sys.stdin.buffer, sys.stdout))


if __name__ == "__main__":
    main()
