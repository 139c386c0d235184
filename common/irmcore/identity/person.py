"""A person of the directory as values: what they are called, and from when until when."""

from __future__ import annotations

from dataclasses import dataclass

_PLACEHOLDERS = frozenset({"unknown", "none", "null", "n/a", "0"})


@dataclass(frozen=True)
class Person:
    r"""One object of Microsoft Entra, as it was at one time.

    Attributes:
        object_id: The object's GUID. It never passes to somebody else.
        upn: The user principal name. For a deleted person, the last one before the deletion.
        mails: Mail address, proxy addresses without ``smtp:``, and other mail addresses.
        account_names: ``DOMAIN\name`` and the bare sAMAccountName.
        sid: The on-premises security identifier, or "".
        employee_id: The employee number, or "".
        enabled: Whether the account may sign in.
        deleted: Whether the object was deleted, also if it can still be restored.
        created: When the object was created, in seconds since 1970; None if unknown.
        groups: Names or object ids of groups, for ``scope:`` in a profile.
        country: The country or region, for ``scope:``, or "".
        is_person: False for a service principal: its names never resolve.
    """

    object_id: str
    upn: str
    mails: tuple[str, ...] = ()
    account_names: tuple[str, ...] = ()
    sid: str = ""
    employee_id: str = ""
    enabled: bool = True
    deleted: bool = False
    created: float | None = None
    groups: tuple[str, ...] = ()
    country: str = ""
    is_person: bool = True


@dataclass(frozen=True)
class Version:
    """What was known of a person from ``since`` until ``until`` (seconds since 1970; None: until now).

    The change that began this version was seen at ``since``. It happened after ``after``, the reading of the
    directory before; None for the first version of a person, of whose past nothing is known.
    """

    person: Person
    since: float
    until: float | None
    after: float | None


def normal(name: str) -> str:
    """The form in which names are compared: letter case and surrounding space do not matter.

    `ß` is not `ss`, and a name with the sign of kelvin, which would become a `k`, stays as it is. User
    principal names have neither, but account names and addresses may.
    """
    name = name.strip()
    return name if "\N{KELVIN SIGN}" in name else name.lower()


def is_name(name: str) -> bool:
    """Whether a name, in its normal form, can mean somebody: ``-`` and ``unknown`` stand for nobody."""
    return name not in _PLACEHOLDERS and any(map(str.isalnum, name))
