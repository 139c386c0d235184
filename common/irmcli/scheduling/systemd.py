"""Quoting and common settings of systemd unit files, for `schedule`. Pure functions."""

import re
from collections.abc import Sequence

from irmcore.errors import ConfigurationError

#: A run needs about 70 bytes a row, and a reader of files less than 256 MiB, whatever the file.
_MEMORY = "2G"
_PLAIN = re.compile(r"[\w@:,./=+-]+").fullmatch


_SANDBOX = (
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "CapabilityBoundingSet=",
    "LockPersonality=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
)


def word(text: str) -> str:
    """``text`` as one word of systemd.syntax(7): quoted if necessary, with % and $ doubled.

    Raises ConfigurationError as ``plain`` does.
    """
    text = _one_line(text)
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return inner if _PLAIN(inner) else f'"{inner}"'


def plain(text: str) -> str:
    """``text`` as a value on one line. Raises ConfigurationError if it has several."""
    return _one_line(text).replace("%", "%%")


def _one_line(text: str) -> str:
    # A backslash at the end joins the next line to this one. isprintable is False for every line break.
    if text.isprintable() and not text.endswith("\\"):
        return text
    raise ConfigurationError(
        "a name with a line break or another control character cannot be in a systemd unit",
        where=repr(text)[1:-1],
        next_step="Rename the file or the directory.",
    )


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
            f"MemoryMax={_MEMORY}",
            "# A core file would contain rows and the secret.",
            "LimitCORE=0",
            "UMask=0077",
            *_SANDBOX,
            f"ReadWritePaths={' '.join(map(word, writable))}",
            "",
        ]
    )
