"""A valid profile as frozen values. ``load`` reads and checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

#: The GUID in a shipped profile that the administrator replaces.
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"

#: The delimiters of text files, by their names in a profile.
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}

#: The directory of people that `irmexport identities sync` writes unless told otherwise.
DEFAULT_DIRECTORY = "default"


@dataclass(frozen=True)
class CredentialRef:
    """A reference to the credential: ``kind`` is a key of the schema's `credential`, ``name`` its value."""

    kind: str
    name: str


@dataclass(frozen=True)
class Connector:
    """The connector that rows are sent to, and how to reach it. GUIDs are lower case.

    ``kind`` is a name of ``kinds.KINDS``.
    ``deadline`` is in seconds; ``in_flight`` is the maximum number of simultaneous uploads. ``retention`` has
    the periods that replace defaults, in days.
    """

    job_id: str
    tenant_id: str
    app_id: str
    cloud: str
    credential: CredentialRef
    resource_app_id: str
    proxy: str | None
    ca_file: str | None
    deadline: int
    in_doubt: str
    in_flight: int = 1
    kind: str = "insider-risk-indicators"
    retention: Mapping[str, int] = field(default_factory=dict)

    def placeholders(self) -> tuple[str, ...]:
        """The keys that still have the placeholder of a shipped profile."""
        keys = ("job_id", "tenant_id", "app_id")
        return tuple(key for key in keys if getattr(self, key) == PLACEHOLDER)


@dataclass(frozen=True)
class Column:
    """One column of the connector's file; ``field`` is its name in the input.

    ``time_field`` names the field of the time of day if ``field`` has only the date; ``default`` is what an
    empty cell stands for. ``maps_to`` is the field of the connector's kind, "" if it has none; ``longest`` is
    the maximum number of characters of a value.
    """

    header: str
    field: str
    type: str
    role: str
    required: bool
    format: str
    allowed: tuple[str, ...]
    mapping: Mapping[str, str]
    otherwise: str | None
    related_values: tuple[str, ...]
    subject: bool = True
    time_field: str | None = None
    default: str | None = None
    maps_to: str = ""
    longest: int | None = None


@dataclass(frozen=True)
class Format:
    """How input files are written. None: recognized in each file; for ``numbers``: nobody has said it.

    ``delimiter`` is the character, ``skip`` the number of rows above the header, ``records`` the path of the
    array of rows in a JSON document, ``numbers`` the decimal sign: point or comma.
    """

    delimiter: str | None = None
    encoding: str | None = None
    spaces: bool | None = None
    skip: int | None = None
    sheet: str | None = None
    records: str | None = None
    numbers: str | None = None


@dataclass(frozen=True)
class Collisions:
    """The policy for rows with the same user and time; ``step`` in µs.

    ``none``: such rows are sent as they are. Profiles cannot choose it; it follows from the connector's kind.
    ``keeps_precision``: with a step of 1 µs, a row moves only below the precision that its time has.
    """

    policy: str
    step: int
    keeps_precision: bool = False


@dataclass(frozen=True)
class Limits:
    """The maximum size of one upload: rows without the header, bytes of CSV with it."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class Identity:
    """How user names are resolved. Paths are absolute.

    ``directory`` is the directory of people: its path, ``DEFAULT_DIRECTORY``, or None to use only the map.
    ``max_age`` is in seconds; ``map`` is the path of a CSV file.
    """

    directory: str | None
    max_age: int
    map: str | None


@dataclass(frozen=True)
class Selection:
    """People in any of these groups or countries, or on the list. ``list`` is the path of a CSV file."""

    groups: tuple[str, ...]
    countries: tuple[str, ...]
    list: str | None


@dataclass(frozen=True)
class Scope:
    """Whose rows are sent: those of people in ``include`` (None: everybody) who are not in ``exclude``."""

    include: Selection | None
    exclude: Selection | None


@dataclass(frozen=True)
class Profile:
    """A validated profile. ``fingerprint`` is the SHA-256 of its text, for the audit log.

    ``scenarios`` has the value that tells each scenario of the connector's kind apart, by its name.
    """

    name: str
    description: str
    kind: str
    connector: Connector
    columns: tuple[Column, ...]
    ragged: str
    zone: str | None
    collisions: Collisions
    on_change: str
    limits: Limits
    fingerprint: str
    release: str = "direct"
    preview: str = "names"
    identity: Identity | None = None
    scope: Scope | None = None
    format: Format = Format()
    scenarios: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the input that the columns are read from, each once."""
        each = (name for column in self.columns for name in (column.field, column.time_field))
        return tuple(dict.fromkeys(name for name in each if name is not None))

    def with_directory(self, path: str) -> Profile:
        """The same profile, where ``path`` is the default directory of people."""
        if self.identity is None or self.identity.directory != DEFAULT_DIRECTORY:
            return self
        return replace(self, identity=replace(self.identity, directory=path))

    def at(self, connector: Connector) -> Profile:
        """The same profile with another connector, such as an emulator instead of the tenant's."""
        return replace(self, connector=connector)

    def column(self, role: str) -> Column | None:
        """The first column with ``role``; None if there is none."""
        return next((column for column in self.columns if column.role == role), None)
