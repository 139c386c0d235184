"""`| irmexport` run by Splunk's SDK: for a first request that ``getinfo`` does not answer itself.

Errors in the options, or in getinfo, are reported in the SDK's words. The rows still bypass the SDK.
"""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

from splunklib.searchcommands import Configuration, EventingCommand, Option, validators

from irmsplunk.export.messages import error_message
from irmsplunk.search.command import SearchCommand
from irmsplunk.search.getinfo import LONGEST_WAIT, OPTIONS, OUTPUTS, Options


@Configuration()
class IrmExport(EventingCommand):  # type: ignore[misc]
    """The command as the SDK sees it."""

    profile = Option(default=Options.profile)
    dryrun = Option(default=Options.dryrun, validate=validators.Boolean())
    wait = Option(default=Options.wait, validate=validators.Integer(0, LONGEST_WAIT))
    output = Option(default=Options.output, validate=validators.Set(*OUTPUTS))
    maxrejects = Option(validate=validators.Integer(0))
    allowpartial = Option(default=Options.allowpartial, validate=validators.Boolean())
    fields = Option(default=Options.fields)

    def transform(self, records: Any) -> Any:
        """Never called: `_execute` reads the rows itself."""
        raise NotImplementedError

    def _protocol_v2_option_parser(self, arg: str) -> list[str]:
        name, equals, value = arg.partition("=")
        if not equals or name not in OPTIONS:
            # The SDK would quote the value of an unknown option, and it has options of its own that write the
            # session key or rows to a file. Not raised: the SDK drops the message of any other exception.
            self.write_error(
                f"irmexport: an argument is not one of this command's options: {', '.join(OPTIONS)}."
            )
            raise SystemExit(1)
        return [name, value]

    def _report_unexpected_error(self) -> None:
        """Replace the SDK's report, which shows the error's text: it may quote a row."""
        error = sys.exc_info()[1]
        if error is not None:
            self._record_writer.write_message("ERROR", "{}", error_message(error))
            sys.stderr.write(f"{error_message(error)}\n")

    def _execute(self, ifile: Any, process: Any) -> None:
        output: BinaryIO = getattr(self._record_writer.ofile, "buffer", self._record_writer.ofile)
        options = Options(**{name: getattr(self, name) for name in OPTIONS})
        SearchCommand(options, self.metadata, self._as_binary_stream(ifile), output).run()
