"""The emulator of the Purview connector as tests, the demo and the command line use it.

Promised: what `loopback_server` promises; a stopped emulator still answers questions about what it saw, and
has its tokens and records when it is started again. Not promised: that Microsoft's service behaves the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from irmemulator.file_rules import Record
from irmemulator.loopback_server import LoopbackServer
from irmemulator.purview_service import CONTROL_PATH, UPLOAD_PATH, PurviewService
from irmemulator.settings import App, Job, Options
from irmemulator.upload_store import Upload


class PurviewEmulator(LoopbackServer):
    """A local emulator of the Purview connector "Insider Risk Indicators" and of the tokens for it."""

    def __init__(  # noqa: PLR0913 - all by name, and each has a default but the first two
        self,
        apps: Iterable[App],
        jobs: Iterable[Job],
        options: Options | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        directory: Path | str | None = None,
        lifetime: float | None = None,
    ) -> None:
        """Take the settings. Nothing listens before `start`.

        Args:
            apps: The applications that may ask for tokens; their tenants are those that exist.
            jobs: The connectors.
            options: Limits, and choices where documents are silent; None: the defaults.
            host: See `LoopbackServer`.
            port: See `LoopbackServer`.
            directory: See `LoopbackServer`; the records are appended there as JSON lines, too.
            lifetime: See `LoopbackServer`.

        Raises:
            ValueError: The host is not loopback, an id is given twice, or the lifetime is not more than 0.
        """
        self._apps, self._jobs = tuple(apps), tuple(jobs)
        self._options = options or Options()
        _refuse_twice("job", [job.job_id.lower() for job in self._jobs])
        _refuse_twice("app", [f"{a.tenant_id} {a.app_id}".lower() for a in self._apps])
        records = None if directory is None else Path(directory).absolute()
        self._purview = PurviewService(self._apps, self._jobs, self._options, records)
        super().__init__(
            self._purview,
            host=host,
            port=port,
            directory=directory,
            lifetime=lifetime,
            handshake_timeout=self._options.handshake_timeout,
            idle_timeout=self._options.idle_timeout,
        )

    def authority(self, tenant_id: str) -> str:
        """The authority to give to MSAL, with `instance_discovery=False`.

        Raises:
            RuntimeError: It was not started yet.
        """
        return f"{self.url}/{tenant_id}"

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Every POST to /api/signals, the refused and spoiled ones included, the oldest first."""
        return self._purview.store.uploads

    def records(self, job_id: str) -> tuple[Record, ...]:
        """The records of a job that are in memory, the oldest first.

        Raises:
            KeyError: There is no such job.
        """
        return tuple(kept.record for kept in self._purview.store.kept(job_id))

    def records_saved(self, job_id: str) -> int:
        """How many records of a job were saved, including those no longer in memory.

        Raises:
            KeyError: There is no such job.
        """
        return self._purview.store.saved(job_id)

    @property
    def control_token(self) -> str:
        """The password for its page, its JSON documents and the control of faults; new with each emulator."""
        return self._purview.control_token

    @property
    def token_requests(self) -> int:
        """How many POSTs came to token endpoints, the spoiled ones included."""
        return self._purview.entra.token_requests

    def revoke_tokens(self) -> None:
        """Revoke every token issued so far: uploads with them get a 401."""
        self._purview.entra.revoke_tokens()

    def describe(self) -> dict[str, object]:
        """What a client needs to know, as plain values for JSON. Its one secret is the control token.

        Raises:
            RuntimeError: It was not started yet.
        """
        tenants = dict.fromkeys(app.tenant_id for app in self._apps)
        return {
            "note": "a local emulator, not Microsoft's service",
            "url": self.url,
            "page": f"{self.url}/",
            "upload_url": f"{self.url}{UPLOAD_PATH}",
            "control_url": f"{self.url}{CONTROL_PATH}",
            "control_token": self.control_token,
            "ca_file": str(self.ca_file),
            "lifetime": self._lifetime,
            "authorities": {tenant: self.authority(tenant) for tenant in tenants},
            "apps": [
                {"tenant_id": app.tenant_id, "app_id": app.app_id, "expired": app.expired}
                for app in self._apps
            ],
            "jobs": [
                {
                    key: list(value) if isinstance(value, tuple) else value
                    for key, value in asdict(job).items()
                }
                for job in self._jobs
            ],
            "options": asdict(self._options),
        }


def _refuse_twice(what: str, ids: list[str]) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError(f"the same {what} is given twice")
