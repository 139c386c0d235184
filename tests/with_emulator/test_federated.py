"""Uploads without a secret: the application trusts a managed identity, or a token in a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from irmcli.credential_stores import READERS
from irmcore import profile as profiles
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.errors import CredentialError
from irmcore.http import credentials
from irmcore.http.auth import TokenSource, TokenTrouble
from irmcore.profile import CredentialRef
from irmemulator.entra import Entra
from irmemulator.fault_queue import Faults
from irmemulator.http_messages import Reply, Request, error_reply, json_reply
from irmemulator.loopback_server import LoopbackServer
from irmemulator.routing import Route
from irmemulator.settings import DEFAULT_RESOURCE, App, FederatedCredential

from tests.fakes.managed_identity import ManagedIdentity
from tests.fakes.tunnel import Tunnel
from tests.with_emulator.test_credentials import IDS, irmexport, profile_with

LOGINS = {"commercial": "login.microsoftonline.com", "gcc-high": "login.microsoftonline.us"}
AUDIENCES = {"commercial": "api://AzureADTokenExchange", "gcc-high": "api://AzureADTokenExchangeUSGov"}
CLIENT, OBJECT = "88888888-8888-4888-8888-888888888888", "the-object-id"
ISSUER = f"https://login.microsoftonline.com/{IDS['tenant_id']}/v2.0"


class Login:
    """Entra under Microsoft's name, and nothing else."""

    refuse = staticmethod(error_reply)

    def __init__(self, app: App) -> None:
        self.faults = Faults(("discovery", "token"))
        self._entra = Entra([app], (DEFAULT_RESOURCE,))

    def route(self, request: Request) -> Route | Reply:
        if request.path.endswith("/discovery/instance"):  # MSAL asks for other names of the host
            return json_reply(200, {"tenant_discovery_endpoint": "", "metadata": []})
        return self._entra.route(request) or error_reply(404, "NotFound", "no such page")


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[ManagedIdentity]:
    """A process in a Function with a user-assigned identity."""
    with ManagedIdentity({CLIENT: OBJECT, None: "the-system"}, issuer=ISSUER) as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake


def trusting(identity: ManagedIdentity, cloud: str, **change: str) -> App:
    """The connector's application, which trusts the identity instead of a secret."""
    trust = {"issuer": identity.issuer, "subject": OBJECT, "audience": AUDIENCES[cloud], **change}
    return App(
        IDS["tenant_id"],
        IDS["app_id"],
        "",
        federated=(FederatedCredential(**trust, key=identity.public_key),),
    )


def token(app: App, directory: Path, credential: CredentialRef, cloud: str = "commercial") -> str:
    """The connector's token, from Entra under its real name behind a proxy."""
    server = LoopbackServer(Login(app), directory=directory / "tls", names=(LOGINS[cloud],))
    with server, Tunnel((LOGINS[cloud],), int(server.url.rpartition(":")[2])) as proxy:
        made = profiles.parse(profiles.shipped_text("leaver-prediction"), "p").connector
        connector = replace(
            made,
            **IDS,
            cloud=cloud,
            credential=credential,
            proxy=proxy.url,
            ca_file=str(server.ca_file),
        )
        return tokens(Connection("p", connector)).token()


def tokens(connection: Connection) -> TokenSource:
    """The tokens of a connection whose credential is read from where it says."""
    at = connection.connector.credential
    return connections.service(connection, lambda: credentials.read(at.kind, at.name, {}, READERS)).tokens


@pytest.mark.parametrize("cloud", LOGINS)
def test_a_managed_identity_signs_in_for_the_application(
    tmp_path: Path, azure: ManagedIdentity, cloud: str
) -> None:
    """Its token, for the audience of the cloud, is the client assertion."""
    app = trusting(azure, cloud)
    assert token(app, tmp_path, CredentialRef("managed_identity", CLIENT), cloud).startswith("emulated.")
    assert azure.issued == [(CLIENT, AUDIENCES[cloud])]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "https://issuer.example"}, "AADSTS700211.*Federated credentials"),
        ({"subject": "another"}, r"AADSTS700213.*object \(principal\) ID"),
        ({"audience": "api://other"}, "AADSTS700212.*audience"),
    ],
    ids=["issuer", "subject", "audience"],
)
def test_an_identity_that_the_application_does_not_trust_is_explained(
    tmp_path: Path, azure: ManagedIdentity, change: dict[str, str], said: str
) -> None:
    """The error has Entra's code and what to compare; it needs a person, and shows no token."""
    app = trusting(azure, "commercial", **change)
    with pytest.raises(TokenTrouble, match=said) as refused:
        token(app, tmp_path, CredentialRef("managed_identity", CLIENT))
    assert not refused.value.wait
    assert "eyJ" not in str(refused.value)


