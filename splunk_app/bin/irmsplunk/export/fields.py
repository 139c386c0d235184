"""The option `fields`: input fields that replace those of the profile for one search."""

from __future__ import annotations

from dataclasses import replace

from irmcore.errors import ConfigurationError
from irmcore.profile import Profile


def with_fields(profile: Profile, text: str) -> Profile:
    """The profile with the input fields of ``Header=field, …``. Raises ConfigurationError."""
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
    headers = [column.header for column in profile.columns]
    unknown = [header for header in fields if header not in headers]
    if unknown:
        raise ConfigurationError(
            f"the profile has no column `{unknown[0]}`",
            where="fields",
            next_step=f"Its columns are {', '.join(headers)}.",
        )
    columns = tuple(replace(c, field=fields.get(c.header, c.field)) for c in profile.columns)
    return replace(profile, columns=columns)
