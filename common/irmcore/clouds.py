"""The clouds of the connector: where uploads go and where tokens come from.

Source: microsoft/m365-compliance-connector-sample-scripts, ``sample_script.ps1`` and its government variants.
Apart from an emulator on the loopback interface, nothing is sent to a host outside this table.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from irmcore.errors import AddressRefused

#: The connector's application in Entra ID, for which tokens are issued. It has changed once (until March
#: 2025: 4e476d41-2395-42be-89ff-34cb9186a1ac), so a profile can name another.
RESOURCE_APP_ID = "86dfdabb-5089-4a0c-880a-cfa5a790c5b1"


@dataclass(frozen=True)
class Endpoints:
    """Base addresses, ``https://host`` without a path, of one cloud or one emulator."""

    upload: str
    login: str


CLOUDS: Mapping[str, Endpoints] = {
    "commercial": Endpoints("https://webhook.ingestion.office.com", "https://login.microsoftonline.com"),
    "gcc": Endpoints("https://webhook-gcc.ingestion.office365.us", "https://login.microsoftonline.com"),
    "gcc-high": Endpoints(
        "https://webhook-itarl4.ingestion.office365.us", "https://login.microsoftonline.us"
    ),
    "dod": Endpoints("https://webhook-itarl5.ingestion.apps.mil", "https://login.microsoftonline.us"),
}

#: The host of Microsoft Graph in each cloud: learn.microsoft.com/graph/deployments.
GRAPH_HOSTS: Mapping[str, str] = {
    "commercial": "https://graph.microsoft.com",
    "gcc": "https://graph.microsoft.com",
    "gcc-high": "https://graph.microsoft.us",
    "dod": "https://dod-graph.microsoft.us",
}

#: The audience of a token that Entra ID accepts in place of a secret, by login host.
#: learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
TOKEN_EXCHANGE: Mapping[str, str] = {
    "https://login.microsoftonline.com": "api://AzureADTokenExchange",
    "https://login.microsoftonline.us": "api://AzureADTokenExchangeUSGov",
    "https://login.chinacloudapi.cn": "api://AzureADTokenExchangeChina",
}


def emulator_endpoints(url: str) -> Endpoints:
    """The endpoints of an emulator at ``url``.

    Raises AddressRefused unless it is ``https`` on a loopback address or ``localhost``.
    """
    host, port, good = "", None, False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
        good = parts.scheme == "https" and loopback and plain and port != 0
    except ValueError:
        good = False  # not an address at all
    if not good:
        raise AddressRefused(
            "`emulator` must be an https:// address on this machine's loopback interface",
            where=host or "--emulator",
            next_step="Give the address that `irmexport emulator` prints, for example https://127.0.0.1:8443",
        )
    shown = f"[{host}]" if ":" in host else host
    base = f"https://{shown}" + (f":{port}" if port else "")
    return Endpoints(upload=base, login=base)
