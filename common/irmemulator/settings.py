"""The settings of an emulator: applications, jobs and options, as frozen values.

Promised: a value that exists is valid; no secret appears in a repr.
Not promised: that the real service has the limits that are labelled "undocumented" here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

DEFAULT_RESOURCE = "https://microsoft.onmicrosoft.com/86dfdabb-5089-4a0c-880a-cfa5a790c5b1"
"""The resource in Microsoft's scripts (repository m365-compliance-connector-sample-scripts)."""

TimePrecision = Literal["us", "ms", "s"]

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}", re.ASCII)


def is_guid(text: str) -> bool:
    """Whether `text` is a GUID in 8-4-4-4-12 form, upper or lower case, without braces."""
    return _GUID.fullmatch(text) is not None


@dataclass(frozen=True)
class FederatedCredential:
    """An issuer, a subject and an audience that an application trusts instead of a secret.

    ``key`` is the issuer's public key as PEM, which Entra would read from the issuer's own address.
    """

    issuer: str
    subject: str
    audience: str
    key: str


@dataclass(frozen=True)
class App:
    """An Entra application that may ask for tokens.

    Args:
        tenant_id: The tenant's GUID or domain name.
        app_id: The application's (client) id, a GUID.
        secret: The client secret; no repr, page or reply shows it. Empty: it has none.
        certificates: Those registered with the application, as PEM; a client may sign with their keys.
        federated: The federated credentials of the application.
        expired: The secret has expired: tokens are refused with AADSTS7000222.

    Raises:
        ValueError: An id does not have its form, or there is no credential.
    """

    tenant_id: str
    app_id: str
    secret: str = field(repr=False)
    expired: bool = False
    certificates: tuple[str, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()

    def __post_init__(self) -> None:
        """Refuse ids that Entra cannot have."""
        if not _TENANT.fullmatch(self.tenant_id):
            raise ValueError("App.tenant_id must be a GUID or a domain name")
        if not is_guid(self.app_id):
            raise ValueError("App.app_id must be a GUID")
        if not (self.secret or self.certificates or self.federated):
            raise ValueError("App.secret must not be empty without certificates or federated credentials")


@dataclass(frozen=True)
class Job:
    """A connector: what an administrator mapped in the portal.

    Args:
        job_id: The connector job's id, a GUID.
        app_id: The only application whose tokens may upload to this job.
        name: The connector's name, for the page.
        columns: The column names a file must have, in any order; None: any header.
        user_column: The column with the UserPrincipalName; None: the first column whose name,
            without punctuation and case, is "userprincipalname".
        time_column: The column with the event time; None: the column with the most values in
            Microsoft's time format, the first such column when there are several.
        source_column: The "Source column" of Microsoft's page, if the connector has one; of an HR connector
            the identifier column.
        related_values: The "Related values in source column".
        kind: "insider-risk-indicators" or "hr".
        scenarios: Of an HR connector, the scenario of each value of the identifier column; of one without
            that column, the only scenario under any value.
        mapping: Of an HR connector, the column of each data type.

    Raises:
        ValueError: An id is no GUID, or the columns contradict each other.
    """

    job_id: str
    app_id: str
    name: str
    columns: tuple[str, ...] | None = None
    user_column: str | None = None
    time_column: str | None = None
    source_column: str | None = None
    related_values: tuple[str, ...] = ()
    kind: str = "insider-risk-indicators"
    scenarios: Mapping[str, str] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse mappings that the portal would not save."""
        if not is_guid(self.job_id):
            raise ValueError("Job.job_id must be a GUID")
        if not is_guid(self.app_id):
            raise ValueError("Job.app_id must be a GUID")
        if self.related_values and self.source_column is None:
            raise ValueError("Job.related_values needs Job.source_column")
        if (self.kind == "hr") != bool(self.scenarios):
            raise ValueError("Job.scenarios goes with Job.kind='hr'")
        if self.kind == "hr" and len(self.scenarios) > 1 and self.source_column is None:
            raise ValueError("Job.scenarios: several need Job.source_column")
        if self.columns is None:
            return
        if len(set(self.columns)) != len(self.columns) or not self.columns:
            raise ValueError("Job.columns must name at least one column, each once")
        for role in ("user_column", "time_column", "source_column"):
            column = getattr(self, role)
            if column is not None and column not in self.columns:
                raise ValueError(f"Job.{role} must be one of Job.columns")


@dataclass(frozen=True)
class Options:
    """The emulator's limits and choices. "Undocumented" marks what Microsoft does not document.

    Args:
        resource: The only resource that tokens are issued for.
        max_records: Records that a file may have. Documented: 5,000 since 2026-02-03. Undocumented: that the
            reply to a file with more is a 413.
        max_bytes: Bytes that a file may have; more is a 413. Undocumented.
        token_lifetime: Seconds for which a token is valid. Entra: 60-90 minutes, mostly 3,599 seconds.
        refuse_unknown_source_values: Undocumented. Microsoft's page: "the connector fails if the
            column values don't match". True: such a file gets a 400 and nothing of it is kept;
            False: the file gets a 200 and only those records are not saved.
        time_precision: Undocumented. How precisely the service keeps an event time, and so which times it
            treats as equal: "us", "ms" or "s".
        remember_pairs_across_files: Undocumented. True: a (user, time) pair kept from one file is
            dropped in later files of the same job as well.
        keep_records: How many saved records of each job are held in memory; the oldest are dropped first. The
            emulator's directory, if it has one, has them all.
        idle_timeout: Seconds a connection may be silent before it is closed.
        handshake_timeout: Seconds a TLS handshake may take.

    Raises:
        ValueError: A limit is not positive, or the precision is unknown.
    """

    resource: str = DEFAULT_RESOURCE
    max_records: int = 5_000
    max_bytes: int = 1_000_000
    token_lifetime: float = 3_599
    refuse_unknown_source_values: bool = False
    time_precision: TimePrecision = "us"
    remember_pairs_across_files: bool = False
    keep_records: int = 100_000
    idle_timeout: float = 60.0
    handshake_timeout: float = 5.0

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could be uploaded."""
        for name in (
            "max_records",
            "max_bytes",
            "token_lifetime",
            "keep_records",
            "idle_timeout",
            "handshake_timeout",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"Options.{name} must be more than 0")
        if self.time_precision not in get_args(TimePrecision):
            raise ValueError("Options.time_precision must be 'us', 'ms' or 's'")
        if not self.resource:
            raise ValueError("Options.resource must not be empty")
