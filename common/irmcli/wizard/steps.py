"""What to do and what to enter, step by step, as sections of a page in Markdown. Pure functions.

Step numbers are those of Microsoft's page. What that page does not say is marked as unverified; no step was
tried in a portal.
"""

import shlex
from collections.abc import Sequence
from urllib.parse import urlsplit

from irmcore.clouds import CLOUDS
from irmcore.profile import Profile
from irmcore.profile.model import PLACEHOLDER
from irmcore.profile.published_limits import counted_twice, of_profiles, twice_text

from irmcli.wizard import hr_steps
from irmcli.wizard.connectors import Needed, conflicts, mapped_to
from irmcli.wizard.page import commands, points, section, steps, table, text

_NONE = "None (Single source)"
_TYPES = {"number": "Number", "datetime": "Date and time", "user": "Text", "string": "Text"}
#: Clouds that do not use the public directory.
_GOVERNMENT = ("gcc-high", "dod")
#: Placeholder for the application ID before the app registration exists.
_UNKNOWN = "(the application ID that az ad app create prints)"
_APP = """\
az login
app_id=$(az ad app create --display-name "IRM indicators upload" \\
  --sign-in-audience AzureADMyOrg --query appId --output tsv)
az ad sp create --id "$app_id"
echo "app_id: $app_id"
az account show --query tenantId --output tsv    # tenant_id
# A client secret, written to a file that only you can read:
umask 077
az ad app credential reset --id "$app_id" --append --display-name irmexport --years 1 \\
  --query password --output tsv > irmexport-secret
# Or a certificate (credential: {certificate: /path/irmexport.pem}):
openssl req -x509 -newkey rsa:3072 -noenc -days 365 -subj /CN=irmexport \\
  -keyout irmexport-key.pem -out irmexport-cert.pem
cat irmexport-key.pem irmexport-cert.pem > irmexport.pem
az ad app credential reset --id "$app_id" --append --cert @irmexport-cert.pem
# Or neither: let the application trust a user-assigned managed identity of Azure
# (credential: {managed_identity: CLIENT-ID}) or a service account of Kubernetes
# (credential: {workload_identity: /path}). irmexport's docs/credentials.md has the command."""


def sections(connectors: Sequence[Needed], files: dict[str, str]) -> list[str]:
    """The whole page. ``files`` has each profile's path; a connector's sample is ``<name>-sample.csv``."""
    profiles = [profile for connector in connectors for profile in connector.profiles]
    return [
        _how_many(connectors, profiles),
        _before(profiles),
        _app(profiles),
        *(
            section(
                f"Steps 2 and 3: the connector {one.name}",
                *(hr_steps.section(one) if one.profile.scenarios else _connector(one)),
            )
            for one in connectors
        ),
        *_indicators([connector for connector in connectors if not connector.profile.scenarios]),
        _wait(profiles, files),
        _uploads(profiles, files),
    ]


def _how_many(connectors: Sequence[Needed], profiles: Sequence[Profile]) -> str:
    rows = [
        (str(n), c.name, ", ".join(p.name for p in c.profiles), c.why) for n, c in enumerate(connectors, 1)
    ]
    notes = [f"Fix first: {conflict}" for conflict in conflicts(connectors)]
    notes += [finding.text for finding in of_profiles(profiles)]
    if products := tuple(dict.fromkeys(name for profile in profiles for name in counted_twice(profile))):
        notes.append(twice_text(products))
    return section(
        f"Connectors needed: {len(connectors)}",
        table(("No.", "Connector", "Profiles that feed it", "Why"), rows),
        text(
            "A connector takes one file layout. Fewer connectors mean less work: if one query can return all "
            "detections, one file with a source column needs one connector."
        ),
        *map(text, notes),
    )


def _before(profiles: Sequence[Profile]) -> str:
    rows = []
    for cloud in dict.fromkeys(profile.connector.cloud for profile in profiles):
        hosts = CLOUDS[cloud]
        rows.append((cloud, _host(hosts.upload), "uploads, TCP 443"))
        rows.append((cloud, _host(hosts.login), "tokens, TCP 443"))
    return section(
        "Before you begin",
        points(
            "You need the role Data Connector Admin to create the connector.",
            "The machine that uploads must be able to reach these hosts through firewall and proxy:",
        ),
        table(("Cloud", "Host", "For"), rows),
        text("Into Insider Risk Indicators, import only aggregated detections, not raw signals."),
    )


