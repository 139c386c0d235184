"""Sources of an export: a workspace in Azure, the emulator of its query API, or a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from irmcore.clock import Clock
from irmcore.errors import ConfigurationError

from irmsentinel.azure import identity as sign_in
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.identity import Identity
from irmsentinel.azure.workspace import DEADLINE, HOSTS, Workspace
from irmsentinel.content.artefacts import Content
from irmsentinel.emulators.announcement import QUERY_API, find_emulator
from irmsentinel.kql import local
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import Result


def azure(workspace: str, cloud: str, identity: Identity, environment: Mapping[str, str]) -> Workspace:
    """A workspace in Azure. Raises ConfigurationError."""
    if cloud not in HOSTS:
        raise ConfigurationError(
            f"there is no cloud `{cloud}`", where="--cloud", next_step=f"There are: {', '.join(HOSTS)}."
        )
    make = sign_in.maker(identity, cloud, environment)
    return Workspace(workspace, make(), HOSTS[cloud], Network.of(environment), renew=make)


def remote(
    workspace: str | None, cloud: str, emulator: Path | None, environment: Mapping[str, str]
) -> Workspace:
    """The workspace of the emulator in this directory if one is given, otherwise one in Azure.

    Raises ConfigurationError.
    """
    if emulator is not None:
        return emulated_workspace(emulator)[0]
    return azure(str(workspace), cloud, Identity(), environment)


def emulated_workspace(
    directory: Path,
    workspace: str | None = None,
    *,
    deadlines: tuple[float, float] = (sign_in.DEADLINE, DEADLINE),
    clock: Clock | None = None,
    proxy: str | None = None,
) -> tuple[Workspace, datetime]:
    """A workspace of the emulator in this directory (by default its only one), and the emulator's time.

    `deadlines` in seconds: for a request to the login host, and for a query. Raises ConfigurationError.
    """
    start = f"irmexport sentinel emulator --directory {directory} --local DIR"
    at = find_emulator(directory, QUERY_API, start)
    network = Network(proxy, at["ca_file"])
    make = sign_in.of_emulator(at, network, deadline=deadlines[0], clock=clock)
    source = Workspace(
        workspace or at["workspace_id"],
        make(),
        f"{at['url']}/v1",
        network,
        renew=make,
        deadline=deadlines[1],
        clock=clock,
    )
    return source, datetime.fromisoformat(at["now"])


class Folder:
    """A folder of tables on this machine, as a source. ``now`` is the time that queries see."""

    def __init__(self, engine: Engine, folder: Path, now: datetime) -> None:
        self._engine = engine
        self.path = folder
        self.now = now
        self.label = f"local-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:8]}"

    def query(self, kql: str) -> Result:
        """The result of a query. Raises DataError."""
        return self._engine.run(kql, now=self.now)

    def close(self) -> None:
        """Free the tables."""
        self._engine.close()


def folder(content: Content, path: Path) -> Folder:
    """A folder of tables. Raises DataError."""
    engine, now = local.open_folder(content, path)
    return Folder(engine, path, now.astimezone(UTC))
