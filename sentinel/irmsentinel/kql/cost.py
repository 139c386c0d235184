"""What a query reads, by a model of a workspace with 10 million rows in 90 days. No query is run.

A query reads the rows of each table that it names within the time span that a filter on TimeGenerated leaves,
again for each use of a ``let`` without ``materialize``. The first join or aggregation takes them all, or only
the share of the alerts' users if a filter by users comes before it. The cheapest way to the same answer reads
each table once, no further back than the query compares with the alerts' time, and takes only the rows of the
users whom the query joins. Other filters leave everything, on both sides; seconds are not predicted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from duckdb_kql import ir
from duckdb_kql.timespans import TICKS_PER_DAY, ticks

from irmsentinel.content import artefacts, tables
from irmsentinel.content.artefacts import TYPES, Artefact, Content
from irmsentinel.kql.engine import Engine

TOTAL, DAYS, LIMIT = 10_000_000, 90, 3
SHARE = 200 / 5_000  # users with an alert, of all users
#: Rows in 90 days. The other tables share the rest equally.
ROWS = {
    "AADNonInteractiveUserSignInLogs": 2_200_000,
    "OfficeActivity": 1_800_000,
    "DeviceProcessEvents": 1_500_000,
    "DeviceFileEvents": 1_200_000,
    "CommonSecurityLog": 1_000_000,
    "DeviceEvents": 500_000,
    "SigninLogs": 400_000,
    "EmailEvents": 300_000,
    "AuditLogs": 150_000,
    "IdentityInfo": 50_000,
    **dict.fromkeys(("SecurityAlert", "SecurityIncident", "AlertEvidence", "AlertInfo"), 5_000),
    **dict.fromkeys(("Compliance_IRM_AuditGeneral_CL", "Watchlist", "IRMExportHealth_CL"), 5_000),
}
#: Functions with few rows, which name the people that a query is about.
PEOPLE = ("IRMAlerts", "IRMDistinctAlerts", "IRMLeavers")
_GIVEN = {"starttime": "ago(30d)", "endtime": "now()"}
_DEFAULT_RANGE = 14.0  # days: a workbook's time is a literal
_ONCE = "__once"
_MATERIALIZED = re.compile(r"\blet\s+(\w+)\s*=\s*materialize\s*\(")
_ROW_BY_ROW = (ir.Project, ir.Extend, ir.ProjectAway, ir.ProjectRename, ir.MvExpand)


@dataclass(frozen=True)
class Cost:
    """The rows that a query reads and joins or aggregates, and those of the cheapest way."""

    name: str
    reads: int
    reads_at_least: int
    joins: int
    joins_at_least: int

    @property
    def times(self) -> float:
        """How many times the rows of the cheapest way."""
        return round(
            max(self.reads / max(self.reads_at_least, 1), self.joins / max(self.joins_at_least, 1)), 2
        )


@dataclass(eq=False)
class _Scan:
    """One reading of a table: days back, and the share of its rows that the first join takes."""

    table: str
    days: float = DAYS
    share: float = 1.0
    taken: bool = False
    is_kept_whole: bool = False
    is_of_people: bool = False  # joined with the people that the query is about
    needed: float | None = None  # days back, as far as the query compares with the alerts' time


@dataclass(frozen=True)
class _Flow:
    """Rows within a query, and how far back the people's rows go that they are joined with."""

    scans: tuple[_Scan, ...] = ()
    is_people: bool = False
    people_days: float | None = None

    @property
    def days(self) -> float:
        """How far back the rows go. The directory is read further back than the alerts that it names."""
        return min((scan.days for scan in self.scans), default=DAYS)

    def taken(self) -> _Flow:
        """The same rows, after a join or aggregation."""
        for scan in self.scans:
            scan.taken = True
        return self


_Scope = Mapping[str, tuple[ir.Query, "_Scope"]]


