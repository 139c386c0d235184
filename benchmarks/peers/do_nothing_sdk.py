"""The peer: an EventingCommand of Splunk's SDK that returns every row. argv: splunklib's directory."""

from __future__ import annotations

import sys

sys.path.insert(0, sys.argv.pop(1))

from splunklib.searchcommands import Configuration, EventingCommand, Option, dispatch


@Configuration()
class DoNothing(EventingCommand):  # type: ignore[misc]
    """Like the SDK's example, without a filter. The options exist so that they can be named."""

    profile = Option()
    wait = Option()

    def transform(self, records):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Return every row unchanged."""
        return records


dispatch(DoNothing, sys.argv, sys.stdin, sys.stdout, __name__)
