"""The app's directories on a search head, from the environment that splunkd gives its processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from irmcore.disk import make_dirs, system_disk
from irmcore.errors import ConfigurationError
from irmcore.ownership import require_own

from irmsplunk import APP


@dataclass(frozen=True)
class Paths:
    """The outbox directory and the log directory.

    The outbox is not under etc/apps, which upgrades and search head clusters replace.
    """

    outbox: str
    logs: str

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> Paths:
        """Raises ConfigurationError if splunkd did not start this process."""
        home = environment.get("SPLUNK_HOME", "")
        if not home:
            raise ConfigurationError(
                "SPLUNK_HOME is not set",
                next_step="This runs inside Splunk; start it with `splunk cmd python`.",
            )
        data = environment.get("SPLUNK_DB") or os.path.join(home, "var", "lib", "splunk")
        return Paths(
            outbox=os.path.join(data, "modinputs", APP),
            logs=os.path.join(home, "var", "log", "splunk"),
        )

    def create_outbox(self) -> str:
        """Create the outbox directory with mode 0700 if needed.

        Raises ConfigurationError, also if it belongs to another user.
        """
        try:
            make_dirs(system_disk(), self.outbox)
            if os.stat(self.outbox).st_uid == os.geteuid():
                os.chmod(self.outbox, 0o700)  # splunkd creates a modular input's directory with its own umask
            require_own(self.outbox, "outbox directory", ConfigurationError, link=True)
        except OSError as error:
            raise ConfigurationError(
                f"the outbox directory cannot be created ({error.strerror})",
                where=self.outbox,
                next_step="Make the user that runs splunkd its owner (mode 0700).",
            ) from None
        return self.outbox
