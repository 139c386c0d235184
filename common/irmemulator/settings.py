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
    """An Entra application that may ask for tokens. No repr, page or reply shows its secret.

    A client may sign with the keys of ``certificates`` (PEM) instead. ``expired``: the secret has expired, so
    tokens are refused with AADSTS7000222. Raises ValueError if an id does not have its form, or nothing is
    there to sign in with.
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

    ``app_id`` is the only application whose tokens may upload to it. ``columns`` are those that a file must
    have, in any order; None: any header. Without ``user_column``, it is the first whose name, without
    punctuation and case, is "userprincipalname"; without ``time_column``, the one with the most values in
    Microsoft's time format. ``source_column`` and ``related_values`` are called so on Microsoft's page.

    Of an HR connector, ``source_column`` is the identifier column; ``scenarios`` has the scenario of each
    value in it, or the only scenario under any value if there is no such column; ``mapping`` the column of
    each data type. Raises ValueError if an id is no GUID, or the columns contradict each other.
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
    """The emulator's limits and choices. Microsoft documents only ``max_records`` (5,000 since 2026-02-03).

    More records, or more than ``max_bytes``, get a 413. Of a file with an unknown source value Microsoft's
    page says "the connector fails if the column values don't match": with ``refuse_unknown_source_values``
    such a file gets a 400 and nothing of it is kept, otherwise only those records are not saved.
    ``time_precision`` is how precisely an event time is kept, and so which times count as equal.
    ``remember_pairs_across_files``: a (user, time) pair kept from one file is dropped in later files of the
    job as well. ``keep_records`` of each job are in memory, the latest; the emulator's directory has them
    all. Times are in seconds; Entra's tokens are valid for 60-90 minutes, mostly 3,599 seconds. Raises
    ValueError if a limit is not positive.
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
