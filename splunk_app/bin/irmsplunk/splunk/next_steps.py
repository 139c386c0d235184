"""The core's next steps, which name the command line, in Splunk's terms: requests, or buttons of the pages.

An administrator of a search head has no `irmexport` command, and in Splunk Cloud no shell. next_steps.json
has both translations: commands to requests, and requests to the buttons of the pages, with their labels. The
first entry that matches wins, so a longer text stands before its beginning.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Callable

#: The keys of a reply whose text is ours.
_SENTENCES = ("error", "next_step", "trouble", "problem", "found")

with open(os.path.join(os.path.dirname(__file__), "next_steps.json"), encoding="utf-8") as _file:
    _TEXTS = json.load(_file)
_REQUESTS: Mapping[str, str] = dict(_TEXTS["requests"])
_BUTTONS: Mapping[str, str] = {
    request: words.format(**_TEXTS["labels"]) for request, words in _TEXTS["pages"]
}
#: What only an administrator can do or change: requests, and settings of the connector or of the machine.
_ADMINISTRATION = re.compile(
    r"\b(GET|POST) irmexport/|`(app_id|tenant_id|cloud|job_id|proxy|ca_file|deadline|resource_app_id)`"
    r"|[Cc]heck the disk|\bfirewall\b|\boutbox\b|newer version|^[^,]* in the profile\.$"
)
_BATCH = re.compile(r"\b(?:BATCH|[0-9a-f]{12})\b")
#: A command is run, a request is sent, a button is used.
_RUN = re.compile(r"\b([Rr])un (?=`(?:GET|POST) (?:release_)?irmexport/)")
_SEND = re.compile(r"\b([Ss])end (?=`(?:GET|POST) (?:release_)?irmexport/)")


def in_splunk(text: str) -> str:
    """A sentence of the core, with requests in place of commands."""
    requests = _replaced(_REQUESTS, text)
    return _RUN.sub(lambda run: "Send " if run[1] == "R" else "send ", requests)


def for_analyst(step: str) -> str:
    """A next step in Splunk's terms for somebody who may only run searches."""
    needs_rights = _ADMINISTRATION.search(step) and not step.startswith("Ask an administrator")
    return f"Ask an administrator, and tell them: {step}" if needs_rights else step


def on_pages(text: str) -> str:
    """A sentence of the core or of the REST endpoint, with buttons in place of requests."""
    used = _SEND.sub(lambda send: "Use " if send[1] == "S" else "use ", in_splunk(text))
    return _replaced(_BUTTONS, used).replace(",.", ".")


def _replaced(table: Mapping[str, str], text: str) -> str:
    """The text with each entry of the table replaced. An id stands for BATCH, and is kept."""
    patterns = (re.escape(entry).replace("BATCH", _BATCH.pattern) for entry in table)

    def words(found: re.Match[str]) -> str:
        (batch,) = _BATCH.findall(found[0])[:1] or ["BATCH"]
        return table[_BATCH.sub("BATCH", found[0])].replace("BATCH", batch)

    return re.sub("|".join(patterns), words, text)


def translated(document: Any, translate: Callable[[str], str]) -> Any:
    """A reply with our sentences translated, at any depth. What a user wrote stays as it is."""
    if isinstance(document, Mapping):
        return {
            key: translate(value)
            if key in _SENTENCES and isinstance(value, str)
            else translated(value, translate)
            for key, value in document.items()
        }
    if isinstance(document, (list, tuple)):
        return [translated(value, translate) for value in document]
    return document