def of_all(loaded: Content, chosen: Collection[Artefact]) -> list[Cost]:
    """The cost of each query, and of each function for 30 days, the worst first. Raises DataError."""
    known = {table.name for table in tables.load(*(folder / "tables" for folder in loaded.folders))}
    functions = artefacts.load(loaded.root, loaded.own).local_functions()
    ours = [each for each in chosen if not each.has_override and each.path.parent.name != "published"]
    with Engine([replace(each, body=_marked(each.body)) for each in functions]) as engine:
        costs = [_cost(engine, each, known) for each in ours]
    return sorted(costs, key=lambda each: (-each.times, each.name))


def _marked(body: str) -> str:
    """The body with a suffix on the names that it materializes, which the parsed query does not tell."""
    for name in dict.fromkeys(_MATERIALIZED.findall(body)):
        body = re.sub(rf"\b{name}\b", name + _ONCE, body)
    return body


def _cost(engine: Engine, artefact: Artefact, known: Collection[str]) -> Cost:
    given = ((p.name, _GIVEN.get(p.name) or p.default or TYPES[p.type]) for p in artefact.parameters or ())
    lets = "".join(f"let {name} = {value};\n" for name, value in given)
    model = _Model()
    model.rows(engine.lowered(lets + _marked(artefact.body)), {}).taken()
    rest = (TOTAL - sum(ROWS.values())) / max(len(known - ROWS.keys()), 1)
    reads = joins = 0.0
    least: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for scan in model.scans:
        daily = ROWS.get(scan.table, rest) / DAYS
        reads, joins = reads + daily * scan.days, joins + daily * scan.days * scan.share
        needed = daily * (scan.days if scan.needed is None else min(scan.days, scan.needed))
        share = min(scan.share, SHARE) if scan.is_of_people else scan.share
        least[scan.table] = (max(least[scan.table][0], needed), max(least[scan.table][1], needed * share))
    at_least = [round(sum(each[i] for each in least.values())) for i in (0, 1)]
    name = f"{artefact.path.parent.name}/{artefact.path.name}"
    return Cost(name, round(reads), at_least[0], round(joins), at_least[1])


class _Model:
    """Follows the rows of one query from its tables to its result."""

    def __init__(self) -> None:
        self.scans: list[_Scan] = []
        self._once: dict[int, _Flow] = {}

    def rows(self, query: ir.Query, outer: _Scope) -> _Flow:
        """The rows of a query, which sees the names of `outer`."""
        scope = dict(outer)
        for name, value in query.lets:
            if isinstance(value, ir.Query):
                scope[name] = (value, dict(scope))
        flow = self._source(query.source, scope)
        for operator in query.operators:
            flow = self._after(flow, operator, scope)
        return flow

    def _source(self, source: ir.Source, scope: _Scope) -> _Flow:
        if not isinstance(source, ir.TableRef):
            return _Flow()
        if source.name not in scope:
            self.scans.append(_Scan(source.name.removesuffix("__packed")))
            return _Flow((self.scans[-1],))
        query, seen = scope[source.name]
        if id(query) in self._once:
            return self._once[id(query)]
        flow = self.rows(query, seen)
        function = source.name.partition("()#")[0]
        if function in (*PEOPLE, tables.IDENTITY):  # a name can be anybody's: it needs the whole directory
            for scan in flow.taken().scans:
                scan.is_kept_whole = True
            flow = replace(flow, is_people=function in PEOPLE)
        if source.name.endswith(_ONCE):
            self._once[id(query)] = flow.taken()
        return flow

    def _after(self, flow: _Flow, operator: ir.Operator, scope: _Scope) -> _Flow:
        if isinstance(operator, ir.Where):
            for term in _terms(operator.predicate):
                self._filter(flow, term, scope)
        elif isinstance(operator, ir.Union):
            flows = [flow, *(self.rows(branch, scope) for branch in operator.branches)]
            flows = [each for each in flows if each.scans]
            scans = tuple(dict.fromkeys(scan for each in flows for scan in each.scans))
            days = max((each.people_days for each in flows if each.people_days is not None), default=None)
            return _Flow(scans, bool(flows) and all(each.is_people for each in flows), days)
        elif isinstance(operator, ir.Join | ir.Lookup):
            return _joined(flow, self.rows(operator.right, scope), operator.kind)
        elif not isinstance(operator, _ROW_BY_ROW):
            return flow.taken()
        return flow

    def _filter(self, flow: _Flow, term: ir.Expr, scope: _Scope) -> None:
        column, bound = _lower_bound(term)
        days = self._days_ago(bound, scope) if column == "TimeGenerated" else None
        sets = [self.rows(query, scope) for query in _compared(term)]
        is_by_user = any(each.is_people or any(scan.share < 1 for scan in each.scans) for each in sets)
        back = (
            _span(bound.right)
            if isinstance(bound, ir.BinaryOp) and isinstance(bound.left, ir.ColumnRef)
            else None
        )
        for scan in flow.scans:
            if not scan.taken:
                scan.days = scan.days if days is None else min(scan.days, days)
                scan.share = min(scan.share, SHARE) if is_by_user else scan.share
            elif scan.is_of_people and flow.people_days is not None and back is not None:
                scan.needed = max(scan.needed or 0.0, flow.people_days + back)

    def _days_ago(self, moment: ir.Expr | None, scope: _Scope) -> float | None:
        """How long ago a bound is, in days; None if that depends on the row."""
        moment = _value(moment)
        if isinstance(moment, ir.FunctionCall):
            first = moment.args[0] if moment.args else None
            return _span(first) if moment.name == "ago" else self._days_ago(first, scope) if first else 0.0
        if isinstance(moment, ir.ToScalar):
            return self.rows(moment.query, scope).days
        if isinstance(moment, ir.BinaryOp):
            base, size = self._days_ago(moment.left, scope), _span(moment.right)
            return None if base is None or size is None else base + size if moment.op == "-" else base - size
        return _DEFAULT_RANGE if isinstance(moment, ir.Literal) else None


