"""The systemd unit of a watch: hardened, ended by SIGTERM, started again after a failure."""

from __future__ import annotations

from collections.abc import Sequence

from irmcli.scheduling import systemd

_SETTINGS = (
    "User=irmexport",
    "# An upload that has begun is let finish: a deadline of 400 s, and some.",
    "TimeoutStopSec=450",
    "Restart=on-failure",
    "RestartSec=30",
    "# A wrong configuration does not get right by starting again.",
    "RestartPreventExitStatus=2",
)


def unit(command: Sequence[str], folder: str, outbox: str) -> str:
    """The text of a unit that runs ``command``, which writes to ``folder`` and ``outbox`` alone."""
    service = systemd.service(f"files of {folder} to Microsoft Purview", command, _SETTINGS, (folder, outbox))
    return f"{service}\n[Install]\nWantedBy=multi-user.target\n"
