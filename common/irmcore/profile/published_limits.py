"""The limits that Microsoft publishes, and what profiles and rows come near to or pass.

Promised: each limit has its page and the date on which it was read; no limit is made up. Counts of triggers
and users are upper bounds, because only the policy knows which rows reach its threshold, and the page does
not say whether it counts rows or users. That a count is *near* from 80 % on is our choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

from irmcore.profile.kinds import KINDS, hr
from irmcore.profile.model import PLACEHOLDER, Profile

NEAR = 0.8

_PAGE = "https://learn.microsoft.com/en-us/purview/insider-risk-management-limits"
_READ = "2026-11-30"
_SEEN = "check, wizard, profile new, status, sentinel run, Splunk's page Profiles"
_ROWS = "check, send, watch, sentinel run, status"


class Limit(NamedTuple):
    """A published maximum: ``most`` of ``what``. ``checked`` says where irmexport compares with it.

    ``step`` is what to do about more.
    """

    name: str
    what: str
    most: int
    checked: str
    step: str = ""
    source: str = _PAGE
    read: str = _READ


_FEWER_ROWS = (
    "Raise the thresholds of the policies, or send only what matters; what becomes of more is unverified."
)


def _in_scope(template: str, most: int) -> Limit:
    step = "Narrow the policy, or `scope` in the profile."
    return Limit(f"users: {template}", f"users in scope of the template {template}", most, "check", step)


#: By name, in the order of the documentation.
LIMITS = {
    limit.name: limit
    for limit in (
        Limit(
            "custom indicators",
            "custom indicators of a tenant",
            10,
            _SEEN,
            "Keep the source values that a policy uses.",
        ),
        Limit("indicator fields", "fields of a custom indicator", 20, _SEEN, "Map at most 20 columns."),
        Limit(
            "indicator variants", "variants of an indicator", 3, "nowhere: variants are made in the portal"
        ),
        Limit("custom triggers", "triggers by custom indicators in a UTC day", 15_000, _ROWS, _FEWER_ROWS),
        Limit(
            "HR signals",
            "signals through the HR connector in a UTC day",
            15_000,
            _ROWS,
            "Send the rest tomorrow.",
        ),
        Limit("triggers", "triggers of an organization in a UTC day", 50_000, "status", _FEWER_ROWS),
        Limit("look-back", "days of look-back", 90, "check"),
        _in_scope("Data leaks", 15_000),
        _in_scope("Data leaks by priority users", 1_000),
        _in_scope("Data leaks by risky users", 7_500),
        _in_scope("Data theft by departing users", 20_000),
        _in_scope("Security policy violations by departing users", 15_000),
        _in_scope("Security policy violations by risky users", 7_500),
        _in_scope("Patient data misuse", 5_000),
        *(
            Limit(
                f"rows: {kind.name}",
                f"rows in a file of {kind.title} ({kind.of_rows})",
                kind.rows,
                "shaping",
                "",
                kind.source,
                kind.read,
            )
            for kind in KINDS.values()
        ),
        *(
            Limit(
                field.name,
                f"characters of {field.name}",
                field.longest,
                "shaping",
                "",
                hr.KIND.source,
                hr.KIND.read,
            )
            for field in hr.KIND.fields
            if field.longest is not None
        ),
        *(
            Limit(
                scenario.value,
                f"days for which the service keeps a record of {scenario.value}",
                scenario.lapse_days,
                "shaping, status",
                "Send the whole file.",
                hr.KIND.source,
                hr.KIND.read,
            )
            for scenario in hr.KIND.scenarios.values()
            if scenario.lapse_days
        ),
    )
}

#: The templates that the people of a profile may come into scope of.
_TEMPLATES = {
    "": ("Data leaks", "Data leaks by priority users"),
    "resignation": ("Data theft by departing users", "Security policy violations by departing users"),
    "job-level-change": ("Data leaks by risky users", "Security policy violations by risky users"),
    "employee-profile": ("Patient data misuse",),
}
_TEMPLATES["performance-review"] = _TEMPLATES["job-level-change"]
_TEMPLATES["performance-improvement-plan"] = _TEMPLATES["job-level-change"]

#: Products with built-in indicators, by words of a source value:
#: learn.microsoft.com/purview/insider-risk-management-settings-policy-indicators.
_BUILT_IN = {
    "Box": {"box"},
    "Dropbox": {"dropbox"},
    "Google Drive": {"googledrive", "gdrive", "googleworkspace"},
    "Amazon S3": {"aws", "s3"},
    "Azure": {"azure"},
}
_WORDS = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")


class Finding(NamedTuple):
    """``number`` of what ``limit`` bounds; ``about`` says whose it is."""

    limit: Limit
    number: int
    about: str

    @property
    def passed(self) -> bool:
        return self.number > self.limit.most

    @property
    def text(self) -> str:
        """What was counted, the limit, and the page."""
        limit = self.limit
        return (
            f"{self.about}: {self.number:,} of at most {limit.most:,} {limit.what} "
            f"({limit.source}, read on {limit.read}). {limit.step}"
        )


def indicators(profile: Profile) -> int:
    """The custom indicators that a profile needs: one for each source value and threshold."""
    return len(_indicators(profile))


def _indicators(profile: Profile) -> set[tuple[str, ...]]:
    """Connector, source value and threshold of each. Profiles of one connector may share them."""
    if profile.scenarios:
        return set()
    job = profile.connector.job_id
    source = profile.column("source")
    values = source.related_values if source else ("",)
    thresholds = [column.header for column in profile.columns if column.role == "threshold"]
    return set(product([profile.name if job == PLACEHOLDER else job], values, thresholds or [""]))


def of_profiles(profiles: Sequence[Profile]) -> list[Finding]:
    """What the profiles of a tenant come near to or pass, each alone and all together."""
    asking = [profile for profile in profiles if not profile.scenarios]
    fields = [Finding(LIMITS["indicator fields"], len(profile.columns), profile.name) for profile in asking]
    needed = {each for profile in asking for each in _indicators(profile)}
    about = asking[0].name if len(asking) == 1 else f"{len(asking)} profiles together"
    return near([*fields, Finding(LIMITS["custom indicators"], len(needed), about)])


def of_users(profile: Profile, users: int) -> list[Finding]:
    """What the number of different people in a profile's rows comes near to or passes."""
    scenarios = profile.scenarios or (("",) if triggers(profile) else ())
    templates = dict.fromkeys(template for name in scenarios for template in _TEMPLATES[name])
    return near(
        Finding(LIMITS[f"users: {one}"], users, f"if each row counts, {profile.name}") for one in templates
    )


