"""Times as options take them: `2026-11-22T08:00Z`, or `36h` for 36 hours ago."""

import re
import time

import click
from irmcore.reasons import Refused
from irmcore.shaping import times

_AGO = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}


def parse_timestamp(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time with its UTC offset, or of `90m`, `36h` or `7d` ago.

    Raises click.BadParameter.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        return time.time() - int(ago.group(1)) * _UNITS[ago.group(2)]
    try:
        return times.parse(text, zone=None, form="iso8601") / 1_000_000
    except Refused:
        raise click.BadParameter(
            f"{text!r} is not a time. Write 2026-11-22T08:00Z, or 36h or 7d for that long ago."
        ) from None
