"""The client secret is read from where the profile says, never shown, and refused if others may read it."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest
from irmcore.errors import CredentialError
from irmcore.http.credentials import Secret, read

SECRET = "Zq8~hunter2.Z-9_x"


def refused(kind: str, name: str, environment: dict[str, str] | None = None) -> str:
    """The message when no secret can be read there, which never contains the secret."""
    with pytest.raises(CredentialError) as caught:
        read(kind, name, environment or {})
    assert SECRET not in "".join(traceback.format_exception(None, caught.value, caught.tb))
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the secret that only its owner may read."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_secret_shows_itself_nowhere() -> None:
    """Only ``reveal`` returns the text; printing never does."""
    secret = Secret(SECRET)
    assert secret.reveal() == SECRET
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", "{}".format(secret), repr([secret])]  # noqa: UP032
    assert not any("hunter2" in text for text in shown)
    assert repr(secret) == "Secret(\u2026)"
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("value", [SECRET, f"  {SECRET}\n", f"{SECRET}\r\n"])
def test_a_secret_in_the_environment(value: str) -> None:
    """The secret is the variable's value without surrounding white space."""
    assert read("env", "NAME", {"NAME": value}).reveal() == SECRET


def test_the_environment_is_the_one_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the process itself is not read."""
    monkeypatch.setenv("NAME", SECRET)
    assert refused("env", "NAME") == (
        "the environment variable NAME is not set. "
        "Set it to the client secret's value, or name a file in the profile's `credential`."
    )


EMPTY = (
    "{}: the credential is empty or has more than one line. "
    "Store the client secret's value there, and nothing else."
)


@pytest.mark.parametrize(
    "value", ["", " \n", f"{SECRET}\nmore", f"{SECRET}\rmore", f"client_secret:\n{SECRET}"]
)
def test_what_is_no_secret(value: str, tmp_path: Path) -> None:
    """An empty text or several lines are refused, in the environment and in a file."""
    assert refused("env", "NAME", {"NAME": value}) == EMPTY.format("env NAME")
    path = tmp_path / "secret"
    path.write_text(value, encoding="utf-8")
    path.chmod(0o600)
    assert refused("file", str(path)) == EMPTY.format(f"file {path}")


def test_a_reference_to_key_vault_that_azure_left_unresolved() -> None:
    """It is not sent as if it were the secret."""
    value = " @Microsoft.KeyVault(SecretUri=https://vault.vault.azure.net/secrets/connector)"
    refusal = refused("env", "NAME", {"NAME": value})
    assert refusal.startswith("env NAME: Azure has not resolved the reference")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_the_owner_alone(mode: int, file: Path) -> None:
    """A file that only its owner may read is accepted."""
    file.chmod(mode)
    assert read("file", str(file), {}).reveal() == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o610, 0o601, 0o777])
def test_a_file_that_others_may_open(mode: int, file: Path) -> None:
    """A file that others may read, write or run is refused with its mode, unread."""
    file.chmod(mode)
    assert refused("file", str(file)) == (
        f"{file}: other users may read the credential file (mode {mode:04o}). "
        f"Check what it holds, then run: chmod 600 {file}"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user(file: Path) -> None:
    """A file that belongs to neither this user nor root is refused, as its owner may read and change it."""
    os.chown(file, 12345, -1)
    said = refused("file", str(file))
    assert said.startswith(f"{file}: the credential file belongs to another user (uid 12345)")
    assert f"chown {os.geteuid()} {file}" in said


def test_a_symbolic_link(file: Path, tmp_path: Path) -> None:
    """A link, as Kubernetes mounts secrets, is followed, and its target is checked."""
    link = tmp_path / "link"
    link.symlink_to(file)
    assert read("file", str(link), {}).reveal() == SECRET
    file.chmod(0o644)
    assert "(mode 0644)" in refused("file", str(link))


def test_a_byte_order_mark_is_not_part_of_the_secret(file: Path) -> None:
    """A BOM that an editor wrote is not part of the secret."""
    file.write_text(SECRET, encoding="utf-8-sig")
    assert read("file", str(file), {}).reveal() == SECRET


def test_the_home_directory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that begins with ~ is in the user's home directory."""
    monkeypatch.setenv("HOME", str(file.parent))
    assert read("file", "~/secret", {}).reveal() == SECRET


STEP = "Check the path in the profile's `credential`, and that this user may read the file."


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a directory, a binary file and an invalid path are each refused with a reason."""
    missing = tmp_path / "missing"
    assert refused("file", str(missing)) == (
        f"{missing}: the credential file cannot be read (No such file or directory). {STEP}"
    )
    assert refused("file", str(tmp_path)) == (
        f"{tmp_path}: the credential file cannot be read (Is a directory). {STEP}"
    )
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe" + SECRET.encode("utf-16-le"))
    binary.chmod(0o600)
    assert refused("file", str(binary)) == f"{binary}: the credential file cannot be read (not text). {STEP}"
    assert refused("file", "/a\0b") == f"/a\0b: the credential file cannot be read (not text). {STEP}"


def test_an_unknown_place() -> None:
    """An unknown kind of store is refused, and the message lists the known ones."""
    known = "env, file, workload_identity"
    assert (
        refused("vault", "x") == f"this program cannot read a credential from `vault`. Use one of: {known}."
    )
