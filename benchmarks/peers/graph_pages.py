"""Read all pages of a delta query with azure-core and azure-identity, and store nothing.

Usage: python graph_pages.py DIRECTORY PEOPLE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest
from azure.identity import ClientSecretCredential
from irmcli.identities.graph_people import DELTA

directory, people = Path(sys.argv[1]), int(sys.argv[2])
at = json.loads((directory / "graph.json").read_text())
credential = ClientSecretCredential(
    at["tenant_id"],
    at["app_id"],
    Path(at["secret_file"]).read_text(),
    authority=at["url"],
    disable_instance_discovery=True,
    connection_verify=at["ca_file"],
)
policy = BearerTokenCredentialPolicy(credential, f"{at['url']}/.default")
client: PipelineClient = PipelineClient(at["url"], policies=[policy], connection_verify=at["ca_file"])
link, found = f"{at['url']}{DELTA}", 0
while link:
    page = client.send_request(HttpRequest("GET", link)).json()
    found += len(page["value"])
    link = page.get("@odata.nextLink")
assert found == people
