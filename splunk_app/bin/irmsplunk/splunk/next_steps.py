"""The core's next steps, which name the command line, in Splunk's terms: requests to the REST endpoint.

An administrator of a search head has no `irmexport` command, and in Splunk Cloud no shell. next_steps.json
has both translations: commands to requests (used here) and requests to buttons (used by the pages,
ui/src/steps.ts). The first entry that matches wins, so a longer text stands before its beginning.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

#: The keys of a reply whose text is ours.
_SENTENCES = ("error", "next_step", "trouble", "problem", "found")

with open(os.path.join(os.path.dirname(__file__), "next_steps.json"), encoding="utf-8") as _file:
    _REQUESTS: Mapping[str, str] = dict(json.load(_file)["requests"])
_PATTERN = re.compile("|".join(map(re.escape, _REQUESTS)))
#: A command is run, a request is sent.
_RUN = re.compile(r"\b([Rr])un (?=`(?:GET|POST) irmexport/)")


def in_splunk(text: str) -> str:
    """A sentence of the core, with requests in place of commands."""
    requests = _PATTERN.sub(lambda found: _REQUESTS[found[0]], text)
    return _RUN.sub(lambda run: "Send " if run[1] == "R" else "send ", requests)


def all_in_splunk(document: Any) -> Any:
    """The same for our sentences in a reply, at any depth. What a user wrote stays as it is."""
    if isinstance(document, Mapping):
        return {
            key: in_splunk(value) if key in _SENTENCES and isinstance(value, str) else all_in_splunk(value)
            for key, value in document.items()
        }
    if isinstance(document, (list, tuple)):
        return [all_in_splunk(value) for value in document]
    return document
