"""The next step for each code that a batch, a circuit breaker or a token can have: one line each."""

from __future__ import annotations

from collections.abc import Mapping

_HOSTS = "check that the firewall allows the upload host (commercial: webhook.ingestion.office.com)"

ADVICE: Mapping[str, str] = {
    "http-400": "The service refuses the file: compare the profile's columns and source values with the "
    "connector's sample file. Then run `irmexport resolve BATCH --withdraw --why REASON` and send the rows again.",
    "breaker-damaged": "The stored circuit breaker is damaged, and may have said that sending is paused: check "
    "`irmexport audit` for the last replies.",
    "adopted": "The outbox was copied, restored or moved, so the service may have the rows already. Compare with the "
    "connector's log in the portal, then run `irmexport resolve BATCH --sent --why REASON`, or with `--resend` or `--withdraw` in place of `--sent`.",
    "promotion-begun": "The batch was on its way to the outbox that machines share, which may send it: set `outbox` to "
    "that one again (in Splunk `cluster`), and the batch is there once, or is moved there. If that outbox is lost, run "
    "`irmexport resolve BATCH --sent --why REASON`, or with `--resend` or `--withdraw` in place of `--sent`.",
    "promoted-late": "These rows were moved to the outbox that machines share so late that it may not know any more whether "
    "another machine has sent them. Compare with the connector's log in the portal, then run "
    "`irmexport resolve BATCH --sent --why REASON`, or with `--resend` or `--withdraw` in place of `--sent`.",
    "http-401": "The service does not accept the token: check `app_id`, `tenant_id` and `cloud`.",
    "http-403": "The app may not upload to this job: the connector must have been created with this `app_id` "
    "in this tenant; check `job_id` and `cloud`.",
    "http-404": "The service does not know the job: copy `job_id` from the wizard's Finish page, and check `cloud`.",
    "http-407": "The proxy requires authentication: let this machine pass without it, or set another `proxy`.",
    "http-408": "The upload took too long for the service; irmexport tries again. Check whether the network is slow.",
    "http-413": "A single row is too large for the service: shorten its texts at the source. Then run `irmexport resolve BATCH --withdraw --why REASON` and send the rows again.",
    "html-answer": "A web page answered instead of the service (perhaps the sign-in page of a proxy), so it is not "
    "known whether the service has the rows. Check the connector's log in the portal, then run `irmexport resolve BATCH --sent --why REASON`, or with `--resend` or `--withdraw` in place of `--sent`.",
    "http-415": "The service refuses the form of the upload. This is a fault of irmexport: please report it. `irmexport requeue BATCH --why REASON` sends the batch again.",
    "http-422": "The service refuses the file's content: compare columns and types with the sample file. "
    "Then run `irmexport resolve BATCH --withdraw --why REASON` and send the rows again.",
    "http-429": "The service asks irmexport to slow down; irmexport waits as long as the service says.",
    "http-500": "The service failed; irmexport tries again, at most once an hour.",
    "http-503": "The service is busy or under maintenance; irmexport tries again.",
    "dns": "The name of the upload host cannot be resolved: check DNS, or set `proxy` if this network needs one.",
    "refused": f"The upload host refuses the connection: {_HOSTS}.",
    "reset": f"The connection was cut: {_HOSTS}, and whether a proxy or TLS inspection cuts it.",
    "timeout": f"The upload host did not answer in time: {_HOSTS}. On a slow network, raise `deadline`.",
    "tls": "The upload host's certificate is not trusted: if this network inspects TLS, set `ca_file` to the "
    "PEM file of the inspecting authority.",
    "proxy": "The proxy refuses the connection: check `proxy` and that it allows CONNECT to the upload host.",
    "protocol": "The answer is not valid HTTP: check `proxy` and whatever inspects the traffic.",
    "credential": "The client secret cannot be read: `irmexport doctor` shows why.",
    "crash": "The process ended before the upload was complete; the batch is sent again.",
    "damaged": "A file on disk is not what irmexport wrote: check the disk, and see `irmexport show BATCH`. "
    "`irmexport resolve BATCH --withdraw --why REASON` lets its rows be sent again from their source.",
    "unknown-format": "A newer version of irmexport wrote this batch: use that version.",
    "no-permission": "This user may not read the batch: change the owner of the outbox to the user who sends (files 0600, directories 0700).",
    "disk-error": "The disk failed to write the state of this batch. Other batches are still sent. Check the disk's log and health.",
    "disk-full": "The disk is full, so a batch that is too large could not be split: free some space.",
    "resolved": "A person resolved it; see `irmexport audit`.",
    "requeued": "A person requeued it.",
}

