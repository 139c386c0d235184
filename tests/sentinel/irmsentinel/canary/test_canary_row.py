"""The canary's row fits every shipped profile, whatever its columns are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from irmcore import profile as profiles
from irmcore.intake.dry_run import dry_run
from irmcore.profile import Profile
from irmcore.shaping.readers import mappings_table
from irmsentinel.canary import row as rows

MARKER = "canary-0123456789ab"
AT = 1_795_262_400.25  # 2026-11-21T12:00:00.25Z


def sent(profile: Profile, at: float = AT) -> list[tuple[str, ...]]:
    """The rows that would go out, and none may be refused."""
    found: list[tuple[str, ...]] = []
    profile = rows.readable(profile)
    made = rows.row(profile, "canary@contoso.com", MARKER, at)
    done = dry_run(mappings_table([made], profile.fields), profile, None, on_row=found.append)
    assert (done.counts.shaped, done.counts.rejected) == (1, 0)
    return found


@pytest.mark.parametrize("name", profiles.shipped_names())
def test_every_shipped_profile_takes_it(name: str) -> None:
    """It is about the account, and has the marker where the profile has free text."""
    profile = profiles.parse(profiles.shipped_text(name), f"{name}.yaml")
    ((*cells,),) = sent(profile)
    assert "canary@contoso.com" in cells
    free = [column for column in profile.columns if column.type == "string" and column.role == "information"]
    if name not in ("hr", "hr-resignations") and any(not column.allowed for column in free):
        assert MARKER in cells


def test_columns_are_filled_by_their_types() -> None:
    """Microsoft's example 1."""
    profile = profiles.parse(profiles.shipped_text("leaver-prediction"), "leaver-prediction.yaml")
    assert rows.row(profile, "canary@contoso.com", MARKER, AT) == {
        "UserPrincipalName": "canary@contoso.com",
        "PredictionTime": "2026-11-21T12:00:00.250000+00:00",
        "PredictionScore": "1",
        "ModelInfo": MARKER,
    }


def test_a_profile_that_reads_other_forms_of_time_takes_it() -> None:
    """Its columns come from two fields, one of which two columns share, in the order of a country."""
    profile = profiles.parse(profiles.shipped_text("leaver-prediction"), "leaver-prediction.yaml")
    changed = {
        "PredictionTime": {"format": "dmy", "field": "day", "time_field": "clock"},
        "ModelInfo": {"field": "day"},
    }
    columns = tuple(replace(one, **changed.get(one.header, {})) for one in profile.columns)
    assert sent(replace(profile, columns=columns)) == sent(profile)
