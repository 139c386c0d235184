"""Which field of the results each column is read from: the profile's, that of the option `fields`, or CIM's.

If the results lack the field of the user or time column, Splunk's own name is taken: `user` (Common
Information Model) and `_time`. Results with `src_user` too have an actor and a target, so there the analyst
has to choose. HR data name the employee in a column of their own: CIM's `user` may be a manager or
whoever entered the row, so there nothing is taken by Splunk's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from irmcore.errors import ConfigurationError
from irmcore.profile import Profile
from irmcore.settings import did_you_mean

_OWN_NAMES = {"user": "user", "time": "_time"}
_ACTOR = "src_user"


def with_fields(profile: Profile, text: str, header: Sequence[str]) -> tuple[Profile, dict[str, str]]:
    """The profile with the fields of ``Header=field, …``, and the columns read by Splunk's own names.

    Raises ConfigurationError.
    """
    fields = _parsed(text)
    headers = [column.header for column in profile.columns]
    unknown = [name for name in fields if name not in headers]
    if unknown:
        raise ConfigurationError(
            f"the profile has no column `{unknown[0]}`",
            where="fields",
            next_step=did_you_mean(unknown[0], headers, plural="columns"),
        )
    own: dict[str, str] = {}
    for column in profile.columns if not profile.scenarios else ():
        name = _OWN_NAMES.get(column.role, "")
        if column.field in header or column.header in fields:
            continue
        if column.role == "user" and _ACTOR in header:
            both = name in header
            raise ConfigurationError(
                f"the results have `{name}` and `{_ACTOR}`, and only one of them is who acted"
                if both
                else f"the results have `{_ACTOR}`, but no `{column.field}`",
                where=f"column {column.header}",
                next_step=f'Add fields="{column.header}={_ACTOR}"'
                + (f' or fields="{column.header}={name}".' if both else ", if that is who acted."),
            )
        if name in header:
            own[column.header] = name
    columns = tuple(
        replace(c, field=own[c.header], format="epoch" if c.role == "time" else c.format)
        if c.header in own
        else replace(c, field=fields.get(c.header, c.field))
        for c in profile.columns
    )
    return replace(profile, columns=columns), own


def _parsed(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        header, equals, field = (part.strip() for part in pair.partition("="))
        if not (header and equals and field) or header in fields:
            raise ConfigurationError(
                "`fields` is not a list of Header=field",
                where="fields",
                next_step='Write it as "Header=field, Header=field", each header once.',
            )
        fields[header] = field
    return fields
