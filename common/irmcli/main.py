"""`irmexport`: the list of subcommands, the common options, and the exit code of each error."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click
from irmcore import __version__
from irmcore.errors import IrmError

from irmcli.exit_codes import FAILED, code_of, file_system_error, internal_error
from irmcli.output import Output
from irmcli.settings import Settings

#: Subcommand → the module that has it as ``command``, in the order of first use. Only the one that runs
#: is imported.
COMMANDS = {
    "profile": "irmcli.commands.profile",
    "wizard": "irmcli.commands.wizard",
    "credential": "irmcli.commands.credential",
    "identities": "irmcli.commands.identities",
    "check": "irmcli.commands.check",
    "send": "irmcli.commands.send",
    "watch": "irmcli.commands.watch",
    "drain": "irmcli.commands.drain",
    "status": "irmcli.commands.status",
    "show": "irmcli.commands.show",
    "reconcile": "irmcli.commands.reconcile",
    "resolve": "irmcli.commands.resolve",
    "requeue": "irmcli.commands.requeue",
    "release": "irmcli.commands.release",
    "resume": "irmcli.commands.resume",
    "export-rejects": "irmcli.commands.export_rejects",
    "audit": "irmcli.commands.audit",
    "report": "irmcli.commands.report",
    "person": "irmcli.commands.person",
    "outbox": "irmcli.commands.outbox",
    "doctor": "irmcli.commands.doctor",
    "clean-up": "irmcli.commands.clean_up",
    "schedule": "irmcli.commands.schedule",
    "emulator": "irmcli.commands.emulator",
    "demo": "irmcli.commands.demo",
    "sentinel": "irmsentinel.cli.sentinel",
    "azure": "irmsentinel.cli.azure",
}


class Commands(click.Group):
    """The subcommands, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return with_json(import_module(COMMANDS[cmd_name]).command)

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
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - reported without its text, which may quote a row
            Output.of(ctx).error(internal_error(error))
            ctx.exit(FAILED)


def with_json(command: click.Command) -> click.Command:
    """Add ``--json`` to ``command``, so that the option also works after the subcommand."""

    def turn_on(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.obj = ctx.find_root().obj = Output(as_json=True)

    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_json(inner)
    elif all(param.name != "as_json" for param in command.params):
        option = click.Option(
            ["--json", "as_json"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=turn_on,
            help="Print one JSON document instead of text.",
        )
        command.params.append(option)
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="irmexport")
@click.option(
    "--outbox",
    envvar="IRMEXPORT_OUTBOX",
    type=click.Path(file_okay=False),
    help="Directory that stores batches until the service confirms them, or an address that machines share: "
    "az://ACCOUNT/CONTAINER/PREFIX or s3://BUCKET/PREFIX.  [IRMEXPORT_OUTBOX]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.pass_context
def main(ctx: click.Context, outbox: str | None, as_json: bool) -> None:
    """Send detections to Microsoft Purview Insider Risk Management.

    Exit codes: 0 success, 1 failed or queued for a retry, 2 usage or configuration error, 3 rows refused,
    4 a batch or a paused connector needs attention.
    """
    # A profile, a unit or a page that a command writes must not be for others to change.
    os.umask(os.umask(0o022) | 0o022)
    ctx.obj = Output(as_json=as_json)
    ctx.meta["irmexport.settings"] = Settings.read(outbox)
