"""azure-monitor-query's LogsQueryClient reading the rows and doing nothing else.

argv: the directory of the query service; how many rows must come; the beginning and the end of each query.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsQueryClient

_QUERY = "declare query_parameters(starttime:datetime = datetime({}), endtime:datetime = datetime({}));"


def main(directory: str, count: int, times: list[str]) -> None:
    """Read them; each answer is released before the next query."""
    at = json.loads((Path(directory) / "api.json").read_text())
    credential = ClientSecretCredential(
        at["tenant_id"],
        at["app_id"],
        Path(at["secret_file"]).read_text(),
        authority=at["url"],
        disable_instance_discovery=True,
        connection_verify=at["ca_file"],
    )
    client = LogsQueryClient(credential, endpoint=f"{at['url']}/v1", connection_verify=at["ca_file"])
    for start, end in zip(times[::2], times[1::2], strict=True):
        answer = client.query_workspace(at["workspace_id"], _QUERY.format(start, end), timespan=None)
        count -= len(answer.tables[0].rows)
        del answer
    if count:
        sys.exit(f"{count} rows did not come")


main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
