"""The address of a folder in SharePoint or OneDrive: ``sharepoint://HOST/SITE/LIBRARY/FOLDER``, checked.

It is the folder's address in a browser with another beginning. SITE is ``sites/NAME``, ``teams/NAME`` or, for
OneDrive, ``personal/NAME``; the root site has none. Not supported: a subsite.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from irmcore.errors import ConfigurationError

SCHEME = "sharepoint://"
#: How a host ends in each cloud: learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges
#: and its pages for GCC High and DoD.
_DOMAINS = {
    "commercial": ".sharepoint.com",
    "gcc": ".sharepoint.com",
    "gcc-high": ".sharepoint.us",
    "dod": ".sharepoint-mil.us",
}
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_SITE_PATHS = ("sites", "teams", "personal")
#: support.microsoft.com: "Restrictions and limitations in OneDrive and SharePoint". A link is pasted with ?.
_FORBIDDEN = set('"*:<>?|\\')


@dataclass(frozen=True)
class SharePointAddress:
    """``site`` is ``sites/NAME``, or empty for the root site. ``folder`` may be empty: the library itself."""

    host: str
    site: str
    library: str
    folder: tuple[str, ...]

    def __str__(self) -> str:
        return SCHEME + "/".join(filter(None, (self.host, self.site, self.library, *self.folder)))


def parse(text: str, cloud: str) -> SharePointAddress:
    """The address in ``text``, for a cloud of the connector. Raises ConfigurationError."""
    host, *parts = [unquote(part) for part in text.removeprefix(SCHEME).rstrip("/").split("/")]
    host = host.lower()
    if not (_HOST.fullmatch(host) and host.endswith(_DOMAINS[cloud])):
        raise _wrong(f"the host of a site in the cloud {cloud} ends with {_DOMAINS[cloud]}", host)
    if any(not part or part in (".", "..") or _FORBIDDEN & set(part) for part in parts):
        raise _wrong(
            "a part of the address is empty, or has a character that SharePoint does not allow", text
        )
    site = ""
    if parts and parts[0].lower() in _SITE_PATHS:
        site, parts = "/".join(parts[:2]), parts[2:]
    if not parts or site.lower() in _SITE_PATHS:
        raise _wrong("the site or the library is missing", text)
    return SharePointAddress(host, site, parts[0], tuple(parts[1:]))


def _wrong(what: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        what,
        where=where[:200],
        next_step="Write the folder's address as the browser shows it, without a ? and what follows: "
        "sharepoint://contoso.sharepoint.com/sites/NAME/LIBRARY/FOLDER",
    )