def triggers(profile: Profile) -> bool:
    """Whether a row of the profile may bring a person into scope. A row of an indicator does not."""
    return bool(profile.scenarios) or profile.kind == "trigger"


def of_rows(rows: Iterable[tuple[Profile, int]]) -> list[Finding]:
    """What a UTC day's rows of a tenant's profiles come near to or pass.

    Only rows that may trigger anything count.
    """
    custom = signals = 0
    for profile, number in rows:
        signals += number if profile.scenarios else 0
        custom += number if triggers(profile) and not profile.scenarios else 0
    about = "if each row counts, today"
    return near(
        [
            Finding(LIMITS["custom triggers"], custom, about),
            Finding(LIMITS["HR signals"], signals, about),
            Finding(LIMITS["triggers"], custom + signals, about),
        ]
    )


def of_age(profile: Profile, run: float, now: float) -> list[Finding]:
    """Whether what a profile has told the service lapses: ``run`` is when its last run was, or 0.

    Half of the time is near, because a refresh is due then. Both in seconds since 1970.
    """
    scenarios = [KINDS[profile.connector.kind].scenarios[name] for name in profile.scenarios]
    limits = [LIMITS[scenario.value] for scenario in scenarios if scenario.lapse_days]
    days = int((now - run) / 86_400) if run else 0
    return [Finding(limit, days, f"{profile.name}, last run") for limit in limits if days >= limit.most / 2]


def near(found: Iterable[Finding]) -> list[Finding]:
    """Those that are near to their limit or beyond it."""
    return [finding for finding in found if finding.number >= NEAR * finding.limit.most]


def counted_twice(profile: Profile) -> tuple[str, ...]:
    """The products of the profile's sources that Insider Risk Management has indicators of its own for."""
    source = profile.column("source")
    values = source.related_values if source else ()
    words = {word for value in values for word in _words(value)}
    return tuple(name for name, known in _BUILT_IN.items() if words & known)


def twice_text(products: Sequence[str]) -> str:
    """What to do about them."""
    return (
        f"{', '.join(products)}: if the tenant uses Microsoft's own indicators for it, which need the app in "
        "Defender for Cloud Apps and pay-as-you-go billing, an imported row may score a second time "
        "(inferred from Microsoft's pages). Use one of the two."
    )


def _words(value: str) -> set[str]:
    """The words of a value such as GoogleDriveDownload, and each with the next one."""
    words = [word.lower() for word in _WORDS.findall(value)]
    return {*words, *map("".join, zip(words, words[1:]))}
