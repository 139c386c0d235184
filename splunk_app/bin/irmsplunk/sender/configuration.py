"""The connectors that the sender serves; invalid ones are logged when their error first appears."""

from __future__ import annotations

from irmcore.errors import IrmError

from irmsplunk.splunk import connectors
from irmsplunk.splunk.app_log import AppLog
from irmsplunk.splunk.connectors import Configured
from irmsplunk.splunk.next_steps import in_splunk
from irmsplunk.splunk.splunkd import Splunkd


class Configuration:
    """Reads irmexport_connectors.conf."""

    def __init__(self, splunkd: Splunkd, app_log: AppLog) -> None:
        self._splunkd = splunkd
        self._app_log = app_log
        self._logged: dict[str, str] = {}

    def read(self) -> dict[str, Configured]:
        """The enabled connectors by name. Of two with one job (a file edited by hand), the first sends."""
        stanzas = connectors.stanzas(self._splunkd)
        shared = connectors.sharing(stanzas)
        found: dict[str, Configured] = {}
        errors: dict[str, str] = {}
        for name, content in sorted(stanzas.items()):
            first = min(shared.get(name, (name,)))
            if first < name:
                errors[name] = (
                    f"the connector {first} has the same `job_id`, so both share one outbox and all rows are "
                    f"sent with the secret of {first}. Remove or disable one of them."
                )
                continue
            try:
                if not connectors.is_off(content):
                    found[name] = connectors.of_stanza(name, content)
            except IrmError as error:
                errors[name] = in_splunk(str(error))
        for name, what in errors.items():
            if self._logged.get(name) != what:
                self._app_log.write("ERROR", "wrong-connector", connector=name, what=what)
        self._logged = errors
        return found
