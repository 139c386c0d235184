"""Aggregations: what is exported from a workspace to the connector. One YAML file each.

A query gives a row for each user, bin of time and activity; the bin's beginning is the row's time, so
that the same events give the same rows whenever they are read. It is asked for whole windows
``[starttime, endtime)`` and for a part of the users (``part`` of ``parts``), by typed literals that take
the place of its first line. Promised: what is wrong with a file is said with its line. Not promised:
that the KQL is right; that is the checker's and the fixtures' part.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from irmcore.errors import ConfigurationError

from irmsentinel.content import artefacts as content
from irmsentinel.content import keys
from irmsentinel.content.artefacts import Artefact, Column, Content, Parameter

FOLDER = "aggregations"
SUMMARY_RULES = "summary_rules"
#: The first line of every query: what the runner fills in.
DECLARED = "declare query_parameters(starttime:datetime, endtime:datetime, part:long, parts:long);"
_PARAMETERS = (
    Parameter("starttime", "datetime"),
    Parameter("endtime", "datetime"),
    Parameter("part", "long"),
    Parameter("parts", "long"),
)
_TIMES = ("window", "delay", "overlap", "first", "schedule")
_RETURNS = r"[A-Za-z_]\w*:[a-z]+(, [A-Za-z_]\w*:[a-z]+)*"
_DAY = timedelta(days=1)
#: Minutes that a summary rule's bin may have (Azure's RuleDefinition).
BINS = (20, 30, 60, 120, 180, 360, 720, 1440)
#: A workspace's, tenant's or application's ID.
GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


@dataclass(frozen=True, order=True)
class Span:
    """A time from ``start`` up to, not including, ``end``; both in UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{iso(self.start)}/{iso(self.end)}"


def iso(moment: datetime) -> str:
    """A moment of UTC as KQL and people write it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


@dataclass(frozen=True)
class Aggregation:
    """A query and its times.

    Rows are made per ``window``; a window is read ``delay`` after its end, for data that come late; the last
    ``overlap`` is read again; ``first`` is how far back a first run goes; it is due when windows of
    ``schedule`` are to be read.
    """

    path: Path
    description: str
    profile: str
    window: timedelta
    delay: timedelta
    overlap: timedelta
    first: timedelta
    schedule: timedelta
    returns: tuple[Column, ...]
    query: str
    first_line: int
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        return self.path.stem

    def kql(self, span: Span, part: int = 0, parts: int = 1) -> str:
        """The query for a span and a part of its users. One line before it, as in the file."""
        declared = ", ".join(
            (
                f"starttime:datetime = datetime({iso(span.start)})",
                f"endtime:datetime = datetime({iso(span.end)})",
                f"part:long = {part}",
                f"parts:long = {parts}",
            )
        )
        return f"declare query_parameters({declared});\n{self.query}"

    def artefact(self) -> Artefact:
        """As the checker binds it: a function of what is declared."""
        return Artefact(
            path=self.path,
            summary=self.description,
            parameters=_PARAMETERS,
            returns=self.returns,
            body=self.query,
            first_line=self.first_line,
            text=self.text,
        )


@dataclass(frozen=True)
class SummaryRule:
    """A query that the workspace itself runs for every bin, into a table of its own."""

    path: Path
    description: str
    destination: str
    bin: timedelta
    delay: timedelta
    needs: tuple[str, ...]
    returns: tuple[Column, ...]
    query: str
    first_line: int
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        return self.path.stem

    def artefact(self) -> Artefact:
        """As the checker binds it: a query."""
        return Artefact(
            path=self.path,
            summary=self.description,
            returns=self.returns,
            needs=self.needs,
            body=self.query,
            first_line=self.first_line,
            text=self.text,
        )


def load(top: Path | None = None) -> dict[str, Aggregation]:
    """All aggregations by name. Raises ConfigurationError with file and line."""
    folder = (top or content.root()) / FOLDER
    return {path.stem: read(path) for path in keys.names(folder)}


def named(name: str, known: dict[str, Aggregation] | None = None) -> Aggregation:
    """The aggregation of that name. Raises ConfigurationError with the nearest one."""
    known = known if known is not None else load()
    if name not in known:
        raise ConfigurationError(f"there is no aggregation `{name}`", next_step=nearest(name, known))
    return known[name]


def nearest(name: str, known: Collection[str]) -> str:
    """What somebody who wrote `name` may have meant."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."


