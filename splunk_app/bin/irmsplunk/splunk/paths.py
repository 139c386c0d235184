"""Where things lie on a search head, from the environment that splunkd gives its processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from irmcore.disk import make_dirs, system_disk
from irmcore.errors import ConfigurationError

from irmsplunk import APP


@dataclass(frozen=True)
class Places:
    """The outbox (never under etc/apps, which upgrades and clusters replace) and the log's folder."""

    outbox: str
    logs: str

    @staticmethod
    def of(environment: Mapping[str, str]) -> Places:
        """Raises ConfigurationError where this was not started by splunkd."""
        home = environment.get("SPLUNK_HOME", "")
        if not home:
            raise ConfigurationError(
                "SPLUNK_HOME is not set",
                next_step="This runs inside Splunk; start it by `splunk cmd python`.",
            )
        data = environment.get("SPLUNK_DB") or os.path.join(home, "var", "lib", "splunk")
        return Places(
            outbox=os.path.join(data, "modinputs", APP),
            logs=os.path.join(home, "var", "log", "splunk"),
        )

    def outbox_ready(self) -> str:
        """The outbox directory, made with mode 0700 if need be. Raises ConfigurationError."""
        try:
            make_dirs(system_disk(), self.outbox)
            if os.stat(self.outbox).st_mode & 0o077:
                os.chmod(self.outbox, 0o700)  # splunkd makes the folder of a modular input by its own umask
        except OSError as error:
            raise ConfigurationError(
                f"the outbox directory cannot be made ({error.strerror})",
                where=self.outbox,
                next_step="Give it to the user that runs splunkd (mode 0700).",
            ) from None
        return self.outbox
