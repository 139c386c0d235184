"""The emulator as a whole: its start, its stop, and what a test or a rehearsal may ask of it.

Promised: loopback only; bounded in time when a lifetime is given; a stopped emulator has no thread
and no open socket, still answers questions about what it saw, and can be started again on the same
port with the same CA, tokens and records. Not promised: that Microsoft's service behaves alike.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from irmemulator.certificates import Certificates
from irmemulator.faults import Faults
from irmemulator.file_rules import Record
from irmemulator.https_server import Server
from irmemulator.purview_service import CONTROL_PATH, UPLOAD_PATH, Service
from irmemulator.settings import App, Job, Options
from irmemulator.upload_store import Upload


class PurviewEmulator:
    """A local stand-in of the Purview connector "Insider Risk Indicators" and its tokens.

    A context manager: entering starts it, leaving stops it.
    """

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
        """Take the settings; nothing listens before `start`.

        Args:
            apps: The applications that may ask for tokens; their tenants are those that exist.
            jobs: The connectors.
            options: Limits, and choices where documents are silent; None: the defaults.
            host: A loopback address, or "localhost" (127.0.0.1).
            port: The port; 0: any free one.
            directory: Where ca.pem, server.pem and the records' JSON lines are put and left (made
                with mode 0700 if absent); None: a temporary directory, removed at the stop.
            lifetime: Seconds after which it stops by itself; None: never.

        Raises:
            ValueError: The host is not loopback, an id is given twice, or the lifetime is not
                more than 0.
        """
        self._apps, self._jobs = tuple(apps), tuple(jobs)
        self._options = options or Options()
        self._host = _loopback(host)
        self._port = port
        self._lifetime = lifetime
        if lifetime is not None and not 0 < lifetime <= threading.TIMEOUT_MAX:
            raise ValueError("lifetime must be more than 0 seconds")
        _refuse_twice("job", [job.job_id.lower() for job in self._jobs])
        _refuse_twice("app", [f"{a.tenant_id} {a.app_id}".lower() for a in self._apps])
        place = None if directory is None else Path(directory).absolute()
        self._certificates = Certificates(place)
        self._service = Service(self._apps, self._jobs, self._options, place)
        self._server: Server | None = None
        self._url: str | None = None
        self._timer: threading.Timer | None = None
        self._past_connections = 0
        self._past_failures: tuple[str, ...] = ()
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._stopped.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._server is None else f"at {self._url}"
        return f"<Emulator {state}, {len(self._jobs)} jobs>"

    def start(self) -> Self:
        """Listen; when it returns, connections are accepted.

        Raises:
            RuntimeError: It is running already.
            OSError: The port is taken, or the files cannot be written.
        """
        with self._lock:
            if self._server is not None:
                raise RuntimeError("the emulator is running already")
            context = self._certificates.place()
            try:
                server = Server((self._host, self._port), context, self._service)
            except OSError:
                self._certificates.remove()
                raise
            # After a restart the clients' settings must still be right.
            self._port, self._url = server.port, server.base_url
            server.start()
            self._server = server
            self._stopped.clear()
            if self._lifetime is not None:
                self._timer = threading.Timer(self._lifetime, self._end_server, args=(server,))
                self._timer.name = "irmemulator-lifetime"
                self._timer.daemon = True
                self._timer.start()
        return self

    def stop(self) -> None:
        """Stop listening, end all connections and wait for every thread; twice does no harm.

        Raises:
            RuntimeError: A connection's thread did not end.
        """
        with self._lock:
            server, timer = self._server, self._timer
        if server is not None:
            self._end_server(server)
        if timer is not None:
            timer.cancel()
            timer.join()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped, by `stop` or by its lifetime.

        Args:
            timeout: Seconds to wait at most; None: for ever.

        Returns:
            Whether it has stopped.
        """
        return self._stopped.wait(timeout)

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return not self._stopped.is_set()

    @property
    def url(self) -> str:
        """Where it listens (or last did), as `https://127.0.0.1:PORT`: the upload host.

        Raises:
            RuntimeError: It was not started yet.
        """
        if self._url is None:
            raise RuntimeError("the emulator was not started yet: call start() first")
        return self._url

    def authority(self, tenant_id: str) -> str:
        """The authority to give to MSAL, with `instance_discovery=False`.

        Raises:
            RuntimeError: It was not started yet.
        """
        return f"{self.url}/{tenant_id}"

    @property
    def ca_file(self) -> Path:
        """The PEM file of the throw-away CA that clients must trust.

        Without a directory it is gone while the emulator is stopped, and requests then fails for
        the missing file before it connects; to rehearse an outage, give a directory.

        Raises:
            RuntimeError: It was not started yet.
        """
        return self._certificates.ca_file

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self._service.faults

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Every POST to /api/signals, the refused and spoiled ones included, the oldest first."""
        return self._service.store.uploads

    def records(self, job_id: str) -> tuple[Record, ...]:
        """A job's kept records in memory, the oldest first.

        Raises:
            KeyError: There is no such job.
        """
        return tuple(kept.record for kept in self._service.store.kept(job_id))

    def records_saved(self, job_id: str) -> int:
        """How many records of a job were kept, those no longer in memory included.

        Raises:
            KeyError: There is no such job.
        """
        return self._service.store.saved(job_id)

    @property
    def token_requests(self) -> int:
        """How many POSTs came to token endpoints, the spoiled ones included."""
        return self._service.token_requests

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted, over all starts."""
        with self._lock:
            current = 0 if self._server is None else self._server.connections
            return self._past_connections + current

    @property
    def failures(self) -> tuple[str, ...]:
        """The emulator's own defects that requests met (each got a 500); empty when all is well."""
        with self._lock:
            current = () if self._server is None else self._server.failures
            return self._past_failures + current

    def revoke_tokens(self) -> None:
        """Make every token given so far worthless: uploads with them get a 401."""
        self._service.entra.revoke_tokens()

    def describe(self) -> dict[str, object]:
        """What a client needs to know, as plain values for JSON; without secrets.

        Raises:
            RuntimeError: It was not started yet.
        """
        tenants = dict.fromkeys(app.tenant_id for app in self._apps)
        return {
            "stand_in": "a local emulator, not Microsoft's service",
            "url": self.url,
            "page": f"{self.url}/",
            "upload_url": f"{self.url}{UPLOAD_PATH}",
            "control_url": f"{self.url}{CONTROL_PATH}",
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

    def _end_server(self, server: Server) -> None:
        """Stop one server, once; also what the lifetime's timer runs."""
        with self._lock:
            if self._server is not server:
                return
            try:
                server.stop()
            finally:
                self._past_connections += server.connections
                self._past_failures += server.failures
                self._server = None
                self._certificates.remove()
                self._stopped.set()


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        # Tokens are given for made-up secrets and pages show rows without asking who reads them.
        raise ValueError("the emulator listens on loopback only: 127.0.0.1, ::1 or localhost")
    return host


def _refuse_twice(what: str, ids: list[str]) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError(f"the same {what} is given twice")
