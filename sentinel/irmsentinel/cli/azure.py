"""`irmexport azure`: deploy irmexport to Azure Functions."""

from __future__ import annotations

from pathlib import Path

import click
from irmcli.output import Output

from irmsentinel.cli import options
from irmsentinel.content import artefacts
from irmsentinel.packaging import arm, playbooks


@click.group("azure")
def command() -> None:
    """Deploy irmexport to Azure, without a machine of your own."""


@command.command("template")
@options.template_file
@click.option("--form", is_flag=True, help="Write the portal's form (createUiDefinition.json) instead.")
@click.pass_context
def template(ctx: click.Context, *, file: Path, form: bool) -> None:
    """Write the ARM template of the Function app to FILE.

    With -, writes it to standard output.

    Example: irmexport azure template azuredeploy.json
    """
    name = "createUiDefinition.json" if form else "azuredeploy.json"
    text = (artefacts.root() / "function_app" / name).read_text(encoding="utf-8")
    if options.write_or_print(file, text) and not form:
        given = "workspaces='[\"/subscriptions/…/workspaces/NAME\"]'"
        Output.of(ctx).line(f"az deployment group create -g GROUP -f {file} -p {given}")


@command.command("playbook")
@click.argument("trigger", type=click.Choice(playbooks.TRIGGERS))
@options.template_file
def playbook(*, trigger: str, file: Path) -> None:
    """Write the ARM template of the playbook for TRIGGER.

    With the playbook, an analyst sends an account.

    Example: irmexport azure playbook incident playbook.json
    """
    options.write_or_print(file, arm.text(playbooks.template(trigger)))
