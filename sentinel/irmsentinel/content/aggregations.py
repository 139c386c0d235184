"""Aggregations: queries whose rows are exported from a workspace to the connector. One YAML file each.

A query returns one row per user, bin of time and activity. The start of the bin is the row's time, so the
same events give the same rows whenever they are read. The query runs for whole windows
``[starttime, endtime)`` and for a part of the users (``part`` of ``parts``): typed literals replace its first
line. An invalid file is refused with its line; Microsoft's parser and fixtures check the KQL itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from irmcore import settings
from irmcore.errors import ConfigurationError
from irmcore.settings import Kind, Source, did_you_mean

from irmsentinel.content import artefacts, tables
from irmsentinel.content.artefacts import Artefact, Column, Content, Parameter
from irmsentinel.content.durations import format_duration, parse_duration

AGGREGATION = Kind(
    name="aggregation",
    schema_file=Path(__file__).with_name("aggregation.schema.json"),
    start="Start from a copy of another aggregation: docs/sentinel.md has the steps.",
)
SUMMARY_RULE = Kind(
    name="summary rule",
    schema_file=Path(__file__).with_name("summary_rule.schema.json"),
    start="Start from a copy of sentinel/summary_rules/web-proxy.yaml.",
)
FOLDER = "aggregations"
SUMMARY_RULES = "summary_rules"
#: The first line of every query, which the export replaces.
DECLARED = "declare query_parameters(starttime:datetime, endtime:datetime, part:long, parts:long);"
_TYPES = {"starttime": "datetime", "endtime": "datetime", "part": "long", "parts": "long"}
_PARAMETERS = tuple(Parameter(name, kind) for name, kind in _TYPES.items())
_TIMES = ("window", "delay", "overlap", "first", "schedule")
_DAY = timedelta(days=1)
#: The bins of a summary rule in minutes (Azure's RuleDefinition).
BINS = (20, 30, 60, 120, 180, 360, 720, 1440)
#: The ID of a workspace, tenant or application.
GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


@dataclass(frozen=True, order=True)
class Span:
    """The time from ``start`` up to but not including ``end``, both in UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{iso(self.start)}/{iso(self.end)}"


