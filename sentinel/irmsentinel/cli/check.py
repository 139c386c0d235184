"""`irmexport sentinel check`: check the KQL content with Microsoft's parser and the portability rules."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from irmcli.exit_codes import DONE, FAILED
from irmcli.extras import sentinel_extra
from irmcli.output import Output, count
from irmcore.errors import ConfigurationError

from irmsentinel.cli import options
from irmsentinel.cli.options import FILE
from irmsentinel.content import artefacts, catalogue
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.kql import checker


@click.command("check")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=FILE)
@options.content
@click.option(
    "--node",
    type=FILE,
    default=Path(sys.executable).with_name("node"),
    show_default="node beside this Python",
    help="The Node.js interpreter that runs the parser.",
)
@click.option(
    "--modules",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(sys.prefix) / "kql",
    show_default="kql in this Python's environment",
    help="Directory that `make kql` installed the parser into.",
)
@click.option(
    "--cost",
    "only_cost",
    is_flag=True,
    help="Compare the rows that each query reads with the cheapest way to its answer, instead.",
)
@click.pass_context
def check(
    ctx: click.Context,
    *,
    files: tuple[Path, ...],
    own: Path | None,
    node: Path,
    modules: Path,
    only_cost: bool,
) -> None:
    """Check content files with Microsoft's KQL parser.

    Checks FILE, or all files, by the portability rules, too.

    With --content, checks the files of that folder, and whether they run on this machine. Microsoft's parser
    is installed in a source tree only; without it, a warning says what was not checked.

    With --cost, a model of a workspace with 10 million rows counts the rows that each query reads and joins,
    the worst query first. Nothing is run.

    Exits with 1 if there are findings, or if a query takes more than 3 times the rows that its answer needs.

    Example: irmexport sentinel check --content my-content
    """
    output, loaded = Output.of(ctx), catalogue.load(own=own)
    chosen: Sequence[Artefact] = [artefact for file in files for artefact in _artefacts_in(loaded, file)]
    if own is not None and not files:
        everything = (*loaded.artefacts, *loaded.overrides)
        chosen = [artefact for artefact in everything if artefact.path.is_relative_to(own)]
    if only_cost:
        ctx.exit(_cost(output, loaded, chosen if files or own else loaded.artefacts))
    findings = []
    if own is None or checker.installed(loaded, node, modules):
        findings += checker.check(loaded, node, modules, only=chosen if files or own else None)
    else:
        findings += checker.without_parser(chosen)
        output.warn("Microsoft's parser is not installed, so types and Azure's names are not checked")
    if own is not None:
        with sentinel_extra():
            from irmsentinel.kql import translation
        findings += translation.refused(loaded, [each for each in chosen if not each.has_override])
    for finding in findings:
        output.line(str(finding))
    if not findings:
        checked = chosen if files or own else (*loaded.artefacts, *loaded.overrides)
        kinds = Counter(artefact.path.parent.name for artefact in checked)
        listed = ", ".join(f"{number} in {folder}/" for folder, number in kinds.items())
        output.line(f"KQL: {count(len(checked), 'artefact')} checked ({listed}), no findings.")
    output.document([vars(finding) for finding in findings])
    ctx.exit(FAILED if findings else DONE)


def _cost(output: Output, loaded: Content, chosen: Sequence[Artefact]) -> int:
    """Print what each query costs; the exit code."""
    with sentinel_extra():
        from irmsentinel.kql import cost
    costs = cost.of_all(loaded, chosen)
    output.line(f"{'times':>6}{'reads':>11}{'at least':>11}{'joins':>11}{'at least':>11}  query")
    for each in costs:
        numbers = (each.reads, each.reads_at_least, each.joins, each.joins_at_least)
        output.line(f"{each.times:6.2f}{''.join(f'{number:11,}' for number in numbers)}  {each.name}")
    costly = [each for each in costs if each.times > cost.LIMIT]
    output.line(
        f"Cost: {len(costs)} checked, {len(costly)} above {cost.LIMIT} times the cheapest way."
        + (
            " Filter by time and by the alerts' users before a join; materialize what is used twice."
            if costly
            else ""
        )
    )
    output.document([vars(each) | {"times": each.times} for each in costs])
    return FAILED if costly else DONE


def _artefacts_in(loaded: Content, file: Path) -> list[Artefact]:
    found = catalogue.in_file(loaded, file)
    if not found:
        raise ConfigurationError(
            "this file is not part of the content",
            where=str(file),
            next_step=f"Give a query, rule, aggregation or workbook under {artefacts.root()}, or --content.",
        )
    return found
