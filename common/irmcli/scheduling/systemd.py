"""Quoting and common settings of systemd unit files, for `schedule` and `watch --unit`. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLAIN = re.compile(r"[\w@:,./=+-]+").fullmatch


def word(text: str) -> str:
    """``text`` as one word of systemd.syntax(7): quoted if necessary, with % and $ doubled."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return inner if _PLAIN(inner) else f'"{inner}"'


def plain(text: str) -> str:
    """``text`` as a value on one line."""
    return text.replace("%", "%%").replace("\n", " ")


def service(
    description: str, command: Sequence[str], settings: Sequence[str], writable: Sequence[str]
) -> str:
    """A hardened service that runs ``command`` and may write only to the directories ``writable``."""
    return "\n".join(
        [
            "[Unit]",
            f"Description=irmexport: {plain(description)}",
            "Wants=network-online.target",
            "After=network-online.target",
            "",
            "[Service]",
            f"ExecStart={' '.join(map(word, command))}",
            "# Environment variables, if a profile's credential is one (owner root, mode 0600):",
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
