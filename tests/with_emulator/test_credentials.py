"""Every credential store with the real libraries: read, use for a token, warn before expiry."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from irmcli.credential_stores import READERS
from irmcli.emulator.launch import job_of
from irmcore import profile as profiles
from irmcore.delivery import connection as connections
from irmcore.errors import CredentialError
from irmcore.http import credentials
from irmcore.profile import CredentialRef
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App

from tests.fakes.certificates import self_signed_certificate
from tests.fakes.key_vault import HOST, KeyVault

ROOT = Path(__file__).parents[2]
SECRET = "Zq8~hunter2.Z-9_x"
IDS = {
    "job_id": "11111111-1111-4111-8111-111111111111",
    "tenant_id": "22222222-2222-4222-8222-222222222222",
    "app_id": "33333333-3333-4333-8333-333333333333",
}


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    """A client's key and certificate."""
    return self_signed_certificate()


def private(path: Path, data: str | bytes) -> str:
    """A file of mode 0600."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(0o600)
    return str(path)


def profile_with(tmp_path: Path, kind: str, name: str) -> str:
    """A profile file whose credential is this one."""
    text = profiles.shipped_text("leaver-prediction")
    text = text.replace("{env: IRMEXPORT_SECRET}", "{" + f"{kind}: {json.dumps(name)}" + "}")
    (tmp_path / "p.yaml").write_text(text)
    return str(tmp_path / "p.yaml")


def irmexport(*args: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process with this environment."""
    return subprocess.run(
        [Path(sys.executable).with_name("irmexport"), *args],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def token_with(kind: str, path: str, app: App) -> str:
    """A token that MSAL gets from the emulator with the credential at ``path``."""
    made = profiles.parse(profiles.shipped_text("leaver-prediction"), "p")
    connector = replace(made.connector, **IDS, credential=CredentialRef(kind, path))
    with PurviewEmulator([app], [job_of(made.at(connector))], lifetime=60) as running:
        connection = connections.Connection("p", connector, running.url, str(running.ca_file))
        service = connections.service(connection, lambda: credentials.read(kind, path, {}, READERS))
        return service.tokens.token()


def app_with(*known: str) -> App:
    """An application with these certificates and no secret."""
    return App(IDS["tenant_id"], IDS["app_id"], "", certificates=known)


def test_a_certificate_signs_in(tmp_path: Path, pair: tuple[str, str]) -> None:
    """MSAL signs with the file's key, and the token endpoint verifies it with the registered certificate."""
    path = private(tmp_path / "both.pem", pair[1] + pair[0])
    assert token_with("certificate", path, app_with(pair[1])).startswith("emulated.")


def test_a_certificate_that_is_not_registered_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    """The error has Entra's code and the next step, and nothing of the key."""
    path = private(tmp_path / "both.pem", pair[0] + pair[1])
    with pytest.raises(Exception, match=r'AADSTS700027.*upload it under "Certificates') as caught:
        token_with("certificate", path, app_with(self_signed_certificate()[1]))
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize("password", [None, "p4ssword"])
@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_every_format_of_a_certificate_file(
    tmp_path: Path, pair: tuple[str, str], form: str, password: str | None
) -> None:
    """PEM and PFX, with and without a password, give the same certificate and expiry date."""
    key = serialization.load_pem_private_key(pair[0].encode(), None)
    found = x509.load_pem_x509_certificate(pair[1].encode())
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        lock = serialization.BestAvailableEncryption(password.encode())
    if form == "pem":
        data = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        data += pair[1].encode()
    else:
        data = pkcs12.serialize_key_and_certificates(b"x", key, found, None, lock)  # type: ignore[arg-type]
    place = private(tmp_path / f"client.{form}", data)
    environment = {"IRMEXPORT_CERTIFICATE_PASSWORD": password} if password else {}
    read = credentials.read("certificate", place, environment, READERS)
    assert read.expires == found.not_valid_after_utc.timestamp()
    assert read.reveal() == {"private_key": pair[0], "public_certificate": pair[1]}
    assert "PRIVATE" not in repr(read)
    if password:
        with pytest.raises(CredentialError, match="no readable certificate with its private key"):
            credentials.read("certificate", place, {}, READERS)


def test_an_invalid_certificate_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    """A missing or foreign certificate, an elliptic key, an expired one, a file that others can read."""
    other = self_signed_certificate()
    elliptic, ended = self_signed_certificate(elliptic=True), self_signed_certificate(-1)
    for text, said in [
        (pair[0], "no readable certificate with its private key"),
        (pair[0] + other[1], "no readable certificate with its private key"),
        ("nothing", "no readable certificate with its private key"),
        ("".join(elliptic), "is not RSA"),
        ("".join(ended), "expired on"),
    ]:
        place = private(tmp_path / "c.pem", text)
        with pytest.raises(CredentialError, match=said):
            credentials.read("certificate", place, {}, READERS)
    Path(place).chmod(0o644)
    with pytest.raises(CredentialError, match="other users may read"):
        credentials.read("certificate", place, {}, READERS)


def test_a_certificate_that_expires_soon_is_reported(tmp_path: Path) -> None:
    """`credential check` prints the date and exits with 4, or with 0 if it is far away."""
    for days, code in ((10.5, 4), (300, 0)):
        place = private(tmp_path / "c.pem", "".join(self_signed_certificate(days)))
        done = irmexport("credential", "check", "-p", profile_with(tmp_path, "certificate", place))
        assert done.returncode == code, done.stderr
        assert ("expires in 10 days" in done.stderr) == (code == 4)
        assert "It expires on 20" in done.stdout


@pytest.fixture
def vault(tmp_path: Path, pair: tuple[str, str]) -> Iterator[KeyVault]:
    """A vault with a secret without expiry date, one that expires soon, and a certificate with its key."""
    now = int(time.time())
    secrets = {
        "lasting": {"value": SECRET, "attributes": {"enabled": True, "created": now, "updated": now}},
        "ending": {"value": SECRET, "attributes": {"enabled": True, "exp": now + 86_400 * 5 + 60}},
        "signed": {
            "value": "".join(pair),
            "contentType": "application/x-pem-file",
            "attributes": {"enabled": True, "exp": now + 86_400 * 100},
        },
        "packed": {
            "value": base64.b64encode(b"nothing").decode(),
            "contentType": "application/x-pkcs12",
            "attributes": {"enabled": True},
        },
    }
    for name, found in secrets.items():
        found["id"] = f"https://{HOST}/secrets/{name}/{'0' * 32}"
    with KeyVault(tmp_path, secrets) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("lasting", 0, "readable client secret\nIts expiry date is not known here"),
        ("ending", 4, "the credential expires in 5 days"),
        ("signed", 0, "readable certificate\nIt expires on 20"),
        ("packed", 2, "no readable certificate with its private key"),
        ("missing", 2, "the vault has no secret with this name"),
    ],
)
def test_azure_key_vault(tmp_path: Path, vault: KeyVault, name: str, code: int, said: str) -> None:
    """Azure's own client signs in, answers the vault's challenge, and reads secret and expiry date."""
    made = profile_with(tmp_path, "key_vault", f"https://{HOST}/secrets/{name}")
    done = irmexport("credential", "check", "-p", made, **vault.environment())
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert vault.vault.requests[0].startswith(f"/secrets/{name}/")


