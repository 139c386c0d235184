"""The alerts of the Function app."""

from __future__ import annotations

#: What a timer logs at the end, with its name and its seconds. An alert asks for the last one of each timer.
SUCCEEDED = "irmexport %s: succeeded after %.0f s"
