"""What a kind of connector is: a frozen value that its module declares. Nothing here is of one kind only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Field:
    """A data type that the portal's wizard maps a column to.

    ``type`` is the column's type in a profile, ``longest`` the most characters of a value, None if no limit
    is published. ``also`` are the names of the same column in Microsoft's example files.
    """

    name: str
    type: str = "string"
    longest: int | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """The kind of row that a scenario has.

    ``value`` is what Microsoft's examples write into the column that tells the scenarios apart. ``date``
    is the field that dates a row; None: rows have no date and describe what is true now. Such rows are sent
    again every ``refresh_days``, because the service deletes them ``lapse_days`` after the last upload.
    """

    value: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    date: str | None = None
    refresh_days: int = 0
    lapse_days: int = 0

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


@dataclass(frozen=True)
class Kind:
    """A kind of connector.

    ``title`` is its name in the portal, ``rows`` the most rows of one upload, and ``of_rows`` what to know
    about that number; ``user`` is the field that names the person. Without ``scenarios`` the administrator
    decides on the columns. ``source`` is the page that all of this is from, read at ``read`` (a date).
    """

    name: str
    title: str
    rows: int
    source: str
    read: str
    of_rows: str = ""
    user: str = ""
    fields: tuple[Field, ...] = ()
    scenarios: Mapping[str, Scenario] = field(default_factory=dict)

    def field(self, name: str) -> Field | None:
        """The field with this name, or with it in Microsoft's examples. Letter case does not matter."""
        wanted = name.lower()
        names = ((one, {one.name.lower(), *map(str.lower, one.also)}) for one in self.fields)
        return next((one for one, known in names if wanted in known), None)