def test_a_vault_that_refuses_says_what_to_check(tmp_path: Path, vault: KeyVault) -> None:
    """A 403 names the role and the firewall; a vault that cannot be reached names the network."""
    made = profile_with(tmp_path, "key_vault", f"https://{HOST}/secrets/lasting")
    vault.faults.until_cleared(Fault("secret", status=403))
    refused = irmexport("credential", "check", "-p", made, **vault.environment())
    assert refused.returncode == 2
    assert "Key Vault Secrets User" in refused.stderr
    assert "The words of the service" not in refused.stderr


def test_the_system_keyring(tmp_path: Path) -> None:
    """A secret that `credential set` reads from standard input is read back; no command prints it."""
    made = profile_with(tmp_path, "keyring", "irmexport/leavers")
    environment = {
        "PYTHON_KEYRING_BACKEND": "tests.fakes.keyring_file.FileKeyring",
        "PYTHONPATH": str(ROOT),
        "IRMEXPORT_TEST_KEYRING": str(tmp_path / "entries.json"),
    }
    missing = irmexport("credential", "check", "-p", made, **environment)
    assert missing.returncode == 2
    assert "irmexport credential set" in missing.stderr
    done = irmexport("credential", "set", "-p", made, stdin=f"{SECRET}\n", **environment)
    assert done.returncode == 0, done.stderr
    read = irmexport("credential", "check", "-p", made, **environment)
    assert "readable client secret" in read.stdout
    assert json.loads((tmp_path / "entries.json").read_text()) == {"irmexport leavers": SECRET}
    assert SECRET not in done.stdout + done.stderr + read.stdout + read.stderr
    (tmp_path / "entries.json").write_text("locked")
    locked = irmexport("credential", "check", "-p", made, **environment)
    assert "cannot be used (KeyringLocked)" in locked.stderr
    assert "the words of a backend" not in locked.stderr


