"""An emulator that has the connectors of profiles, and its announcement for other processes."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from irmcore.errors import ConfigurationError
from irmcore.profile import Profile
from irmemulator.announcement import write_announcement
from irmemulator.loopback_server import LoopbackServer
from irmemulator.private_files import is_made_up, made_up_secret, write_private
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Job, Options

from irmcli.emulator.connection import ANNOUNCEMENT, id_of


def job_of(profile: Profile) -> Job:
    """The connector that an administrator would create in the portal for ``profile``."""
    source = profile.column("source") or profile.column("scenario")
    user, time = profile.column("user"), profile.column("time")
    return Job(
        job_id=id_of(profile, "job_id"),
        app_id=id_of(profile, "app_id"),
        name=profile.name,
        columns=tuple(column.header for column in profile.columns),
        user_column=user.header if user else None,
        time_column=time.header if time else None,
        source_column=source.header if source else None,
        related_values=source.related_values if source else (),
        kind=profile.connector.kind,
        scenarios={value: name for name, value in profile.scenarios.items()},
        mapping={column.maps_to: column.header for column in profile.columns if column.maps_to},
    )


@contextlib.contextmanager
def running(emulator: LoopbackServer, port: int) -> Iterator[None]:
    """Serve while the block runs. Raises ConfigurationError if ``port`` cannot be used."""
    try:
        emulator.start()
    except OSError as error:
        raise ConfigurationError(
            f"cannot start on port {port}: {error.strerror}",
            next_step="Choose another one with --port, or let the system choose with --port 0.",
        ) from None
    try:
        yield
    finally:
        emulator.stop()


def create_emulator(
    directory: Path,
    profiles: Iterable[Profile],
    options: Options,
    *,
    port: int = 0,
    lifetime: float | None = None,
) -> PurviewEmulator:
    """An emulator with a job for each profile, not started yet.

    Its secret is in ``directory``, in a file of mode 0600 that later emulators use again. The records that
    earlier ones saved there are deleted. Raises OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for former in directory.glob("records-*.jsonl"):
        former.unlink()  # of an earlier emulator, which may have got rows about people
    secret_file = directory / "secret"
    if not secret_file.exists() or not is_made_up(secret_file.read_text()):
        write_private(secret_file, made_up_secret().encode())
    secret = secret_file.read_text().strip()
    jobs = {job.job_id: job for job in map(job_of, profiles)}
    apps = {
        (app.tenant_id, app.app_id): app
        for app in (App(id_of(p, "tenant_id"), id_of(p, "app_id"), secret) for p in profiles)
    }
    return PurviewEmulator(
        apps.values(), jobs.values(), options, port=port, directory=directory, lifetime=lifetime
    )


def announce(directory: Path, running: PurviewEmulator) -> None:
    """Write the announcement of a running emulator, for `--emulator DIRECTORY`. Raises OSError."""
    description = {**running.describe(), "secret_file": str(directory.absolute() / "secret")}
    write_announcement(directory / ANNOUNCEMENT, description)
