"""What to check, for each code that a batch, a gate or a token can carry. One line each."""

from __future__ import annotations

from collections.abc import Mapping

_HOSTS = "check that the firewall allows the upload host (commercial: webhook.ingestion.office.com)"

ADVICE: Mapping[str, str] = {
    "http-400": "The service refuses the file: compare the profile's columns and source values with the "
    "connector's sample file. Then `irmexport resolve BATCH --withdraw` and send the rows again.",
    "http-401": "The service does not accept the token: check `app_id`, `tenant_id` and `cloud`.",
    "http-403": "The app may not upload to this job: the connector must have been created with this `app_id`, "
    "in this tenant; check `job_id` and `cloud`.",
    "http-404": "The service does not know the job: copy `job_id` from the wizard's Finish page; check `cloud`.",
    "http-407": "The proxy asks for a sign-in: allow this machine to pass without one, or set another `proxy`.",
    "http-408": "The service waited too long for the upload; irmexport tries again: see whether the line is slow.",
    "http-413": "A single row is too large for the service: shorten its texts where they are made. `irmexport resolve BATCH --withdraw` gives the batch up.",
    "html-answer": "A web page answered in place of the service, so nobody knows whether it has the rows: does a "
    "proxy show a sign-in page here? Look at the connector's log in the portal, then `irmexport resolve BATCH`.",
    "http-415": "The service refuses the form of the upload: report this, it is a fault of irmexport. `irmexport requeue BATCH` sends it again.",
    "http-422": "The service refuses the file's content: compare columns and types with the sample file. "
    "Then `irmexport resolve BATCH --withdraw` and send the rows again.",
    "http-429": "The service asks to slow down; irmexport waits as long as it says.",
    "http-500": "The service failed; irmexport tries again, at most once an hour.",
    "http-503": "The service is busy or being serviced; irmexport tries again.",
    "dns": "The upload host's name cannot be resolved: check DNS, or set `proxy` if this network has one.",
    "refused": f"Nothing answers at the upload host: {_HOSTS}.",
    "reset": f"The connection was cut: {_HOSTS}, and whether a proxy or inspection cuts it.",
    "timeout": f"No answer in time: {_HOSTS}; on a slow line raise `deadline`.",
    "tls": "The upload host's certificate is not trusted: if TLS is inspected here, set `ca_file` to the "
    "inspecting authority's PEM file.",
    "proxy": "The proxy refuses the connection: check `proxy` and that it allows CONNECT to the upload host.",
    "protocol": "What answers does not speak HTTP as it should: check `proxy` and what inspects the traffic.",
    "credential": "The client secret cannot be read from where the profile says.",
    "crash": "The process ended during an attempt, before the body was complete; it is sent again.",
    "damaged": "A file on disk is not what was written: check the disk; see `irmexport show BATCH`. `irmexport resolve BATCH "
    "--withdraw` lets its rows be sent again from where they came.",
    "unknown-format": "A later version of irmexport wrote this batch: run that version.",
    "no-permission": "This user may not read the batch: give the outbox to the user who sends (files 0600, directories 0700).",
    "disk-error": "The disk failed to write the state of a batch, which stays as it is while the others go: check the disk's log and health.",
    "disk-full": "The disk is full, so a batch that was too large could not be split: free some space.",
    "resolved": "A person resolved it; see `irmexport audit`.",
    "requeued": "A person put it back into the queue.",
}

#: Entra's error codes that an administrator can act on. Source: Microsoft Entra authentication and
#: authorization error codes (learn.microsoft.com, reference-error-codes).
ENTRA: Mapping[str, str] = {
    "AADSTS7000215": "The client secret is wrong: use the secret's value, not its ID.",
    "AADSTS7000222": "The client secret has expired: create a new one and put it where `credential` says.",
    "AADSTS700027": "The application does not have this certificate: upload it under Certificates & secrets.",
    "AADSTS700024": "The signed proof is out of its time: set this machine's clock (NTP).",
    "AADSTS1000502": "The certificate has ended or is not valid yet: make a new one and upload it.",
    "AADSTS700016": "The tenant does not know this application: check `app_id` and `tenant_id`.",
    "AADSTS90002": "There is no such tenant in this cloud: check `tenant_id` and `cloud`.",
    "AADSTS900023": "`tenant_id` is not a tenant: copy the directory ID from Entra's overview.",
    "AADSTS500011": "The tenant does not know the connector's application: check `resource_app_id`, and that "
    "the connector has been created in this tenant.",
    "AADSTS7000112": "The application is disabled: enable it under Enterprise applications.",
    "AADSTS53003": "Conditional access blocks this application: allow this machine's address.",
}

#: What is different where batches go to a table of Azure Monitor (the Logs Ingestion API).
INGESTION: Mapping[str, str] = {
    "http-400": "The data collection rule refuses the rows: compare its stream with the template that `irmexport sentinel template --collection` writes. Then `irmexport requeue BATCH`.",
    "http-401": "The ingestion endpoint does not accept the token: check `tenant_id`, `app_id` and `cloud`.",
    "http-403": "The app may not send to this rule: give it the role Monitoring Metrics Publisher on the data collection rule (it takes up to 30 minutes to work), and check `rule_id`.",
    "http-404": "The endpoint does not know the rule or the stream: copy `endpoint` and `rule_id` (the immutable id, dcr-…) from the rule's JSON view.",
    "http-413": "A single row is larger than the service takes: report this, irmexport cuts rows before. `irmexport resolve BATCH --withdraw` gives the batch up.",
    "http-429": "The rule is at its limit (2 GB or 12,000 requests a minute); irmexport waits as long as it says.",
    "dns": "The ingestion endpoint's name cannot be resolved: check `endpoint`, DNS and `proxy`.",
    "refused": "Nothing answers at the ingestion endpoint: check `endpoint` and the firewall (*.ingest.monitor.azure.com).",
    "timeout": "No answer in time from the ingestion endpoint; the batch is sent again.",
    "tls": "The ingestion endpoint's certificate is not trusted: if TLS is inspected here, set `ca_file`.",
}
_OF_KIND: Mapping[str, Mapping[str, str]] = {"azure-monitor-ingestion": INGESTION}

_IN_DOUBT = (
    "Nobody knows whether the service kept the rows. Look at the connector's log in the portal (RecordsSaved), "
    "then `irmexport resolve BATCH --sent` or `--resend`."
)
_REDIRECT = (
    "The service answers with a redirect, which is not followed as it would carry the token elsewhere: "
    "check `cloud` and what stands between (a sign-in page of a proxy?)."
)

#: How a code begins or ends that has no advice of its own.
_FAMILIES = (
    ("-after-commit", _IN_DOUBT),
    ("token-", "No token could be had from Microsoft Entra ID: `irmexport doctor` says more."),
    ("http-3", _REDIRECT),
    ("http-4", ADVICE["http-400"]),
    ("http-5", _IN_DOUBT),
)


def advice(code: str, kind: str = "") -> str:
    """What to check for ``code`` of a destination of ``kind``; an empty text for the code of a success."""
    code = code.split(" ", 1)[0]
    known = _OF_KIND.get(kind, {}).get(code) or ADVICE.get(code) or ENTRA.get(code.replace("token-", "", 1))
    if known is not None:
        return known
    for beginning, text in _FAMILIES:
        if code.startswith(beginning) or code.endswith(beginning):
            return text
    return ""