def _app(profiles: Sequence[Profile]) -> str:
    government = any(profile.connector.cloud in _GOVERNMENT for profile in profiles)
    unfilled = [p.name for p in profiles if PLACEHOLDER in (p.connector.tenant_id, p.connector.app_id)]
    return section(
        "Step 1: the app registration",
        text(
            "One application serves all connectors of a tenant. These commands are untested on a live tenant."
        ),
        commands(("az cloud set --name AzureUSGovernment\n" if government else "") + _APP),
        points(
            "Copy app_id and tenant_id into the profile, and set `credential` to where the secret is.",
            "The application needs no API permission: none is documented for this connector.",
            "Microsoft documents a secret; a certificate or a federated credential is unverified here.",
            "Secrets expire: `irmexport credential check --profile PROFILE` and every upload "
            "warn where the date is known.",
        ),
        *([text(f"Profiles to fill in: {', '.join(unfilled)}.")] if unfilled else []),
    )


def _connector(connector: Needed) -> tuple[str, ...]:
    profile, values = connector.profile, connector.related_values
    source, user, time = (profile.column(role) for role in ("source", "user", "time"))
    app = profile.connector.app_id
    rows = [
        ("Authentication", "Name", connector.name),
        ("Authentication", "Microsoft Entra application ID", _UNKNOWN if app == PLACEHOLDER else app),
        ("Sample file", "Upload sample file", f"{connector.name}-sample.csv"),
        ("Sample file", "Source column", source.header if source else _NONE),
    ]
    if source is not None:
        rows.append(("Sample file", "Related values in source column (no spaces)", ",".join(values)))
    rows += [
        ("Sample file", f"Data type of {column.header}", _TYPES[column.type]) for column in profile.columns
    ]
    rows += [
        ("Data mapping", "Event time (UTC time)", time.header if time else ""),
        ("Data mapping", "Microsoft 365 user email address", user.header if user else ""),
    ]
    rest = [column for column in profile.columns if column.role not in ("user", "time")]
    if source is None:
        rows += [("Data mapping", "Default field", column.header) for column in rest]
    for value in values:
        chosen = [column for column in rest if column.role != "source" and mapped_to(column, value, values)]
        rows += [("Data mapping", f"Column for {value}", column.header) for column in chosen]
    rows.append(("Finish", "Copy the job ID into the profile", "job_id"))
    return (
        steps(
            "Sign in to the Microsoft Purview portal.",
            "Settings > Data connectors > My connectors > Add connector.",
            "From the list, Insider Risk Indicators (preview).",
            "Review the terms of service, Accept.",
            "On the wizard's pages, enter:",
        ),
        table(("Page", "Field", "Value"), rows, values=2),
        text(
            "Thresholds need the type Number. The wizard's names for the other types are unverified; "
            "accept what it proposes. The connector fails if a source value in a file is not among the "
            "related values; treat them as case-sensitive."
        ),
    )


def _indicators(connectors: Sequence[Needed]) -> list[str]:
    if not connectors:
        return []
    rows = []
    for connector in connectors:
        thresholds = [c.header for c in connector.profile.columns if c.role == "threshold"]
        for value in connector.related_values or ("",):
            name = f"{connector.name} {value}".strip()
            use = "trigger" if connector.profile.kind == "trigger" else "policy indicator"
            rows += [
                (name, column, connector.name, value or "any row", use) for column in thresholds or ["none"]
            ]
    return [
        section(
            "Custom indicators, policies and thresholds",
            steps(
                "In Insider Risk Management, create these custom indicators.",
                "Use each one in a policy and set its thresholds there.",
            ),
            table(("Custom indicator", "Threshold column", "Connector", "Source value", "As"), rows),
            points(
                "Custom indicators work only with the templates Data theft and Data leaks.",
                "Only Number columns can have thresholds.",
                "Microsoft recommends no thresholds: derive them from your own data.",
                "The service keeps one row per user and time; irmexport spreads such rows.",
            ),
        )
    ]


def _wait(profiles: Sequence[Profile], files: dict[str, str]) -> str:
    return section(
        "Wait 24 hours",
        text(
            "After you change custom indicators or policies, wait 24 hours before you upload: rows that "
            "arrive while the changes sync may not be scored. Record the time of the change (0m is now), "
            "and irmexport prints a warning until the 24 hours are over:"
        ),
        commands("\n".join(f"irmexport wizard {shlex.quote(files[p.name])} --changed 0m" for p in profiles)),
    )


def _uploads(profiles: Sequence[Profile], files: dict[str, str]) -> str:
    lines = []
    for profile in profiles:
        file = shlex.quote(files[profile.name])
        lines += [
            f"irmexport doctor --profile {file}",
            f"irmexport check detections.csv --profile {file}",
            f"irmexport send detections.csv --profile {file}",
        ]
    return section(
        "Step 4 and later: upload and monitor",
        commands("\n".join([*lines, "irmexport status"])),
        points(
            "Step 5: compare RecordsSaved in the connector's log with uploads: irmexport reconcile.",
            "Step 6: schedule it: irmexport schedule --format cron send FILE --profile PROFILE. "
            "Create a report: irmexport report.",
            "Step 7: send files that appear in a directory: irmexport watch FOLDER --profile PROFILE.",
        ),
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
