"""The REST endpoint irmexport/…: the persistent handler that splunkd loads."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))

from irmsplunk.supported import refusal
from splunk.persistconn.application import PersistentServerConnectionApplication


class Handler(PersistentServerConnectionApplication):  # type: ignore[misc]
    """Stateless: answers each request on its own."""

    def __init__(self, command_line: str, command_arg: str) -> None:
        super().__init__()

    def handle(self, in_string):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Answer a request, which is JSON as text or bytes."""
        if refusal():
            return {"status": 500, "payload": refusal()}
        from irmsplunk.rest import handler  # noqa: PLC0415 - does not parse on older Pythons

        return handler.answer(in_string, os.environ)
