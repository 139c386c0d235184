r"""A user of Microsoft Graph as a person of the directory, and the requests for these properties.

On-premises names are the bare name and ``DNS.DOMAIN\name``. Graph does not know a domain's NetBIOS name, so
``NETBIOS\name`` needs a mapping from the administrator.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from irmcore.identity.person import Person

SELECT = (
    "id", "userPrincipalName", "mail", "otherMails", "proxyAddresses", "onPremisesSamAccountName",
    "onPremisesDomainName", "onPremisesSecurityIdentifier", "employeeId", "accountEnabled", "createdDateTime",
    "country", "usageLocation", "userType",
)  # fmt: skip
_ONE = "/v1.0/users/{}?$select=" + ",".join(SELECT)
DELTA = f"/v1.0/users/delta?$select={','.join(SELECT)}"
DELETED = f"/v1.0/directory/deletedItems/microsoft.graph.user?$select={','.join(SELECT)}&$top=999"
#: A complete user has these; a change that lacks one may have left out others.
_ALWAYS = {"userPrincipalName", "accountEnabled", "createdDateTime"}

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_TEXTS = {
    "userPrincipalName", "mail", "onPremisesSamAccountName", "onPremisesDomainName",
    "onPremisesSecurityIdentifier", "employeeId", "createdDateTime", "country", "usageLocation", "userType",
}  # fmt: skip
_LISTS = {"otherMails", "proxyAddresses"}


class Malformed(Exception):
    """An object that is not a user of Graph."""


def id_of(user: Mapping[str, Any]) -> str:
    """The object id, in lower case. Raises Malformed."""
    found = user.get("id")
    if not isinstance(found, str) or not _GUID.fullmatch(found):
        raise Malformed
    return found.lower()


def path_of(object_id: str) -> str:
    """The request for one user."""
    return _ONE.format(object_id)


def is_complete(user: Mapping[str, Any]) -> bool:
    """Whether a change has all properties of the user.

    Microsoft's pages differ: "the same properties as the initial request", and "at least the properties that
    have been updated".
    """
    return user.keys() >= _ALWAYS


def is_removed(user: Mapping[str, Any]) -> bool:
    """Whether a delta query says that the user was deleted, restorably or for good."""
    return "@removed" in user


def person(user: Mapping[str, Any], *, groups: Iterable[str], netbios: Mapping[str, str]) -> Person:
    """The person of a complete user: what is missing is empty.

    ``netbios``: the NetBIOS name of each on-premises domain, by the domain's DNS name in lower case.
    Raises Malformed.
    """
    object_id = id_of(user)
    _check(user)
    text = {name: str(user.get(name) or "").strip() for name in _TEXTS}
    deleted = bool(user.get("deletedDateTime"))
    # The name of a deleted user begins with the object id: tenants show it, Microsoft's pages do not say it.
    upn = text["userPrincipalName"]
    prefix = object_id.replace("-", "")
    if upn.lower().startswith(prefix):
        upn = upn[len(prefix) :]
    return Person(
        object_id=object_id,
        upn=upn,
        mails=_mails(text["mail"], user.get("otherMails") or (), user.get("proxyAddresses") or ()),
        account_names=_accounts(text["onPremisesSamAccountName"], text["onPremisesDomainName"], netbios),
        sid=text["onPremisesSecurityIdentifier"],
        employee_id=text["employeeId"],
        enabled=bool(user.get("accountEnabled", True)) and not deleted,
        deleted=deleted,
        created=_time(text["createdDateTime"]),
        groups=tuple(sorted(groups)),
        country=text["country"] or text["usageLocation"],
    )


def with_netbios(account_names: Iterable[str], netbios: Mapping[str, str]) -> tuple[str, ...]:
    r"""Account names with ``NETBIOS\name`` for each ``DNS.DOMAIN\name`` whose domain is in ``netbios``."""
    known = [name for name in account_names if "\\" not in name or "." in name.partition("\\")[0]]
    short = []
    for name in known:
        domain, backslash, account = name.partition("\\")
        if backslash and domain.lower() in netbios:
            short.append(f"{netbios[domain.lower()]}\\{account}")
    return (*known, *short)


def _accounts(account: str, domain: str, netbios: Mapping[str, str]) -> tuple[str, ...]:
    if not account:
        return ()
    return with_netbios((account, f"{domain}\\{account}") if domain else (account,), netbios)


def _mails(mail: str, others: Iterable[str], proxies: Iterable[str]) -> tuple[str, ...]:
    """All addresses, each once. Of the proxy addresses only those of mail: there are SIP and X500 ones
    too.
    """
    smtp = [proxy.partition(":")[2] for proxy in proxies if proxy[:5].lower() == "smtp:"]
    found: dict[str, str] = {}
    for address in map(str.strip, (mail, *smtp, *others)):
        found.setdefault(address.lower(), address)
    return tuple(address for address in found.values() if address)


def _time(text: str) -> float | None:
    """Seconds since 1970; None if Graph does not know the time."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise Malformed from None


def _check(user: Mapping[str, Any]) -> None:
    """Raise Malformed if a property has another type than Graph gives it."""
    for name, value in user.items():
        if value is None:
            continue
        if name in _TEXTS and not isinstance(value, str):
            raise Malformed
        if name in _LISTS and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise Malformed
        if name == "accountEnabled" and not isinstance(value, bool):
            raise Malformed
