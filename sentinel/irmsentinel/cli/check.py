"""`python -m irmsentinel.cli.check`: what `make kql` runs. Prints findings, or what was checked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from irmcore.errors import IrmError

from irmsentinel.content import aggregations, rules, workbooks
from irmsentinel.content import artefacts as content
from irmsentinel.kql import checker


def main() -> int:
    """0: nothing found; 1: findings; 2: it could not be checked."""
    arguments = argparse.ArgumentParser(description="Check the KQL content with Microsoft's parser.")
    arguments.add_argument("--node", type=Path, default=Path(sys.executable).with_name("node"))
    arguments.add_argument("--modules", type=Path, required=True, help="the folder that npm installed into")
    given = arguments.parse_args()
    try:
        loaded = workbooks.with_queries(rules.with_rules(content.load()))
        exports, summaries = aggregations.load(), aggregations.summary_rules()
        everything = aggregations.checked(loaded, [*exports.values(), *summaries.values()])
        findings = checker.check(everything, given.node, given.modules)
    except IrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for finding in findings:
        print(finding)
    if findings:
        return 1
    functions = len(loaded.functions)
    others = len(loaded.artefacts) - functions
    print(
        f"KQL: {functions} functions, {others} queries, {len(exports)} aggregations, "
        f"{len(summaries)} summary rules and {len(loaded.overrides)} local overrides: nothing found."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
