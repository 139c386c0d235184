"""The peer: an EventingCommand of Splunk's SDK that gives every row back. argv[1] is where splunklib lies."""

from __future__ import annotations

import sys

sys.path.insert(0, sys.argv.pop(1))

from splunklib.searchcommands import Configuration, EventingCommand, Option, dispatch


@Configuration()
class DoNothing(EventingCommand):  # type: ignore[misc]
    """As the SDK's own example, without a filter; the options are there to be named."""

    profile = Option()
    wait = Option()

    def transform(self, records):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Every row as it came."""
        return records


dispatch(DoNothing, sys.argv, sys.stdin, sys.stdout, __name__)
