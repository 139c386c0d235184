"""Whether the local engine can run a query: it is translated and run on empty tables.

A function of irmexport's that it calls gives no rows and is not translated, which takes most of the time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from irmcore.errors import DataError

from irmsentinel.content import artefacts, tables
from irmsentinel.content.artefacts import TYPES, Artefact, Content
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.findings import Finding, in_body

CODE = "LE1"
_PLACE = re.compile(r"(.*):(\d+):(\d+)")


def refused(content: Content, chosen: Collection[Artefact]) -> Iterator[Finding]:
    """A finding for each artefact that the local engine refuses, in the file that it blames."""
    functions = [
        each if content.own and each.path.is_relative_to(content.own) else each.declaration()
        for each in artefacts.load(content.root, content.own).local_functions()
    ]
    known = tables.shapes(tables.load(*(folder / "tables" for folder in content.folders)))
    with Engine(functions) as engine:
        for name in tables.named_in("\n".join(artefact.body for artefact in chosen), *content.folders):
            engine.insert(known[name].get("") or next(iter(known[name].values())), [])
        for artefact in chosen:
            try:
                engine.run(_runnable(artefact), now=datetime(2026, 11, 20, tzinfo=UTC), artefact=artefact)
            except DataError as error:
                place = _PLACE.fullmatch(error.where or "")
                what = error.what.removeprefix("the local engine cannot run it: ")
                if place is None:
                    yield in_body(artefact, 0, CODE, what)
                else:
                    yield Finding(place[1], int(place[2]), int(place[3]), CODE, what)


def _runnable(artefact: Artefact) -> str:
    """The body, with a value for each parameter."""
    given = ", ".join(f"{p.name}:{p.type} = {TYPES[p.type]}" for p in artefact.parameters or ())
    return f"declare query_parameters({given});\n{artefact.body}" if given else artefact.body
