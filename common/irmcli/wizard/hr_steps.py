"""What to enter for a connector whose kind has scenarios. Pure functions.

The steps are those of Microsoft's page "Set up a connector to import HR data", step 3; none was tried in a
portal.
"""

from irmcore.profile.kinds import KINDS
from irmcore.profile.model import PLACEHOLDER

from irmcli.wizard.connectors import Needed
from irmcli.wizard.page import points, steps, table, text

_UNKNOWN = "(the application ID that az ad app create prints)"


def section(connector: Needed) -> tuple[str, ...]:
    """The pages of the wizard, with every value to choose or enter."""
    profile = connector.profile
    kind = KINDS[profile.connector.kind]
    app, column = profile.connector.app_id, profile.column("scenario")
    headers = {one.maps_to: one.header for one in profile.columns}
    rows = [
        ("Setup the connection", "Entra application ID", _UNKNOWN if app == PLACEHOLDER else app),
        ("Setup the connection", "Name", connector.name),
    ]
    rows += [("HR scenarios", "Select", kind.scenarios[name].value) for name in profile.scenarios]
    rows.append(("File mapping method", "Upload a sample file", f"{connector.name}-sample.csv"))
    if column is not None:
        rows.append(("File mapping details", "Identifier column", column.header))
    for name, value in profile.scenarios.items():
        scenario = kind.scenarios[name]
        if column is not None:
            rows.append(("File mapping details", f"Value for {scenario.value}", value))
        rows += [
            ("File mapping details", f"{scenario.value}: {field}", headers[field])
            for field in scenario.fields
            if field in headers
        ]
    rows.append(("Review", "Finish, then copy the job ID into the profile", "job_id"))
    lapsing = [kind.scenarios[name] for name in profile.scenarios if kind.scenarios[name].lapse_days]
    notes = (
        f"{one.value}: the service deletes a record {one.lapse_days} days after its last upload. Send the "
        "whole file at least every 14 days, better daily: irmexport sends an unchanged row once in "
        f"{one.refresh_days} days. "
        "Microsoft recommends a connector for these rows alone."
        for one in lapsing
    )
    return (
        steps(
            "Sign in to the Microsoft Purview portal.",
            f"Settings > Data connectors > {kind.title} > Add connector.",
            "On the wizard's pages, enter:",
        ),
        table(("Page", "Field", "Value"), rows, values=2),
        points(
            "The wizard ignores the letter case of column names, but not their spaces.",
            f"A file has at most {kind.rows} rows: irmexport writes several if there are more.",
            *notes,
        ),
        text(f"From {kind.source}, read on {kind.read}."),
    )
