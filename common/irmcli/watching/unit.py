"""The systemd unit of a watch: hardened, ended by SIGTERM, started again after a failure."""

from __future__ import annotations

from collections.abc import Sequence


def unit(command: Sequence[str], folder: str, outbox: str) -> str:
    """The text of a unit that runs ``command``, which writes to ``folder`` and ``outbox`` alone."""
    return f"""[Unit]
Description=irmexport: files of {_plain(folder)} to Microsoft Purview
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={" ".join(map(quoted, command))}
# The secret's place is in the profile. A variable, if it is one, comes from here (root, mode 0600):
EnvironmentFile=-/etc/irmexport/environment
User=irmexport
UMask=0077
# An upload that has begun is let finish: a deadline of 400 s, and some.
TimeoutStopSec=450
Restart=on-failure
RestartSec=30
# A wrong configuration does not get right by starting again.
RestartPreventExitStatus=2
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={quoted(folder)} {quoted(outbox)}

[Install]
WantedBy=multi-user.target
"""


def quoted(word: str) -> str:
    """A word as systemd.service(5) reads it: quoted, its specifiers and variables doubled."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _plain(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")