def _joined(left: _Flow, right: _Flow, kind: str) -> _Flow:
    """A join takes all rows of both sides, where it could take those that belong to the people's."""
    days = [each.people_days for each in (left, right) if each.people_days is not None]
    for people, others in ((left, right), (right, left)):
        keeps_people = kind.startswith("inner") or (people is left and kind == "leftouter")
        if people.is_people and not others.is_people and keeps_people:
            days.append(people.days)
            for scan in others.scans:
                scan.is_of_people = not scan.is_kept_whole
    scans = tuple(dict.fromkeys((*left.taken().scans, *right.taken().scans)))
    return _Flow(scans, left.is_people and right.is_people, max(days, default=None))


def _terms(predicate: ir.Expr) -> Iterator[ir.Expr]:
    """The conditions that must all hold."""
    if isinstance(predicate, ir.BinaryOp) and predicate.op == "and":
        yield from (*_terms(predicate.left), *_terms(predicate.right))
    else:
        yield predicate


def _lower_bound(term: ir.Expr) -> tuple[str, ir.Expr | None]:
    """The column and the bound of ``column between (bound ..`` and ``column > bound``."""
    if isinstance(term, ir.Between) and isinstance(term.value, ir.ColumnRef):
        return term.value.name, term.low
    if isinstance(term, ir.BinaryOp) and term.op in {">", ">="} and isinstance(term.left, ir.ColumnRef):
        return term.left.name, term.right
    return "", None


def _value(expression: ir.Expr | None) -> ir.Expr | None:
    return _value(expression.value) if isinstance(expression, ir.LetRef) else expression


def _span(size: ir.Expr | None) -> float | None:
    size = _value(size)
    is_span = isinstance(size, ir.Literal) and size.kind == "timespan"
    return ticks(str(size.value)) / TICKS_PER_DAY if is_span and isinstance(size, ir.Literal) else None


def _compared(node: object, *, within: bool = False) -> Iterator[ir.Query]:
    """The queries whose rows the `in` of a condition compares with."""
    within = within or isinstance(node, ir.InList)
    if isinstance(node, ir.Query):
        yield node
    elif isinstance(node, tuple):
        for each in node:
            yield from _compared(each, within=within)
    elif is_dataclass(node) and (within or not isinstance(node, ir.ToScalar)):
        for field in fields(node):
            yield from _compared(getattr(node, field.name), within=within)
