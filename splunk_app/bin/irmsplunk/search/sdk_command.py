"""`| irmexport` as Splunk's SDK runs it: where `opening` finds something to say about the options.

What is wrong with them, or with getinfo, is told in the SDK's words. The rows pass the SDK by all the same.
"""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

from splunklib.searchcommands import Configuration, EventingCommand, Option, validators

from irmsplunk.export.export import said_of
from irmsplunk.search.command import Talk
from irmsplunk.search.getinfo import OPTIONS, OUTPUTS, WAIT_SECONDS, Options


@Configuration()
class IrmExport(EventingCommand):  # type: ignore[misc]
    """The command as the SDK sees it."""

    profile = Option(require=True)
    dryrun = Option(default=Options.dryrun, validate=validators.Boolean())
    wait = Option(default=Options.wait, validate=validators.Integer(0, WAIT_SECONDS))
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
            # The SDK would quote the value of an option that it does not know, and offers options that write
            # the session key or rows into a file. Not raised: of any other exception it loses the message.
            self.write_error(
                f"irmexport: an argument is not one of this command's options: {', '.join(OPTIONS)}."
            )
            raise SystemExit(1)
        return [name, value]

    def _report_unexpected_error(self) -> None:
        """The SDK's would show the error's text, which may quote a row."""
        error = sys.exc_info()[1]
        if error is not None:
            self._record_writer.write_message("ERROR", "{}", said_of(error))
            sys.stderr.write(f"{said_of(error)}\n")

    def _execute(self, ifile: Any, process: Any) -> None:
        output: BinaryIO = getattr(self._record_writer.ofile, "buffer", self._record_writer.ofile)
        options = Options(**{name: getattr(self, name) for name in OPTIONS})
        Talk(options, self.metadata, self._as_binary_stream(ifile), output).run()
