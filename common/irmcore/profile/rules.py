"""The rules of a profile that its JSON Schema cannot express, because they concern several keys at once.

Each function raises ProfileError with the line of the key to change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from irmcore.profile.kinds import KINDS, Kind
from irmcore.profile.model import Column
from irmcore.settings import KeyPath, Source

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
_ROLE_OF_TYPE = {"user": "user", "datetime": "time"}
_TYPE_OF_ROLE = {
    "user": "user",
    "time": "datetime",
    "threshold": "number",
    "source": "string",
    "scenario": "string",
}


def role(column: Mapping[str, Any], kind: Kind) -> str:
    """The role of a column: as written, otherwise the one that its type implies."""
    implied = "user" if column["type"] == "user" else "information"
    return str(column.get("role", implied if kind.scenarios else _ROLE_OF_TYPE.get(column["type"], implied)))


def check_column(source: Source, path: KeyPath, column: Mapping[str, Any]) -> None:
    """The keys of one column fit each other and its type."""
    its_role = role(column, KINDS[source.value["connector"]["kind"]])
    values = _values(column)
    if its_role == "scenario":
        values += source.value.get("scenarios", {}).values()
    for key, wrong, what, next_step in _column_rules(column, column["type"], its_role, values):
        if wrong:
            raise source.error(what, next_step, *path, key)
    for key, target in column.get("map", {}).items():
        if target not in values:
            what = f"`map.{key}` maps to a value that is not allowed"
            raise source.error(what, f"Allowed values: {', '.join(values)}.", *path, "map", key)


def _values(column: Mapping[str, Any]) -> list[str]:
    return [*column.get("related_values", ()), *column.get("allowed", ())]


def _column_rules(
    raw: Mapping[str, Any], kind: str, role: str, values: Sequence[str]
) -> Iterator[tuple[str, bool, str, str]]:
    """For each rule: the key, whether the rule is broken, the message, the next step."""
    must = _TYPE_OF_ROLE.get(role, kind)
    listed = "related_values" in raw or "allowed" in raw or role == "scenario"
    yield (
        "role",
        kind != must,
        f"a column with the role {role} must have the type {must}",
        f"Set `type: {must}`, or choose another role.",
    )
    yield (
        "role",
        kind == "user" and role != "user",
        "a column of type user always has the role user",
        "Remove `role`.",
    )
    yield (
        "related_values" if "related_values" in raw else "role",
        (role == "source") != ("related_values" in raw),
        "`related_values` and `role: source` must be used together",
        "Give the source column the values entered in the wizard, and no other column.",
    )
    for named, where in (("source", "its `related_values`"), ("scenario", "those of `scenarios`")):
        yield (
            "allowed",
            role == named and "allowed" in raw,
            f"`allowed` cannot be used in the {named} column, whose values are {where}",
            "Remove `allowed`.",
        )
    yield (
        "subject",
        not raw.get("subject", True) and role != "information",
        f"`subject: false` is only for information columns, and the role of this one is {role}",
        "Remove `subject`. A threshold is never part of the subject; user, time and source always are.",
    )
    for key in ("format", "time_field"):
        yield key, key in raw and kind != "datetime", f"only datetime columns have a `{key}`", "Remove it."
    yield (
        "default",
        "default" in raw and role in ("user", "time"),
        f"a {role} column cannot have a `default`",
        "Remove it: nobody knows who or when it was.",
    )
    default = raw.get("default")
    yield (
        "default",
        default is not None and kind == "number" and _NUMBER.fullmatch(default) is None,
        "`default` is not a number",
        "Write digits, with a point before a fraction.",
    )
    yield (
        "default",
        default is not None and listed and default not in values,
        "`default` is not an allowed value",
        f"Allowed values: {', '.join(values)}.",
    )
    yield (
        "allowed",
        listed and kind != "string" and role != "scenario",
        "only columns of type string have `allowed` values",
        "Remove them.",
    )
    for key in ("map", "otherwise"):
        yield (
            key,
            key in raw and not listed,
            f"`{key}` requires `allowed`",
            "List the values that may be sent.",
        )
    yield (
        "otherwise",
        "otherwise" in raw and raw["otherwise"] not in values,
        "`otherwise` is not an allowed value",
        f"Allowed values: {', '.join(values)}.",
    )


def check_columns(source: Source, columns: Sequence[Column]) -> None:
    """The columns together are a connector's: one user, one time, at most one source, unique headers.

    Where scenarios say what dates a row, ``scenarios.check`` has the rules in place of that for the time.
    """
    kind = KINDS[source.value["connector"]["kind"]]
    for role in ("user",) if kind.scenarios else ("user", "time"):
        indexes = [i for i, column in enumerate(columns) if column.role == role]
        if len(indexes) != 1:
            raise source.error(
                f"a profile needs exactly one column with the role {role}; this one has {len(indexes)}",
                "The connector's data mapping step asks for one user column"
                + ("." if kind.scenarios else " and one event time column."),
                *(("columns", indexes[1]) if indexes else ("columns",)),
            )
        if not columns[indexes[0]].required:
            what = f"the {role} column cannot be optional"
            raise source.error(what, "Remove `required: false`.", "columns", indexes[0], "required")
    sources = [i for i, column in enumerate(columns) if column.role == "source"]
    if len(sources) > 1:
        what = "a connector has at most one source column"
        raise source.error(what, "Give one of them `role: information`.", "columns", sources[1])
    seen: dict[str, int] = {}
    for i, column in enumerate(columns):
        if column.header in seen:
            what = f"columns {seen[column.header] + 1} and {i + 1} have the same header"
            raise source.error(what, "Make each header unique.", "columns", i, "header")
        seen[column.header] = i
    thresholds = sum(column.role == "threshold" for column in columns)
    if source.value["collisions"]["policy"] == "keep-greatest" and thresholds != 1:
        raise source.error(
            "`collisions.policy: keep-greatest` needs exactly one threshold column",
            f"This profile has {thresholds}; use `policy: spread`.",
            *("collisions", "policy"),
        )


def check_zone(source: Source, zone: str) -> None:
    """The time zone is one that this machine knows."""
    if zone == "UTC":
        return
    import zoneinfo  # noqa: PLC0415 - only profiles with a zone need it

    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise source.error(
            "`input.zone` is not a time zone that this machine knows",
            "Use an IANA name such as Europe/Berlin, or UTC. If the name is right, install tzdata.",
            *("input", "zone"),
        ) from None


def check_scope(source: Source) -> None:
    """Only the directory knows a person's groups and country."""
    identity = source.value.get("identity")
    if identity is not None and ("directory" in identity or "map" not in identity):
        return
    for side, selection in source.value.get("scope", {}).items():
        for key in ("groups", "countries"):
            if key in selection:
                raise source.error(
                    f"`scope.{side}.{key}` needs the directory of people",
                    "Add `identity: {directory: default}`, or select people by a `list`.",
                    *("scope", side, key),
                )
