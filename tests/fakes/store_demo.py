"""The part of the demo with an outbox that two machines share, on Azurite.

Real are the commands in processes of their own, the promotion and the upload. Azurite and the endpoint that
issues tokens are emulators. Without Azurite, which `make test` installs, one line says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from irmcli.demo import examples, steps
from irmcli.output import Output

from tests.fakes.cloud_servers import AZURITE, Azurite, Token
from tests.fakes.managed_identity import ManagedIdentity

_PROFILE = "leaver-prediction"
#: Seconds for one command.
_TIMEOUT = 60


def play(output: Output, place: Path, azurite: Path = AZURITE) -> tuple[str, bool]:
    """Run this part with files under ``place``; returns the result and whether it is as expected."""
    if not azurite.exists():
        return (
            "two machines, one outbox: skipped, because Azurite is missing; `make .venv/.azurite` gets it",
            True,
        )
    output.line()
    output.line("An outbox on Azure Blob Storage that two machines share (run by Azurite)", "bold")
    server = place / "azurite"
    server.mkdir()
    token = Token().get_token().token
    with (
        Azurite(server) as store,
        ManagedIdentity({None: "00000000"}, issue=lambda *_: token) as identity,
        steps.connector(output, place) as emulator,
    ):
        environment = {
            **os.environ,
            **identity.environment(),
            "IRMEXPORT_CA_FILE": str(store.ca_file),
            "IRMEXPORT_OUTBOX": store.address("demo"),
        }

        def on(machine: str, *words: str) -> str:
            output.line(f"{machine}$ irmexport {' '.join(words)}", "dim")
            done = subprocess.run(
                [str(Path(sys.executable).with_name("irmexport")), *words],
                env={**environment, "XDG_STATE_HOME": str(place / machine)},
                cwd=place,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
            for line in done.stdout.splitlines():
                output.line(line)
            return done.stdout

        file = place / f"{_PROFILE}.csv"
        file.write_bytes(Path(examples.path(_PROFILE)).read_bytes())
        send = ("send", file.name, "--profile", _PROFILE, "--emulator", "emulator", "--queue-only")
        first, second = on("machine-a", *send), on("machine-b", *send)
        on("machine-b", "drain")
        rows = len(steps.EXPECTED[_PROFILE])
        saved = sum(upload.records_saved for upload in emulator.uploads)
    good = f"{rows} shaped" in first and f"{rows} skipped" in second and saved == rows
    return f"two machines, one outbox: A accepted {rows}, B skipped them and sent {saved}", good


def main() -> int:
    """Run only this part: `python -m tests.fakes.store_demo`."""
    output = Output(as_json=False)
    with tempfile.TemporaryDirectory(prefix="irmexport-demo-") as temporary:
        text, good = play(output, Path(temporary))
    output.line()
    output.line(text, "green" if good else "red")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