def test_a_missing_identity_is_a_credential_error(tmp_path: Path, azure: ManagedIdentity) -> None:
    """MSAL's callback does not turn it into a fault of the network."""
    reference = CredentialRef("managed_identity", "77777777-7777-4777-8777-777777777777")
    with pytest.raises(CredentialError, match="no token of the managed identity"):
        token(trusting(azure, "commercial"), tmp_path, reference)


def token_file(path: Path, issuer: ManagedIdentity, audience: str = AUDIENCES["commercial"]) -> str:
    """A token in a file, as Kubernetes projects it: others in the container may read it."""
    path.write_text(issuer.issue(CLIENT, audience))
    path.chmod(0o644)
    return str(path)


def test_a_workload_identity_signs_in_for_the_application(tmp_path: Path, azure: ManagedIdentity) -> None:
    """The file is read for each request, as Kubernetes replaces it."""
    place = token_file(tmp_path / "token", azure)
    app = trusting(azure, "commercial")
    assert token(app, tmp_path, CredentialRef("workload_identity", place)).startswith("emulated.")
    read = credentials.read("workload_identity", place, {}).reveal()
    assert callable(read)
    Path(place).write_text("renewed\n")
    assert read("any") == "renewed"


@pytest.mark.parametrize("mode", [0o666, 0o622])
def test_a_token_file_that_others_may_change_is_refused(
    tmp_path: Path, azure: ManagedIdentity, mode: int
) -> None:
    """Whoever writes it decides who signs in."""
    place = token_file(tmp_path / "token", azure)
    Path(place).chmod(mode)
    with pytest.raises(CredentialError, match="other users may change"):
        token(trusting(azure, "commercial"), tmp_path, CredentialRef("workload_identity", place))


@pytest.mark.parametrize("content", ["", "a\nb", "\xe9"], ids=["empty", "lines", "bytes"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    """It is named, and its content is not shown."""
    (tmp_path / "token").write_text(content)
    read = credentials.read("workload_identity", str(tmp_path / "token"), {}).reveal()
    assert callable(read)
    with pytest.raises(CredentialError, match="token") as refused:
        read("any")
    assert content == "" or content not in str(refused.value)


@pytest.mark.parametrize("kind", ["managed_identity", "workload_identity"])
def test_an_emulator_gets_no_token_of_an_identity(tmp_path: Path, azure: ManagedIdentity, kind: str) -> None:
    """A forged address of an emulator would otherwise get a token that Entra accepts."""
    place = CLIENT if kind == "managed_identity" else token_file(tmp_path / "token", azure)
    azure.issued.clear()
    made = profiles.parse(profiles.shipped_text("leaver-prediction"), "p").connector
    connector = replace(made, **IDS, credential=CredentialRef(kind, place))
    with pytest.raises(CredentialError, match="not made by an emulator"):
        tokens(Connection("p", connector, "https://127.0.0.1:1")).token()
    assert azure.issued == []


@pytest.mark.parametrize("kind", ["managed_identity", "workload_identity"])
def test_the_command_checks_and_explains(tmp_path: Path, azure: ManagedIdentity, kind: str) -> None:
    """`credential check` asks for a token, never shows it, and says what only a sign-in shows."""
    place = CLIENT if kind == "managed_identity" else token_file(tmp_path / "token", azure)
    made = profile_with(tmp_path, kind, place)
    done = irmexport("credential", "check", "-p", made, **azure.environment())
    assert done.returncode == 0, done.stderr
    assert "readable token of a federated credential" in done.stdout
    assert "irmexport doctor" in done.stdout
    assert "eyJ" not in done.stdout + done.stderr
    stored = irmexport("credential", "set", "-p", made, stdin="x")
    assert "there is nothing to store" in stored.stderr


def test_the_name_of_an_identity_is_checked(tmp_path: Path) -> None:
    """Microsoft lets an application trust user-assigned identities only, so `system` is refused."""
    for name, said in (("system", "cannot trust a system-assigned"), ("x", "not a valid reference")):
        done = irmexport("credential", "check", "-p", profile_with(tmp_path, "managed_identity", name))
        assert done.returncode == 2
        assert said in done.stderr