def read(path: Path) -> Aggregation:
    """One file. Raises ConfigurationError with file and line."""
    source = keys.read(path)
    found = keys.Keys(source, (), ("description", "profile", *_TIMES, "returns", "query"))
    times = {key: found.duration(key) for key in _TIMES}
    query = found.text("query")
    first, _, rest = query.partition("\n")
    if first != DECLARED:
        raise found.wrong(
            "the query's first line is not the one to fill in", f"Begin it: {DECLARED}", "query"
        )
    if times["window"] not in (_DAY, timedelta(hours=1)):
        raise found.wrong("`window` is neither 1h nor 1d", "Other bins differ on this machine.", "window")
    read_it = Aggregation(
        path=path,
        description=found.text("description"),
        profile=found.text("profile"),
        **times,
        returns=_columns(found.text("returns", form=_RETURNS, like="Name:type, Name:type")),
        query=_indented(rest),
        first_line=found.line("query") + 2,
        text=path.read_text(encoding="utf-8"),
    )
    refuse_odd_times(read_it, found)
    return read_it


def refuse_odd_times(aggregation: Aggregation, found: keys.Keys) -> None:
    """Raises ConfigurationError for times that are no whole windows, or none at all."""
    window = keys.in_words(aggregation.window)
    for key in ("overlap", "first", "schedule"):
        length: timedelta = getattr(aggregation, key)
        if length % aggregation.window or (not length and key != "overlap"):
            raise found.wrong(f"`{key}` is not whole windows of {window}", f"Make it {window}, or more.", key)


def summary_rules(top: Path | None = None) -> dict[str, SummaryRule]:
    """All summary rules by name. Raises ConfigurationError with file and line."""
    folder = (top or content.root()) / SUMMARY_RULES
    return {path.stem: _summary_rule(path) for path in keys.names(folder)}


def _summary_rule(path: Path) -> SummaryRule:
    required = ("description", "destination", "bin", "delay", "needs", "returns", "query")
    found = keys.Keys(keys.read(path), (), required)
    size = found.duration("bin")
    if size not in [timedelta(minutes=minutes) for minutes in BINS]:
        raise found.wrong("the service knows no such bin", f"Minutes: {', '.join(map(str, BINS))}.", "bin")
    return SummaryRule(
        path=path,
        description=found.text("description"),
        destination=found.text("destination", form=r"[A-Za-z]\w*_CL", like="NAME_CL"),
        bin=size,
        delay=found.duration("delay"),
        needs=tuple(item.strip() for item in found.text("needs").split(",")),
        returns=_columns(found.text("returns", form=_RETURNS, like="Name:type, Name:type")),
        query=_indented(found.text("query")),
        first_line=found.line("query") + 1,
        text=path.read_text(encoding="utf-8"),
    )


def checked(loaded: Content, queries: Iterable[Aggregation | SummaryRule]) -> Content:
    """The content with these as well, for the checker."""
    return replace(loaded, artefacts=(*loaded.artefacts, *(query.artefact() for query in queries)))


def _columns(text: str) -> tuple[Column, ...]:
    pairs = (item.strip().partition(":") for item in text.split(","))
    return tuple(Column(name, kind) for name, _, kind in pairs)


def _indented(query: str) -> str:
    """As it stands in the file, so that the checker's columns are the file's."""
    return textwrap.indent(query.rstrip("\n"), "  ")
