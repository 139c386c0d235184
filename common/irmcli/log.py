"""The log of a command that nobody watches: one event a line, on standard error or in syslog.

docs/monitoring.md lists the events; they and their fields are those of the Splunk app's log. A line never
has a secret, a token, a row value or the text of a reply. A log that cannot be written stops nothing.
"""

import json
import logging
import logging.handlers
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click
from irmcore import __version__
from irmcore.clock import SystemClock, iso
from irmcore.errors import ConfigurationError

#: Where syslog listens: a socket, or HOST:PORT (UDP).
ADDRESS = "IRMEXPORT_SYSLOG"
#: Level → its prefix in the journal (sd-daemon(3)) and Python's level, for syslog's priorities.
_LEVELS = {
    "ERROR": ("<3>", logging.ERROR),
    "WARN": ("<4>", logging.WARNING),
    "INFO": ("<6>", logging.INFO),
    "DEBUG": ("<7>", logging.DEBUG),
}


class Log:
    """A log in the form json, journald or syslog. Raises ConfigurationError if syslog cannot be reached."""

    def __init__(self, form: str, environment: Mapping[str, str]) -> None:
        self._form = form
        self._syslog = _syslog(environment.get(ADDRESS, "")) if form == "syslog" else None

    def write(self, level: str, event: str, what: str = "", **fields: Any) -> None:
        """Write an event. ``what`` is what a person would be told, in one line."""
        prefix, number = _LEVELS[level]
        if self._form == "json":
            fields = {
                "time": iso(SystemClock().now()),
                "level": level,
                "part": "cli",
                "event": event,
                "pid": os.getpid(),
                "version": __version__,
                **fields,
            }
            if what:
                fields["what"] = what
            _to_stderr(json.dumps(fields, default=str))
            return
        parts = [f"{event}:", *([what] if what else []), *map(_pair, fields.items())]
        line = " ".join(parts)
        if self._syslog is None:
            _to_stderr(prefix + line)
        else:
            self._syslog.handle(
                logging.makeLogRecord({"levelname": logging.getLevelName(number), "msg": line})
            )


def _to_stderr(line: str) -> None:
    with suppress(OSError):  # a full disk, or a reader that has gone
        click.echo(line, err=True)


def _pair(item: tuple[str, Any]) -> str:
    name, value = item
    text = json.dumps(value, default=str)
    plain = isinstance(value, str) and value and not set(text[1:-1]) & set(' "=\\')
    return f"{name}={text[1:-1] if plain else text}"


class _Syslog(logging.handlers.SysLogHandler):
    """Lines that syslog does not take go to standard error."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        _to_stderr(record.getMessage())


def _syslog(address: str) -> _Syslog:
    host, colon, port = address.rpartition(":")
    remote = bool(colon) and port.isdigit()
    local = address or ("/var/run/syslog" if sys.platform == "darwin" else "/dev/log")
    try:
        handler = _Syslog((host, int(port)) if remote else local, facility="daemon")
    except (OSError, AttributeError, ValueError) as error:  # Windows has no such sockets
        why = "this is not an address" if isinstance(error, ValueError) else "there are no local sockets here"
        raise ConfigurationError(
            f"syslog cannot be reached ({getattr(error, 'strerror', None) or why})",
            where=address or local,
            next_step=f"Correct {ADDRESS}: the path of a socket, or HOST:PORT.",
        ) from None
    if remote:  # RFC 5424; the local daemon knows the time and the host
        head = f"1 %(asctime)s {socket.gethostname()} irmexport {os.getpid()} - - "
        form = logging.Formatter(head + "%(message)s", "%Y-%m-%dT%H:%M:%SZ")
        form.converter = time.gmtime
        handler.setFormatter(form)
        handler.append_nul = False
    else:
        handler.ident = f"irmexport[{os.getpid()}]: "
    return handler
