"""Connectors through REST: create, read, update, remove, test. A secret is written and never returned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Callable

from irmcore.clock import Clock
from irmcore.delivery.connection import Connection, outbox_name, service
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, IrmError
from irmcore.http.credentials import Secret
from irmcore.operations.connection_checks import BAD, Finding, check_connection, check_outbox
from irmcore.operations.status import connector_status
from irmcore.outbox import Outbox
from irmcore.settings import did_you_mean

from irmsplunk.rest.profiles import limits
from irmsplunk.splunk import connectors, passwords
from irmsplunk.splunk.connectors import CONF_PATH, SETTINGS
from irmsplunk.splunk.splunkd import Splunkd, path_segment

#: The most characters of a setting that the log shows.
_LOGGED = 300
_KEYS = ("name", "secret", "disabled", *SETTINGS)


class ConnectorRoutes:
    """``system`` is splunkd as the system user, the only user that may write conf files and secrets."""

    def __init__(self, system: Splunkd, clock: Clock, root: str, log: Callable[..., None]) -> None:
        """``log`` writes an event of the user who made the request to the app's log."""
        self._system = system
        self._clock = clock
        self._root = root
        self._log = log

    def list_all(self) -> dict[str, Any]:
        found = sorted(connectors.stanzas(self._system).items())
        enabled = []
        for name, content in found:
            if not connectors.is_off(content):
                with suppress(ConfigurationError):  # shown with its connector
                    enabled.append(connectors.of_stanza(name, content).profile)
        shown = [self._shown(name, content) for name, content in found]
        return {"connectors": shown, "limits": limits(enabled) if len(enabled) > 1 else []}

    def read(self, name: str) -> dict[str, Any]:
        return self._shown(name, connectors.content_of(self._system, name))

    def create(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Create a connector."""
        if not form:
            raise _no_form()
        name, content = form.get("name", ""), self._content(form)
        configured = self._valid(name, content)
        secret = _secret(form)
        self._system.post(CONF_PATH, {"name": name, "disabled": "0", **content})
        self._log_changes(name, {}, content, secret)
        if secret is not None:
            passwords.save(self._system, configured.connection, secret)
        return self.read(name)

    def update(self, name: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Change the settings in the form; an empty value removes a setting."""
        if not form:
            raise _no_form()
        if form.get("name", name) != name:
            raise ConfigurationError(
                "a connector cannot be renamed", where=name, next_step="Create a new one and remove this one."
            )
        before, content = connectors.content_of(self._system, name), self._content(form)
        configured = self._valid(name, {**before, **content})
        secret = _secret(form)
        if secret is None and self._secret_saved(name, before):
            self._refuse_other_destination(configured.connection, content)
        if content:
            self._system.post(f"{CONF_PATH}/{path_segment(name)}", content)
        self._log_changes(name, before, content, secret)
        if secret is not None:
            passwords.save(self._system, configured.connection, secret)
        return {**self.read(name), **self._left_behind(name, before, configured.connection)}

    def remove(self, name: str) -> dict[str, Any]:
        """Remove the connector and its secret. Queued batches stay, and the sender reports them."""
        before = connectors.content_of(self._system, name)
        passwords.remove(self._system, name)
        self._system.delete(f"{CONF_PATH}/{path_segment(name)}")
        self._log_changes(name, before, dict.fromkeys(SETTINGS, ""), None)
        return {"removed": name}

    def test(self, name: str) -> dict[str, Any]:
        """Check DNS, TLS, proxy, clock and token, without an upload."""
        configured = connectors.of_stanza(name, connectors.content_of(self._system, name))
        found = list(check_outbox(system_disk(), self._root))
        others = connectors.sharing(connectors.stanzas(self._system)).get(name, ())
        if others:
            what = f"the connector {others[0]} has the same `job_id`: both share one outbox"
            found.append(Finding("job_id", BAD, what, "Remove or disable one of them."))
        connection = configured.connection
        if connection.connector.placeholders():
            found.append(Finding("profile", BAD, "IDs are missing", "Set the IDs first."))
        else:
            purview = service(connection, lambda: passwords.read(self._system, connection))
            found.extend(check_connection(connection, purview.tokens, self._clock))
        good = all(finding.grade != BAD for finding in found)
        return {"good": good, "findings": [asdict(finding) for finding in found]}

    def _valid(self, name: str, content: Mapping[str, Any]) -> connectors.Configured:
        """The connector. Raises ConfigurationError if it is invalid or another one has the same job.

        Both would share the job's outbox, and the rows of both would be sent with the secret of one of them.
        """
        configured = connectors.of_stanza(name, content)
        found = connectors.stanzas(self._system)
        others = connectors.sharing({**found, name: content}).get(name, ())
        if others:
            raise ConfigurationError(
                f"the connector {others[0]} has the same `job_id`, so both would share one outbox",
                where=f"connector {configured.name}",
                next_step="Use that one, with `fields` in the command or alert, or create another connector "
                "in the Purview portal, which gets its own job ID.",
            )
        return configured

    def _refuse_other_destination(self, connection: Connection, content: Mapping[str, str]) -> None:
        """Raises ConfigurationError if the saved secret was not entered for the new destination."""
        if not passwords.has(self._system, connection):
            raise ConfigurationError(
                f"this changes where the client secret is sent ({', '.join(sorted(content))}), so `secret` "
                "must be entered again; nothing was saved",
                where="secret",
                next_step="Send `secret` with the change.",
            )

    def _secret_saved(self, name: str, content: Mapping[str, Any]) -> bool:
        """Whether a secret is saved for the stanza's destination."""
        try:
            return passwords.has(self._system, connectors.of_stanza(name, content).connection)
        except ConfigurationError:
            return False

    def _log_changes(
        self, name: str, before: Mapping[str, Any], content: Mapping[str, str], secret: Secret | None
    ) -> None:
        """Log old and new value of each changed setting; of the secret, only that it was replaced."""
        changes = {}
        for key, value in content.items():
            old = str(before.get(key) or "")
            if old != value:
                changes[key] = {"old": _loggable(old), "new": _loggable(value)}
        if changes or secret is not None:
            self._log("changed", connector=name, changes=changes, secret_replaced=secret is not None)

    def _left_behind(self, name: str, before: Mapping[str, Any], new: Connection) -> dict[str, str]:
        """What to do about rows that are queued for the job that the connector had before.

        They cannot be moved: a batch and the keys of its rows belong to one job.
        """
        try:
            old = connectors.of_stanza(name, before).connection
        except IrmError:  # the settings before were not valid, so nothing was queued with them
            return {}
        outbox = Outbox(system_disk(), self._clock, f"{self._root}/{outbox_name(old)}")
        if outbox_name(old) == outbox_name(new) or not outbox.exists():
            return {}
        status = connector_status(outbox)
        rows = status.rows_queued + sum(item.rows for item in status.items)
        count = "1 row is" if rows == 1 else f"{rows:,} rows are"
        step = (
            f"{count} queued for the previous job ID and not sent to the new one. Run the searches that "
            "queued them again: the new job has no record of these rows, so all of them are sent. To send "
            "the queued ones to the previous job instead, set its ID again."
        )
        return {"next_step": step} if rows else {}

    def _content(self, form: Mapping[str, str]) -> dict[str, str]:
        """The settings of a form, as the conf file stores them. Raises ConfigurationError."""
        for key in form:
            if key not in _KEYS:
                hint = did_you_mean(key, _KEYS, plural="settings")
                raise ConfigurationError("a connector has no such setting", where=key[:40], next_step=hint)
        content = {key: value.strip() for key, value in form.items() if key not in ("name", "secret")}
        if content.get("profile_yaml"):
            content["profile_yaml"] = connectors.encoded(form["profile_yaml"])
        return content

    def _shown(self, name: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """A connector for the pages: its settings, their error if any, and whether a secret is saved."""
        shown: dict[str, Any] = {key: str(content[key]) for key in SETTINGS if content.get(key)}
        if "profile_yaml" in shown:
            shown["profile_yaml"] = connectors.decoded(shown["profile_yaml"])
        try:
            connectors.of_stanza(name, content)
            trouble = ""
        except ConfigurationError as error:
            trouble = str(error)
        return {
            "name": name,
            "disabled": connectors.is_off(content),
            **shown,
            "secret_saved": self._secret_saved(name, content),
            "trouble": trouble,
        }


def _no_form() -> ConfigurationError:
    return ConfigurationError(
        "the request has no form fields, so there is nothing to save",
        where="irmexport/connectors",
        next_step=f"Send a form (-d name=value) with some of {', '.join(_KEYS)}.",
    )


def _secret(form: Mapping[str, str]) -> Secret | None:
    text = form.get("secret", "").strip()
    return Secret(text) if text else None


def _loggable(value: str) -> str:
    """The value itself, or for a profile's text its length and SHA-256."""
    if len(value) <= _LOGGED:
        return value
    return f"{len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()}"