def iso(moment: datetime) -> str:
    """A moment as ISO 8601 in UTC, which KQL reads."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


@dataclass(frozen=True, kw_only=True)
class _Query:
    """A query in a file of its own."""

    path: Path
    description: str
    returns: tuple[Column, ...]
    query: str
    first_line: int
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        return self.path.stem

    def _artefact(self, **more: Any) -> Artefact:
        return Artefact(
            path=self.path,
            summary=self.description,
            returns=self.returns,
            body=self.query,
            first_line=self.first_line,
            text=self.text,
            **more,
        )


@dataclass(frozen=True, kw_only=True)
class Aggregation(_Query):
    """A query and its times.

    There is one row per user, activity and ``window``. A window is read ``delay`` after its end, to include
    late data, and each run reads the last ``overlap`` again. ``first`` is how far back the first run reads.
    A run is due when there is ``schedule`` of new time to read. ``tables`` are those that it reads.
    """

    profile: str
    window: timedelta
    delay: timedelta
    overlap: timedelta
    first: timedelta
    schedule: timedelta
    tables: tuple[str, ...]

    def kql(self, span: Span, part: int = 0, parts: int = 1) -> str:
        """The query for a span and a part of its users, with the line numbers of the file."""
        times = (f"datetime({iso(moment)})" for moment in (span.start, span.end))
        values = zip(_TYPES.items(), (*times, part, parts), strict=True)
        declared = ", ".join(f"{name}:{kind} = {value}" for (name, kind), value in values)
        return f"declare query_parameters({declared});\n{self.query}"

    def artefact(self) -> Artefact:
        """The artefact to check: a function with the declared parameters."""
        return self._artefact(parameters=_PARAMETERS)


@dataclass(frozen=True, kw_only=True)
class SummaryRule(_Query):
    """A query that the workspace itself runs for each bin; the rows go into a table of their own."""

    destination: str
    bin: timedelta
    delay: timedelta
    needs: tuple[str, ...]

    def artefact(self) -> Artefact:
        """The artefact to check: a query."""
        return self._artefact(needs=self.needs)


def load(*folders: Path) -> dict[str, Aggregation]:
    """All aggregations of the folders, by default ours. Raises ConfigurationError with file and line."""
    return {path.stem: read(path, *folders) for path in _files(folders, FOLDER)}


def _files(folders: tuple[Path, ...], kind: str) -> list[Path]:
    """The files of a kind. Raises ConfigurationError if two have one name."""
    found: dict[str, Path] = {}
    for top in folders or (artefacts.root(),):
        for path in sorted((top / kind).glob("*.yaml")):
            if found.setdefault(path.stem, path) is not path:
                what = f"{found[path.stem]} has the same name"
                raise ConfigurationError(what, where=str(path), next_step="Rename one of the two.")
    return list(found.values())


def named(name: str, known: dict[str, Aggregation] | None = None) -> Aggregation:
    """The aggregation of that name. Raises ConfigurationError with the nearest one."""
    known = known if known is not None else load()
    if name not in known:
        hint = did_you_mean(name, known, plural="aggregations")
        raise ConfigurationError(f"there is no aggregation `{name}`", next_step=hint)
    return known[name]


def read(path: Path, *folders: Path) -> Aggregation:
    """The aggregation in a file. Raises ConfigurationError with file and line.

    ``folders`` have the tables and functions that it may name, by default the folder that it is in.
    """
    source = settings.read(path, AGGREGATION)
    values = source.value
    times = {key: parse_duration(values[key]) for key in _TIMES}
    first, _, rest = values["query"].partition("\n")
    if first != DECLARED:
        what = "the first line of `query` must declare the parameters"
        raise source.error(what, f"Replace it with: {DECLARED}", "query")
    if times["window"] not in (_DAY, timedelta(hours=1)):
        step = "KQL on this machine supports no other bins."
        raise source.error("`window` must be 1h or 1d", step, "window")
    aggregation = Aggregation(
        path=path,
        description=values["description"],
        profile=values["profile"],
        **times,
        returns=artefacts.columns(values["returns"]),
        query=_indented(rest),
        first_line=source.line(("query",)) + 2,
        tables=tables.named_in(rest, *(folders or (path.parent.parent,))),
        text=path.read_text(encoding="utf-8"),
    )
    check_times(aggregation, source)
    return aggregation


def check_times(aggregation: Aggregation, source: Source, *path: str | int) -> None:
    """Raises ConfigurationError unless the times are whole windows; only ``overlap`` may be 0.

    ``path`` is the mapping of ``source`` that has the times.
    """
    window = format_duration(aggregation.window)
    for key in ("overlap", "first", "schedule"):
        length: timedelta = getattr(aggregation, key)
        if length % aggregation.window or (not length and key != "overlap"):
            what = f"`{key}` must be a multiple of the window, {window}"
            raise source.error(what, f"Make it {window} or more.", *path, key)


def summary_rules(*folders: Path) -> dict[str, SummaryRule]:
    """All summary rules of the folders, by default ours. Raises ConfigurationError with file and line."""
    return {path.stem: _summary_rule(path) for path in _files(folders, SUMMARY_RULES)}


def _summary_rule(path: Path) -> SummaryRule:
    source = settings.read(path, SUMMARY_RULE)
    values = source.value
    size = parse_duration(values["bin"])
    if size not in [timedelta(minutes=minutes) for minutes in BINS]:
        step = f"Use one of these numbers of minutes: {', '.join(map(str, BINS))}."
        raise source.error("`bin` is not a bin that the service supports", step, "bin")
    return SummaryRule(
        path=path,
        description=values["description"],
        destination=values["destination"],
        bin=size,
        delay=parse_duration(values["delay"]),
        needs=tuple(item.strip() for item in values["needs"].split(",")),
        returns=artefacts.columns(values["returns"]),
        query=_indented(values["query"]),
        first_line=source.line(("query",)) + 1,
        text=path.read_text(encoding="utf-8"),
    )


def checked(loaded: Content, queries: Iterable[Aggregation | SummaryRule]) -> Content:
    """The content together with these queries, for the checker."""
    return replace(loaded, artefacts=(*loaded.artefacts, *(query.artefact() for query in queries)))


def _indented(query: str) -> str:
    """The query, indented as in the file, so that a finding has the file's column."""
    return textwrap.indent(query.rstrip("\n"), "  ")