def test_a_certificate_in_the_system_keyring(tmp_path: Path, pair: tuple[str, str]) -> None:
    """Certificate and key are stored together from standard input; one without the other is refused."""
    made = profile_with(tmp_path, "keyring", "irmexport/leavers")
    environment = {
        "PYTHON_KEYRING_BACKEND": "tests.fakes.keyring_file.FileKeyring",
        "PYTHONPATH": str(ROOT),
        "IRMEXPORT_TEST_KEYRING": str(tmp_path / "entries.json"),
    }
    half = irmexport("credential", "set", "-p", made, stdin=pair[0], **environment)
    assert "no readable certificate with its private key" in half.stderr
    done = irmexport("credential", "set", "-p", made, stdin="".join(pair), **environment)
    assert done.returncode == 0, done.stderr
    read = irmexport("credential", "check", "-p", made, **environment)
    assert "readable certificate\nIt expires on 20" in read.stdout
    assert "PRIVATE" not in done.stdout + read.stdout + read.stderr + half.stderr


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("keyring.backends.fail.Keyring", "NoKeyringError"),
        ("no_such_module.Keyring", "ModuleNotFoundError"),
        ("json.Keyring", "AttributeError"),
    ],
)
def test_a_machine_without_a_keyring_says_so(tmp_path: Path, backend: str, said: str) -> None:
    """A missing keyring or a missing backend is an error with a next step."""
    made = profile_with(tmp_path, "keyring", "irmexport/leavers")
    done = irmexport("credential", "check", "-p", made, PYTHON_KEYRING_BACKEND=backend)
    assert done.returncode == 2
    assert f"cannot be used ({said})" in done.stderr


def test_a_secret_is_stored_in_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    """`credential set` creates the file with mode 0600 and replaces an older one atomically."""
    place = private(tmp_path / "secret", "old")
    made = profile_with(tmp_path, "file", place)
    assert irmexport("credential", "set", "-p", made, stdin=SECRET).returncode == 0
    assert Path(place).read_text() == f"{SECRET}\n"
    assert Path(place).stat().st_mode & 0o777 == 0o600
    empty = irmexport("credential", "set", "-p", made, stdin="\n")
    assert empty.returncode == 2
    assert Path(place).read_text() == f"{SECRET}\n"


@pytest.mark.parametrize("place", ["a-folder", "no-folder/secret", "a-file/secret"])
def test_a_secret_that_cannot_be_stored_leaves_no_file(tmp_path: Path, place: str) -> None:
    """If the file cannot be written, the error has its path, and no other file holds the secret."""
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "a-file").write_text("x")
    made = profile_with(tmp_path, "file", str(tmp_path / place))
    done = irmexport("credential", "set", "-p", made, stdin=SECRET)
    assert done.returncode == 2
    assert f"{tmp_path / place}: the credential file cannot be written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-file", "a-folder", "p.yaml"]


def test_a_secret_must_be_utf_8(tmp_path: Path) -> None:
    """Other bytes are refused, and a byte order mark is removed."""
    made = profile_with(tmp_path, "file", str(tmp_path / "secret"))
    words = [Path(sys.executable).with_name("irmexport"), "credential", "set", "-p", made]
    done = subprocess.run(words, input=b"\xff\xfe\0", capture_output=True, check=False, timeout=100)
    assert done.returncode == 2
    assert b"not UTF-8 text" in done.stderr
    subprocess.run(words, input=b"\xef\xbb\xbf" + SECRET.encode(), check=True, timeout=100)
    assert (tmp_path / "secret").read_text() == f"{SECRET}\n"


def test_a_store_that_irmexport_does_not_write_to_names_its_own_tool(tmp_path: Path) -> None:
    """For a vault, a variable and a certificate, the error names the command to use."""
    made = profile_with(tmp_path, "key_vault", f"https://{HOST}/secrets/s")
    done = irmexport("credential", "set", "-p", made, stdin=SECRET)
    assert done.returncode == 2
    assert "az keyvault secret set" in done.stderr


def test_a_vault_that_is_hostile(tmp_path: Path, vault: KeyVault) -> None:
    """No redirect is followed, no answer without end read, no wait of days kept, and no word of it shown."""
    made = profile_with(tmp_path, "key_vault", f"https://{HOST}/secrets/lasting")
    bomb = gzip.compress(json.dumps({"value": SECRET}).encode() + b" " * 2 * 1024 * 1024)
    replies = {
        "HTTP 302": Fault("secret", status=302, location=f"https://{HOST}/secrets/ending/elsewhere"),
        "Azure Key Vault cannot be": Fault(
            "secret", status=200, body=bomb, headers=(("Content-Encoding", "gzip"),)
        ),
        "cannot be reached (WaitError)": Fault("secret", status=429, retry_after=100_000),
        "denied access": Fault("secret", status=403, body=f'{{"error": {{"code": "{SECRET}"}}}}'),
    }
    for said, fault in replies.items():
        vault.faults.clear()
        vault.faults.until_cleared(fault)
        done = irmexport("credential", "check", "-p", made, **vault.environment())
        assert said in done.stderr, said
        assert SECRET not in done.stdout + done.stderr
    assert not any("elsewhere" in path for path in vault.vault.requests)
