"""`irmexport`: the list of subcommands, the common options, and the exit code of each error."""

import logging
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from irmcore import __version__
from irmcore.clock import SystemClock
from irmcore.errors import IrmError

from irmcli.exit_codes import DONE, FAILED, code_of, file_system_error, internal_error
from irmcli.output import Output
from irmcli.scheduled import SCHEDULABLE, ping
from irmcli.settings import Settings

#: Subcommand → the module that has it as ``command``, under the headings of the help, in the order of first
#: use. Only the one that runs is imported.
GROUPS = {
    "Set up a connector": {
        "profile": "irmcli.commands.profile",
        "wizard": "irmcli.commands.wizard",
        "credential": "irmcli.commands.credential",
        "identities": "irmcli.commands.identities",
        "doctor": "irmcli.commands.doctor",
    },
    "Send rows": {
        "check": "irmcli.commands.check",
        "thresholds": "irmcli.commands.thresholds",
        "send": "irmcli.commands.send",
        "watch": "irmcli.commands.watch",
        "drain": "irmcli.commands.drain",
        "schedule": "irmcli.commands.schedule",
    },
    "See what happened, and decide": {
        "status": "irmcli.commands.status",
        "metrics": "irmcli.commands.metrics",
        "show": "irmcli.commands.show",
        "export-rejects": "irmcli.commands.export_rejects",
        "reconcile": "irmcli.commands.reconcile",
        "resolve": "irmcli.commands.resolve",
        "requeue": "irmcli.commands.requeue",
        "release": "irmcli.commands.release",
        "resume": "irmcli.commands.resume",
        "audit": "irmcli.commands.audit",
        "report": "irmcli.commands.report",
        "canary": "irmsentinel.cli.canary",
    },
    "Look after the outbox": {
        "person": "irmcli.commands.person",
        "clean-up": "irmcli.commands.clean_up",
        "outbox": "irmcli.commands.outbox",
    },
    "Sentinel and Azure": {
        "sentinel": "irmsentinel.cli.sentinel",
        "azure": "irmsentinel.cli.azure",
    },
    "Try it out": {
        "emulator": "irmcli.commands.emulator",
        "demo": "irmcli.commands.demo",
        "completion": "irmcli.commands.completion",
    },
}
COMMANDS = {name: module for group in GROUPS.values() for name, module in group.items()}


class Commands(click.Group):
    """The subcommands, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return with_output_options(import_module(COMMANDS[cmd_name]).command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings, with one width for all names."""
        widest = max(map(len, COMMANDS))
        limit = formatter.width - 6 - widest
        for heading, names in GROUPS.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                rows.append((name.ljust(widest), command.get_short_help_str(limit) if command else ""))
            with formatter.section(heading):
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = [name for name in self.list_commands(ctx) if name[:2] == args[0][:2]]
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        ctx.obj = ctx.obj or Output()
        code, clock = FAILED, SystemClock()
        start = clock.monotonic()
        try:
            result = self._invoke(ctx)
            code = DONE
        except click.exceptions.Exit as done:
            code = done.exit_code
            raise
        except click.ClickException as error:
            code = error.exit_code
            raise
        finally:
            output, name = Output.of(ctx), ctx.invoked_subcommand
            if name in SCHEDULABLE:
                ping(os.environ, code, output.warn)
            if output.log is not None:
                seconds = round(clock.monotonic() - start, 3)
                output.event("ended", "", command=name, code=code, seconds=seconds)
        return result

    def _invoke(self, ctx: click.Context) -> Any:
        """Run the command; report every error, and exit with its code."""
        try:
            return super().invoke(ctx)
        except IrmError as error:
            Output.of(ctx).error(error)
            ctx.exit(code_of(error))
        except BrokenPipeError:
            # The reader closed the pipe (`| head`). Python would print an error of its own at exit.
            sys.stderr.close()
            ctx.exit(FAILED)
        except OSError as error:
            Output.of(ctx).error(file_system_error(error))
            ctx.exit(FAILED)
        except click.ClickException as error:
            if (log := Output.of(ctx).log) is None:
                raise
            log.write("ERROR", "failed", error.format_message(), error=type(error).__name__)
            ctx.exit(error.exit_code)
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - reported without its text, which may quote a row
            Output.of(ctx).error(internal_error(error))
            ctx.exit(FAILED)


def _set_output(ctx: click.Context, param: click.Parameter, value: bool | str) -> None:
    """Click callback of an option of ``OUTPUT_OPTIONS``, before or after the subcommand."""
    if not value or value == "text":
        return
    root = ctx.find_root()
    now = root.obj or Output()
    as_json, verbosity, log = now.as_json, now.verbosity, now.log
    if param.name == "as_json":
        as_json = True
    elif param.name == "log_format":
        from irmcli.log import Log

        try:
            log = Log(str(value), os.environ)
        except IrmError as error:
            raise click.UsageError(f"{error.where}: {error.what}. {error.next_step}", ctx) from None
    else:
        verbosity = -1 if param.name == "quiet" else 1
    ctx.obj = root.obj = Output(as_json=as_json, verbosity=verbosity, log=log)


#: The names of each option, and what else it is.
OUTPUT_OPTIONS: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("--json", "as_json"): {"is_flag": True, "help": "Print one JSON document instead of text."},
    ("-q", "--quiet", "quiet"): {"is_flag": True, "help": "Print errors and warnings only."},
    ("-v", "--verbose", "verbose"): {"is_flag": True, "help": "Print details to standard error."},
    ("--log-format", "log_format"): {
        "type": click.Choice(("text", "json", "journald", "syslog")),
        "envvar": "IRMEXPORT_LOG_FORMAT",
        "metavar": "FORMAT",
        "help": "Write a log instead of text: json, journald or syslog.  [IRMEXPORT_LOG_FORMAT]",
    },
}


def _output_options() -> list[click.Option]:
    common: dict[str, Any] = {"is_eager": True, "expose_value": False, "callback": _set_output}
    return [click.Option([*names], **common, **more) for names, more in OUTPUT_OPTIONS.items()]


def with_output_options(command: click.Command) -> click.Command:
    """Add ``OUTPUT_OPTIONS`` to ``command``, so that they also work after the subcommand."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_output_options(inner)
    else:
        known = {param.name for param in command.params}
        command.params += [option for option in _output_options() if option.name not in known]
    return command


@click.group(
    cls=Commands,
    params=_output_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, prog_name="irmexport")
@click.option(
    "--outbox",
    envvar="IRMEXPORT_OUTBOX",
    type=click.Path(file_okay=False),
    help="Directory that stores batches until the service confirms them, or an address that machines share: "
    "az://ACCOUNT/CONTAINER/PREFIX or s3://BUCKET/PREFIX.  [IRMEXPORT_OUTBOX]",
)
@click.pass_context
def main(ctx: click.Context, outbox: str | None) -> None:
    """Send detections to Microsoft Purview Insider Risk Management.

    Exit codes: 0 success, 1 failed or queued for a retry, 2 usage or configuration error, 3 rows refused,
    4 a batch, a paused connector or a difference needs a person.
    """
    # A profile, a unit or a page that a command writes must not be for others to change.
    os.umask(os.umask(0o022) | 0o022)
    # What a library reports reaches the user as an error of ours; Python would print it to standard error.
    logging.getLogger().addHandler(logging.NullHandler())
    settings = ctx.meta["irmexport.settings"] = Settings.read(outbox)
    ctx.obj.detail(f"irmexport {__version__}, outbox {settings.address or settings.outbox}")
