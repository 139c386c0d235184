"""The analyst's button: rows of an incident that a playbook sends, submitted as `irmexport send` does.

A request is refused unless the platform signed its caller in (authsettingsV2, Microsoft Entra ID) and the
caller is one of IRMEXPORT_SUBMITTERS, the object IDs of the playbooks' managed identities. Rows go to the
command on its standard input, never into a log. The answer is JSON, and its ``message`` is the comment on the
incident: the receipt, or why there is none and what to do. It has no value of a row. A request that is
repeated sends nothing twice, as the row keys are known.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from irmcore.errors import ConfigurationError, IrmError
from irmcore.reasons import REASONS

from irmsentinel.functions import app_settings, command
from irmsentinel.functions.command import LOG
from irmsentinel.functions.incident_rows import EACH, ONE, IncidentRefused, rows

SUBMITTERS = "IRMEXPORT_SUBMITTERS"
#: The profiles that a playbook may name; SHIPPED if the app setting is missing.
PROFILES, SHIPPED = "IRMEXPORT_SUBMIT_PROFILES", "sentinel-incidents"
#: Seconds after which no further upload starts: a caller's request ends after two to four minutes
#: (learn.microsoft.com: "Limits and configuration" of Logic Apps, "Azure Functions scale and hosting").
SECONDS = 60
#: Bytes of a request. An incident with its alerts and entities has some hundred kilobytes at most.
MAX_BYTES = 4 * 1024 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

#: HTTP status and JSON of an answer.
Answer = tuple[int, dict[str, Any]]


def handle(headers: Mapping[str, str], body: bytes) -> Answer:
    """Answer a request. ``headers`` have lower-case names."""
    refused = _refused_caller(headers, os.environ)
    if refused:
        LOG.warning("irmexport submit: refused a request: %s", refused)
        return _answer(403, "refused", refused)
    try:
        profile, lines = _read(body)
        _require_allowed(profile, os.environ)
    except IncidentRefused as error:
        LOG.info("irmexport submit: refused: %s", error.what)
        return _answer(422, "refused", f"{error.what[0].upper()}{error.what[1:]}. {error.next_step}")
    try:
        with app_settings.read(os.environ) as settings:
            options = settings.words("IRMEXPORT_SUBMIT_OPTIONS")
            arguments = ["send", "-", "--profile", profile, "--json", "--seconds", str(SECONDS), *options]
            ran = command.run(settings, arguments, given="".join(f"{line}\n" for line in lines))
    except IrmError as error:
        LOG.error("irmexport submit: %s", error)
        status = 500 if isinstance(error, ConfigurationError) else 503
        return _answer(
            status, "failed", "irmexport is not set up correctly, or its store is away: see its log."
        )
    return _result(ran.output)


def _refused_caller(headers: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Why the caller may not submit rows; empty if it may.

    Only the platform sets these headers, and it removes a caller's own, as long as authentication is on:
    learn.microsoft.com/azure/app-service/configure-authentication-user-identities
    """
    if environment.get("WEBSITE_AUTH_ENABLED", "").lower() != "true":
        return "Authentication is off for this Function app: deploy it with `playbooks`."
    allowed = {name.strip().lower() for name in environment.get(SUBMITTERS, "").split(",") if name.strip()}
    signed_in = headers.get("x-ms-client-principal-idp", "") == "aad"
    if not signed_in or headers.get("x-ms-client-principal-id", "").lower() not in allowed:
        return f"The caller is not among the object IDs in {SUBMITTERS}."
    return ""


def _require_allowed(profile: str, environment: Mapping[str, str]) -> None:
    allowed = [name.strip() for name in environment.get(PROFILES, SHIPPED).split(",")]
    if profile not in allowed:
        raise IncidentRefused(
            f"playbooks may not use the profile {profile}",
            next_step=f"Add it to the Function app's setting {PROFILES}, if they should.",
        )


def _read(body: bytes) -> tuple[str, list[str]]:
    """The profile and the rows as JSON lines. Raises IncidentRefused."""
    try:
        request = json.loads(body) if len(body) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise IncidentRefused(
            "the request is not a JSON object of at most 4 MiB", next_step="Use the playbook."
        )
    profile, accounts = request.get("profile"), request.get("accounts", ONE)
    if not isinstance(profile, str) or not _NAME.fullmatch(profile):
        raise IncidentRefused(
            "the request names no profile", next_step="Correct the playbook's parameter `profile`."
        )
    if accounts not in (ONE, EACH):
        raise IncidentRefused(
            "`accounts` is neither one nor each", next_step="Correct the playbook's parameter `accounts`."
        )
    made = rows(request.get("incident"), request.get("entities"), accounts)
    return profile, [json.dumps(row) for row in made]


def _result(output: str) -> Answer:
    """The answer for the JSON that `irmexport send` printed."""
    try:
        done = json.loads(output)
    except ValueError:
        return _answer(503, "failed", "irmexport was stopped. Run the playbook again: nothing is sent twice.")
    if "counts" not in done:
        return _answer(
            500, "failed", f"irmexport did not accept the row: {done['error']}. {done['next_step']}"
        )
    batches = [batch[:12] for batch in done["batches"]]
    receipt = {"run": done["run"], "batches": done["batches"]}
    if done["counts"]["rejected"]:
        refused = "; ".join(f"{one['column']}: {REASONS[one['reason']].advice()}" for one in done["reasons"])
        accepted = f" Accepted: batch {', '.join(batches)}." if batches else ""
        return _answer(422, "refused", f"The profile refuses a row: {refused}{accepted}", **receipt)
    if not batches:
        return _answer(200, "known", "Accepted before, so nothing was sent again.", **receipt)
    named = f"batch {', '.join(batches)}, run {done['run']}"
    if len(done["sent"]) == len(batches):
        return _answer(200, "sent", f"Sent to Purview: {named}.", **receipt)
    return _answer(202, "queued", f"Accepted: {named}. `irmexport status` shows when it was sent.", **receipt)


def _answer(status: int, result: str, message: str, **more: object) -> Answer:
    return status, {"result": result, "message": f"irmexport: {message}", **more}
