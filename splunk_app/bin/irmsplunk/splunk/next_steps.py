"""The core's next steps, which name the command line, in Splunk's terms: requests to the REST endpoint.

A search head's administrator has no `irmexport` command, and in Splunk Cloud no shell. docs/splunk.md
has the requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_RESOLVE = "`POST irmexport/batches/BATCH/resolve` with"
#: In this order: the longer words first.
_SAID = (
    ("`irmexport resolve BATCH --sent` or `--resend`", f"{_RESOLVE} outcome=sent or outcome=resend"),
    ("`irmexport resolve BATCH --withdraw`", f"{_RESOLVE} outcome=withdraw"),
    ("`irmexport resolve BATCH`", f"{_RESOLVE} outcome=sent, resend or withdraw"),
    ("`irmexport requeue BATCH`", "`POST irmexport/batches/BATCH/requeue`"),
    ("`irmexport requeue`", "`POST irmexport/batches/BATCH/requeue`"),
    ("`irmexport show BATCH`", "`GET irmexport/batches/BATCH`"),
    ("`irmexport show`", "`GET irmexport/batches/BATCH`"),
    ("`irmexport audit`", "`GET irmexport/batches/BATCH`"),
    ("`irmexport doctor`", "`POST irmexport/connectors/NAME/test`"),
    ("`irmexport resume`", "`POST irmexport/connectors/NAME/resume`"),
    ("`irmexport status`", "`GET irmexport/queue`"),
    ("Run `irmexport send` with its profile once", "Run a search that ends with `| irmexport` once"),
    (
        "Copy the profile, fill in the IDs, and give the copy with --profile.",
        "Set the IDs of the connector: `POST irmexport/connectors/NAME`.",
    ),
    ("Copy the profile, fill them in.", "Set them: `POST irmexport/connectors/NAME`."),
    (
        "create a new one and put it where `credential` says.",
        "create a new one and save it: `POST irmexport/connectors/NAME` with secret=….",
    ),
    (
        "The client secret cannot be read from where the profile says.",
        "The client secret cannot be read: save it with `POST irmexport/connectors/NAME`, secret=….",
    ),
    (
        "Rename the column in the file, or set the profile column's `field`.",
        'Say fields="Header=field, …" or `| rename` in the search, or set `field` in the profile.',
    ),
)
#: The keys of a reply that hold a sentence of ours.
_SENTENCES = ("error", "next_step", "trouble", "problem", "found")
_PATTERN = re.compile("|".join(re.escape(words) for words, _ in _SAID))
_WORDS = dict(_SAID)


def in_splunk(text: str) -> str:
    """A sentence of the core's as it is said in Splunk."""
    return _PATTERN.sub(lambda found: _WORDS[found[0]], text)


def all_in_splunk(document: Any) -> Any:
    """The same for the sentences of a reply, wherever they stand; what a user wrote stays as it is."""
    if isinstance(document, Mapping):
        return {
            key: in_splunk(value) if key in _SENTENCES and isinstance(value, str) else all_in_splunk(value)
            for key, value in document.items()
        }
    if isinstance(document, (list, tuple)):
        return [all_in_splunk(value) for value in document]
    return document
