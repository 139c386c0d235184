"""The script that splunkd starts under the app's name: the modular input, or the alert action (`--execute`).

It parses on older Pythons too, to say there what is needed.
"""

import os
import sys

from irmsplunk.supported import refusal

if refusal():
    sys.exit("ERROR " + refusal())

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from irmsplunk.sender import modular_input


def main() -> None:
    """Act on `--scheme`, `--validate-arguments` or `--execute`; without any of them, run the sender."""
    if "--scheme" in sys.argv:
        sys.stdout.write(modular_input.SCHEME)
    elif "--execute" in sys.argv:
        from irmsplunk.search import alert_action  # noqa: PLC0415 - shares little with the sender

        sys.exit(alert_action.execute(os.environ, sys.stdin.buffer, sys.stderr))
    elif "--validate-arguments" not in sys.argv:
        from irmsplunk.sender import sender  # noqa: PLC0415 - --scheme does not need it

        sys.exit(sender.serve(os.environ, sys.stdin.buffer))


if __name__ == "__main__":
    main()
