"""What other distributions add, through groups of entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

#: A subcommand's name → its click command.
COMMANDS = "irmexport.commands"
#: The kind of an outbox's destination → (box, reader of credentials) → Service.
DESTINATIONS = "irmexport.destinations"
#: Acts of the demo, of the hosts too: (say, directory) → verdicts.
DEMOS = "irmexport.demo"


def points(group: str) -> EntryPoints:
    """The entry points of a group."""
    from importlib import metadata  # here: 40 ms and 6 MiB, which most commands do not need

    return metadata.entry_points(group=group)
