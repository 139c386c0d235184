"""The systemd unit of `irmexport watch`: hardened, stopped by SIGTERM, restarted after a failure."""

from __future__ import annotations

from collections.abc import Sequence

from irmcli.scheduling import systemd

_SETTINGS = (
    "User=irmexport",
    "# Lets a running upload finish: its deadline is 400 s.",
    "TimeoutStopSec=450",
    "Restart=on-failure",
    "RestartSec=30",
    "# Restarting does not fix a configuration error.",
    "RestartPreventExitStatus=2",
)


def unit(command: Sequence[str], folder: str, writable: Sequence[str]) -> str:
    """A unit that runs ``command`` and may write only to the directories ``writable``."""
    service = systemd.service(f"files of {folder} to Microsoft Purview", command, _SETTINGS, writable)
    return f"{service}\n[Install]\nWantedBy=multi-user.target\n"
