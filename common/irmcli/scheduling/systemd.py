"""Words and settings of systemd's unit files, for `schedule` and `watch --unit`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLAIN = re.compile(r"[\w@:,./=+-]+").fullmatch


def word(text: str) -> str:
    """``text`` as systemd.syntax(7) reads it: quoted if need be, its specifiers and variables doubled."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return inner if _PLAIN(inner) else f'"{inner}"'


def plain(text: str) -> str:
    """``text`` as a value of one line."""
    return text.replace("%", "%%").replace("\n", " ")


def service(
    description: str, command: Sequence[str], settings: Sequence[str], writable: Sequence[str]
) -> str:
    """A service that runs ``command``, hardened: it writes to the folders ``writable`` alone."""
    return "\n".join(
        [
            "[Unit]",
            f"Description=irmexport: {plain(description)}",
            "Wants=network-online.target",
            "After=network-online.target",
            "",
            "[Service]",
            f"ExecStart={' '.join(map(word, command))}",
            "# The profile names the secret's place; a variable comes from here (root, mode 0600):",
            "EnvironmentFile=-/etc/irmexport/environment",
            *settings,
            "UMask=0077",
            "NoNewPrivileges=yes",
            "PrivateTmp=yes",
            "PrivateDevices=yes",
            "ProtectSystem=strict",
            "ProtectHome=read-only",
            f"ReadWritePaths={' '.join(map(word, writable))}",
            "",
        ]
    )