#: Entra's error codes that an administrator can act on. Source: "Microsoft Entra authentication and
#: authorization error codes" (learn.microsoft.com, reference-error-codes).
ENTRA: Mapping[str, str] = {
    "AADSTS7000215": "The client secret is wrong: use the secret's value, not its ID.",
    "AADSTS7000222": "The client secret has expired: create a new one and save it in place of the old one.",
    "AADSTS700027": 'The application does not have this certificate: upload it under "Certificates & secrets".',
    "AADSTS700024": "The signed assertion is outside its validity period: correct this machine's clock (NTP).",
    "AADSTS1000502": "The certificate has expired or is not valid yet: create a new one and upload it.",
    "AADSTS700211": 'The application trusts no federated credential of this issuer: compare it with "Federated '
    'credentials" of the application.',
    "AADSTS700212": "The audience of the application's federated credential is not that of this cloud: "
    "docs/credentials.md has the audiences.",
    "AADSTS700213": "The application has no federated credential for this subject: it must be the object (principal) "
    "ID of the managed identity, or the service account of the token.",
    "AADSTS700016": "The tenant does not know this application: check `app_id` and `tenant_id`.",
    "AADSTS90002": "This cloud has no such tenant: check `tenant_id` and `cloud`.",
    "AADSTS900023": "`tenant_id` is not a tenant ID: copy it from the overview page of Microsoft Entra ID.",
    "AADSTS500011": "The tenant does not know the connector's application: check `resource_app_id`, and that "
    "the connector has been created in this tenant.",
    "AADSTS7000112": 'The application is disabled: enable it under "Enterprise applications".',
    "AADSTS53003": "Conditional Access blocks this application: allow this machine's IP address.",
}

#: What differs for batches that go to a table of Azure Monitor (the Logs Ingestion API).
INGESTION: Mapping[str, str] = {
    "http-400": "The data collection rule refuses the rows: compare its stream with the template that `irmexport sentinel template --collection FILE` writes. Then run `irmexport requeue BATCH --why REASON`.",
    "http-401": "The ingestion endpoint does not accept the token: check `tenant_id`, `app_id` and `cloud`.",
    "http-403": 'The app may not send to this rule: assign it the role "Monitoring Metrics Publisher" on the data collection rule (this takes up to 30 minutes to take effect), and check `rule_id`.',
    "http-404": "The endpoint does not know the rule or the stream: copy `endpoint` and `rule_id` (the immutable ID, dcr-…) from the rule's JSON view.",
    "http-413": "A single row is larger than the service accepts. irmexport should have shortened it: please report this. `irmexport resolve BATCH --withdraw --why REASON` gives the batch up.",
    "http-429": "The rule is at its limit (2 GB or 12,000 requests per minute); irmexport waits as long as the service says.",
    "dns": "The name of the ingestion endpoint cannot be resolved: check `endpoint`, DNS and `proxy`.",
    "refused": "The ingestion endpoint refuses the connection: check `endpoint` and the firewall (*.ingest.monitor.azure.com).",
    "timeout": "The ingestion endpoint did not answer in time; the batch is sent again.",
    "tls": "The ingestion endpoint's certificate is not trusted: if this network inspects TLS, set `ca_file`.",
}
_OF_KIND: Mapping[str, Mapping[str, str]] = {"azure-monitor-ingestion": INGESTION}

_IN_DOUBT = (
    "It is not known whether the service saved the rows. Look at the connector's log in the portal (RecordsSaved), "
    "then run `irmexport resolve BATCH --sent --why REASON`, or with `--resend` in place of `--sent`."
)
_REDIRECT = (
    "The service answered with a redirect. It is not followed, because that would send the token to another host: "
    "check `cloud`, and whether a proxy shows a sign-in page."
)

#: Beginnings or ends of codes that have no advice of their own.
_FAMILIES = (
    ("-after-commit", _IN_DOUBT),
    ("token-", "Microsoft Entra ID did not issue a token: `irmexport doctor` shows why."),
    ("http-3", _REDIRECT),
    ("http-4", ADVICE["http-400"]),
    ("http-5", _IN_DOUBT),
)


def advice(code: str, kind: str = "", batch: str = "BATCH") -> str:
    """The next step for ``code`` at a destination of ``kind``; empty for the code of a success.

    ``batch``: the beginning of the id of the batch that has the code.
    """
    return _advice(code, kind).replace("BATCH", batch)


def _advice(code: str, kind: str) -> str:
    code = code.split(" ", 1)[0]
    known = _OF_KIND.get(kind, {}).get(code) or ADVICE.get(code) or ENTRA.get(code.replace("token-", "", 1))
    if known is not None:
        return known
    for beginning, text in _FAMILIES:
        if code.startswith(beginning) or code.endswith(beginning):
            return text
    return ""
