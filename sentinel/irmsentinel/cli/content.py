"""`irmexport sentinel list`, `template` and `package`: the KQL content and its ARM templates."""

from __future__ import annotations

from pathlib import Path

import click
from irmcli.output import Output
from irmcore import __version__

from irmsentinel.cli import options
from irmsentinel.content import aggregations, artefacts, rules
from irmsentinel.packaging import arm, arm_collection
from irmsentinel.packaging.package_files import package_files


@click.command("list")
@options.content
@click.pass_context
def list_(ctx: click.Context, *, own: Path | None) -> None:
    """List the functions, queries and rules.

    Example: irmexport sentinel list
    """
    output, loaded = Output.of(ctx), rules.with_rules(artefacts.load(own=own))
    rows = [(a.name, a.signature if a.is_function else "(a query)", a.summary) for a in loaded.artefacts]
    for name, signature, summary in rows:
        output.line(f"{name}({signature})" if signature != "(a query)" else name, "bold")
        output.line(f"  {summary}")
    output.document([{"name": n, "parameters": s, "summary": about} for n, s, about in rows])


@click.command("template")
@options.template_file
@click.option(
    "--summary-rules", is_flag=True, help="Write the summary rules for sources too large to export, instead."
)
@click.option(
    "--collection", is_flag=True, help="Write the collector's tables and data collection rules instead."
)
@options.content
@click.pass_context
def template(
    ctx: click.Context, *, file: Path, summary_rules: bool, collection: bool, own: Path | None
) -> None:
    """Write the ARM template of the functions to FILE.

    With -, writes it to standard output.

    Example: irmexport sentinel template functions.json
    """
    if summary_rules and collection:
        raise click.UsageError("Choose either --summary-rules or --collection.")
    loaded = artefacts.load(own=own)
    if summary_rules:
        document = arm.summary_rules(aggregations.summary_rules(*loaded.folders).values())
    else:
        build = arm_collection.template if collection else arm.template
        document = build(loaded)
    if options.write_or_print(file, arm.text(document)):
        Output.of(ctx).line(f"az deployment group create -g GROUP -f {file} -p workspace=NAME")


@click.command("package")
@click.argument("directory", type=options.FOLDER)
@options.content
@click.option(
    "--support", metavar="LINK", help="Link or e-mail address that the content hub shows as support."
)
@click.pass_context
def package(ctx: click.Context, *, directory: Path, own: Path | None, support: str | None) -> None:
    """Write the Sentinel solution to DIRECTORY.

    It has its templates, and its sources for the content hub.

    Example: irmexport sentinel package solution --content my-content
    """
    files = package_files(artefacts.load(own=own), __version__, support)
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    output = Output.of(ctx)
    output.line(f"Wrote {len(files)} files to {directory}.")
    output.line(f"az deployment group create -g GROUP -f {directory}/azuredeploy.json -p workspace=NAME")
    output.document(sorted(files))
