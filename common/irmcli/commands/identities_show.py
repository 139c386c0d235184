"""`irmexport identities explain` and `status`: what the directory of people knows."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from irmcore.clock import iso
from irmcore.identity.directory import Directory
from irmcore.identity.person import Version, normal
from irmcore.identity.resolver import Resolved, Resolver
from irmcore.intake.open_users import open_users
from irmcore.profile import Profile
from irmcore.reasons import REASONS, Refused
from irmcore.shaping import upn
from irmcore.shaping.users import EXCLUDED, OUT_OF_SCOPE, end_of_day

from irmcli import options
from irmcli.exit_codes import DONE, ROWS_REFUSED
from irmcli.output import Output
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp

_DAY, _QUARTER = 86_400, 900
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _span(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float | None]:
    """Click callback: a moment, or a day from a time that may start one, as for a row."""
    if value is None:
        # Rounded up, so that what a sync has read in this second counts.
        return time.time() + 2, None
    if not _DATE.fullmatch(value):
        start = parse_timestamp(value)
        return start, None if start % _QUARTER else end_of_day(start)
    try:
        start = datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date") from None
    return start, end_of_day(start)


@click.command("explain")
@click.argument("name")
@click.option(
    "--at",
    callback=_span,
    metavar="DATE",
    help="Day or time of the row, as 2026-11-22, 2026-11-22T08:00Z or 36h ago.  [default: now]",
)
@click.option(
    "-p", "--profile", "profile_name", help="Also show what this profile does, by its `identity` and `scope`."
)
@options.directory_of_people
@click.pass_context
def explain(
    ctx: click.Context,
    *,
    name: str,
    at: tuple[float, float | None],
    profile_name: str | None,
    directory: Path | None,
) -> None:
    r"""Show which person NAME refers to at a time, and why.

    If the name is refused, shows why and the candidates, and exits with 3.

    Example: irmexport identities explain 'CONTOSO\jsmith' --at 2026-11-22
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    start, end = at
    profile = settings.profile(profile_name) if profile_name is not None else None
    own = profile.identity.directory if profile is not None and profile.identity is not None else None
    with Directory(directory or own or settings.directory_of_people) as people:
        found = Resolver(people).history(name)
        answer = found.at(start, end)
        first = people.first_sync
    when = f"at {iso(start)[:19]}Z"
    if end is not None:
        when = f"in the 25 hours from {iso(start)[:16]}Z" if start % _DAY else f"on {iso(start)[:10]}"
    if isinstance(answer, Resolved):
        output.line(f"{name} {when} is {answer.upn}, by {answer.how}.", "bold")
    else:
        reason = REASONS[answer.code]
        output.line(f"{name} {when} is refused: {answer.code}.", "bold")
        output.line(f"{reason.meaning} {reason.advice()}")
        if answer.candidates:
            output.line(f"It might have meant: {', '.join(answer.candidates)}.")
    rows = [_row(version, name) for version in found.versions]
    output.table(
        "Who had this name", ("user principal name", "the name is", "account", "from", "until"), rows
    )
    if first is not None and start < first:
        output.line(
            f"The directory was first read at {iso(first)[:19]}Z. Nothing is known of earlier changes."
        )
    code = DONE if isinstance(answer, Resolved) else ROWS_REFUSED
    sent: str | None = None
    if profile is not None:
        sent = _by_profile(profile, name, start)
        code = ROWS_REFUSED if sent.startswith("refused") else DONE
        output.line(f"By the profile {profile.name}: {sent}.")
    output.document(
        {
            "name": name,
            "profile": sent,
            "from": iso(start),
            "to": iso(end) if end is not None else None,
            "user_principal_name": answer.upn if isinstance(answer, Resolved) else None,
            "object_id": answer.object_id if isinstance(answer, Resolved) else None,
            "how": answer.how if isinstance(answer, Resolved) else None,
            "reason": None if isinstance(answer, Resolved) else answer.code,
            "candidates": [] if isinstance(answer, Resolved) else list(answer.candidates),
            "versions": [
                {
                    "object_id": version.person.object_id,
                    "user_principal_name": version.person.upn,
                    "kind": _kind(version, name),
                    "enabled": version.person.enabled,
                    "deleted": version.person.deleted,
                    "since": iso(version.since),
                    "until": iso(version.until) if version.until is not None else None,
                }
                for version in found.versions
            ],
        }
    )
    ctx.exit(code)


def _by_profile(profile: Profile, name: str, at: float) -> str:
    """What a profile does with a row of this name and time. Raises IrmError as a run does."""
    with open_users(profile, time.time()) as users:
        try:
            user = upn.canonical(name) if users is None else users.user(name, int(at * 1_000_000))
        except Refused as refused:
            return f"refused, {refused.code}"
    return {EXCLUDED: "excluded by the map", OUT_OF_SCOPE: "out of scope"}.get(str(user), f"sent as {user}")


def _row(version: Version, name: str) -> tuple[str, ...]:
    person = version.person
    account = "deleted" if person.deleted else "enabled" if person.enabled else "disabled"
    until = iso(version.until)[:19] + "Z" if version.until is not None else ""
    return person.upn, _kind(version, name) or "(not theirs)", account, iso(version.since)[:19] + "Z", until


def _kind(version: Version, name: str) -> str:
    """The kind of name that the person of a version has; "" if they do not have the name."""
    person, wanted = version.person, normal(name)
    names = {
        "object id": (person.object_id,),
        "SID": (person.sid,),
        "user principal name": (person.upn,),
        "address": person.mails,
        "account name": person.account_names,
        "employee number": (person.employee_id,),
    }
    return next((kind for kind, having in names.items() if wanted in map(normal, having)), "")


@click.command("status")
@options.directory_of_people
@click.pass_context
def status(ctx: click.Context, *, directory: Path | None) -> None:
    """Show when the directory was read, and how many people it has.

    Example: irmexport identities status
    """
    output, settings, now = Output.of(ctx), Settings.of(ctx), time.time()
    path = directory or settings.directory_of_people
    people = disabled = deleted = 0
    with Directory(path) as found:
        first, last, from_entra = found.first_sync, found.last_sync, bool(found.delta_link)
        for person in found.people():
            people += not person.deleted
            disabled += not person.deleted and not person.enabled
            deleted += person.deleted
    age = now - last if last is not None else None
    output.line(str(path), "bold")
    output.line(f"  {people:,} people, {disabled:,} of them disabled; {deleted:,} deleted")
    if first is not None and last is not None and age is not None:
        source = "Microsoft Entra ID" if from_entra else "a file"
        output.line(f"  read from {source} {_age(age)} ago ({iso(last)[:19]}Z), first at {iso(first)[:19]}Z")
    output.document(
        {
            "directory": str(path),
            "people": people,
            "disabled": disabled,
            "deleted": deleted,
            "source": "entra" if from_entra else "file",
            "first_sync": iso(first) if first is not None else None,
            "last_sync": iso(last) if last is not None else None,
            "age": round(age) if age is not None else None,
        }
    )


def _age(seconds: float) -> str:
    for unit, size in (("day", _DAY), ("hour", 3_600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}s"
    return f"{max(seconds, 0.0) / 60:.0f} minutes"
