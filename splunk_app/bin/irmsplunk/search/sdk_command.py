"""`| irmexport` run by Splunk's SDK: for a first request that ``getinfo`` does not answer itself.

Errors in the request are reported in the SDK's words, those in the options in ours. The rows still bypass the
SDK.
"""

from __future__ import annotations

import sys
from typing import Any, BinaryIO, NoReturn

from irmcore.settings import nearest
from splunklib.searchcommands import Configuration, EventingCommand, Option, validators

from irmsplunk.export.messages import error_message
from irmsplunk.search.command import SearchCommand
from irmsplunk.search.getinfo import LONGEST_WAIT, OPTIONS, OUTPUTS, Options

_EXPECTED = {
    **dict.fromkeys(("dryrun", "allowpartial"), "t or f"),
    "wait": f"a whole number of seconds from 0 to {LONGEST_WAIT}, without a unit",
    "maxrejects": "a whole number",
    "output": ", ".join(OUTPUTS[:-1]) + f" or {OUTPUTS[-1]}, in lower case",
}


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
            # session key or rows to a file.
            near = nearest(name, OPTIONS)
            hint = f" Did you mean {near}=…?" if near else ""
            self._refuse(f"an argument is not one of this command's options: {', '.join(OPTIONS)}.{hint}")
        try:
            self.options[name].value = value
        except ValueError:
            self._refuse(f"{name}=… must be {_EXPECTED[name]}.")
        return [name, value]

    def _refuse(self, text: str) -> NoReturn:
        """Not raised as an error: the SDK drops the message of any exception but SystemExit."""
        self.write_error(f"irmexport: {text}")
        raise SystemExit(1)

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
