"""What users have reported of the service, as lasting faults of an emulator: each with its source.

Promised: statuses, and bodies as far as a report shows them. Not promised: that the service still does this,
or why it did. Where a report does not show the body, ours says that it is emulated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from irmemulator.faults import Fault

_SCRIPTS = "https://github.com/microsoft/m365-compliance-connector-sample-scripts/issues"
_HR_SCRIPTS = "https://github.com/microsoft/m365-hrconnector-sample-scripts"
#: The size of a body that a report shows no more of.
_BODY_BYTES = 1_516


@dataclass(frozen=True)
class Reported:
    """What all uploads get, what was reported, and where."""

    fault: Fault
    what: str
    source: str


def _padded(text: str) -> str:
    """A JSON body of the reported size."""
    empty = len(json.dumps({"error": text, "emulated": ""}))
    return json.dumps({"error": text, "emulated": "." * (_BODY_BYTES - empty)})


REPORTED: Mapping[str, Reported] = MappingProxyType(
    {
        "wrong-host": Reported(
            Fault(status=403, body=""),
            "403 for every upload, because the flow's address was webhook-df.ingestion.office.com",
            f"{_SCRIPTS}/7",
        ),
        "some-tenants": Reported(
            Fault(status=403, body=""),
            "403 for every upload in one tenant, while another one works with the same steps",
            f"{_SCRIPTS}/9",
        ),
        "other-app": Reported(
            Fault(status=403, body="jobId and corresponding appId do not match"),
            "403, because the connector was created with another application",
            _HR_SCRIPTS,
        ),
        "outage": Reported(
            Fault(status=500, body=""),
            "500 with an empty body for every upload, reported on 20 May 2024 and fixed by 3 July",
            f"{_SCRIPTS}/13; the body: {_SCRIPTS}/8",
        ),
        "bad-request": Reported(
            Fault(
                status=400,
                body=_padded("Bad Request"),
                headers=(("Content-Type", "application/json; charset=utf-8"),),
            ),
            f"400 with a JSON body of {_BODY_BYTES:,} bytes, whose content nobody shows",
            f"{_SCRIPTS}/9",
        ),
    }
)
