"""The rules of a profile whose kind of connector has scenarios, and of one whose kind has none.

The columns are those that the kind's module declares: each is mapped to a field of the profile's scenarios,
and no field that a scenario requires is missing. The service does not read a file that lacks one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from irmcore.profile.kinds import Kind
from irmcore.profile.model import Column
from irmcore.settings import Source, nearest

_ROLES = ("user", "scenario", "information")


def check(source: Source, kind: Kind, columns: Sequence[Column]) -> None:
    """Raises ProfileError with the line of the key to change."""
    if not kind.scenarios:
        _check_none(source, kind, columns)
        return
    named = source.value.get("scenarios")
    if named is None:
        raise source.error(
            f"a profile of the kind {kind.name} names its `scenarios`",
            f"Add, for example, `scenarios: {{{_example(kind)}}}`.",
        )
    _check_roles(source, kind, columns, len(named))
    values = list(named.values())
    for name, value in named.items():
        if values.count(value) > 1:
            what = "two scenarios have the same value"
            raise source.error(what, "Give each the value that the wizard has for it.", "scenarios", name)
    _check_fields(source, kind, columns, list(named))
    if int(source.value["limits"].get("rows", 0)) > kind.rows:
        what = f"a file of the kind {kind.name} has at most {kind.rows} rows"
        raise source.error(what, f"Write {kind.rows} or less, or remove the key.", "limits", "rows")


def _check_none(source: Source, kind: Kind, columns: Sequence[Column]) -> None:
    if "scenarios" in source.value:
        what = f"a connector of the kind {kind.name} has no `scenarios`"
        raise source.error(what, "Remove them, or set `connector.kind`.", "scenarios")
    for index, (column, raw) in enumerate(zip(columns, source.value["columns"])):
        if column.role == "scenario" or "maps_to" in raw:
            key = "maps_to" if "maps_to" in raw else "role"
            what = f"a connector of the kind {kind.name} has no such column"
            raise source.error(what, f"Remove `{key}`, or set `connector.kind`.", "columns", index, key)


def _check_roles(source: Source, kind: Kind, columns: Sequence[Column], scenarios: int) -> None:
    for index, column in enumerate(columns):
        if column.role not in _ROLES:
            what = f"a column of the kind {kind.name} cannot have the role {column.role}"
            step = "Remove `role`: the scenarios say which column dates a row."
            raise source.error(what, step, "columns", index, "role")
    found = [index for index, column in enumerate(columns) if column.role == "scenario"]
    if len(found) > 1 or (scenarios > 1 and not found):
        raise source.error(
            f"a file with {scenarios} scenarios needs one column with the role scenario; "
            f"this one has {len(found)}",
            "Add a column such as `{header: HRScenario, type: string, role: scenario}`.",
            *(("columns", found[1]) if found else ("columns",)),
        )
    if found and not columns[found[0]].required:
        what = "the scenario column cannot be optional"
        raise source.error(what, "Remove `required: false`.", "columns", found[0], "required")


def _check_fields(source: Source, kind: Kind, columns: Sequence[Column], named: Iterable[str]) -> None:
    scenarios = [kind.scenarios[name] for name in named]
    known = list(dict.fromkeys(field for scenario in scenarios for field in scenario.fields))
    seen: dict[str, int] = {}
    for index, column in enumerate(columns):
        if column.role == "scenario":
            continue
        at = ("columns", index)
        if column.maps_to not in known:
            key = "maps_to" if "maps_to" in source.value["columns"][index] else "header"
            near = nearest(source.value["columns"][index][key], known)
            raise source.error(
                "the scenarios of this profile have no such column",
                (f"Did you mean `{near}`? " if near else "")
                + f"Set `maps_to` to one of: {', '.join(known)}.",
                *at,
                key,
            )
        if column.maps_to in seen:
            what = f"columns {seen[column.maps_to] + 1} and {index + 1} are both {column.maps_to}"
            raise source.error(what, "Remove one of them.", *at)
        seen[column.maps_to] = index
        field = kind.field(column.maps_to)
        if field is not None and column.type != field.type:
            what = f"the column {field.name} must have the type {field.type}"
            raise source.error(what, f"Set `type: {field.type}`.", *at, "type")
    missing = [name for one in scenarios for name in one.required if name not in seen]
    if missing:
        raise source.error(
            f"the scenarios of this profile require a column {missing[0]}",
            "Add it: the service does not read a file without it.",
            "columns",
        )


def _example(kind: Kind) -> str:
    name, scenario = next(iter(kind.scenarios.items()))
    return f"{name}: {scenario.value}"
