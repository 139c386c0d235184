"""The files below an address in Azure Blob Storage or S3, for `watch`: names of any kind, read and moved.

Promised: TLS, deadlines, identity and messages as in `object_store`; a part is read, and a file deleted, only
if it is still the version that was listed (If-Match). Not tested against Azure or AWS: the tests run Azurite
and moto. S3-compatible services that ignore If-Match of a DELETE may delete a file that was replaced in the
moment before.
"""

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import obstore
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest
from irmcore.errors import StoreAway
from irmsentinel.azure.bounded_transport import Network

from irmcli.object_store import failures
from irmcli.object_store.address import Address
from irmcli.object_store.object_store import DEADLINE, ERRORS, SCOPE, connect, credential_of

_VERSION = "2021-12-02"
_DELETED, _CHANGED, _NOT_FOUND = (200, 202, 204), 412, 404
_SIGNED = datetime.timedelta(minutes=5)


class Blob(NamedTuple):
    """A file: its path below the address, its size and its ETag without quotes."""

    path: str
    size: int
    tag: str


class Container:
    """Every method raises StoreAway or StoreRefused."""

    def __init__(
        self,
        address: Address,
        environment: Mapping[str, str],
        *,
        credential: Callable[[], TokenCredential] | None = None,
    ) -> None:
        """As `ObjectStore`. Nothing is sent yet."""
        self._address = address
        self._credential = (
            (credential or credential_of(address, environment))() if address.kind == "az" else None
        )
        self._store = connect(address, environment, self._credential, DEADLINE)
        self._network = Network.of(environment)

    def folder(self, path: str) -> tuple[list[Blob], list[str]]:
        """The files of a folder, and the paths of the folders in it."""
        try:
            found = obstore.list_with_delimiter(self._store, path or None)
        except ERRORS as error:
            raise failures.translate(error, "keys", self._address) from None
        files = [_blob(one) for one in found["objects"] if one["path"] != path]
        return files, list(found["common_prefixes"])

    def find(self, path: str) -> Blob | None:
        """A file; None if there is none."""
        try:
            return _blob(obstore.head(self._store, path))
        except ERRORS as error:
            if failures.means_absent(error):
                return None
            raise failures.translate(error, "get", self._address) from None

    def read(self, blob: Blob, start: int, size: int) -> bytes | None:
        """A part of a file; None if it is gone or changed."""
        options = {"if_match": f'"{blob.tag}"', "range": (start, start + size)}
        try:
            return bytes(obstore.get(self._store, blob.path, options=options).bytes())  # type: ignore[arg-type]
        except ERRORS as error:
            if failures.means_absent(error) or failures.read(error)[0] == _CHANGED:
                return None
            raise failures.translate(error, "get", self._address) from None

    def write(self, path: str, data: bytes | Path) -> None:
        """Create or replace a file, whole or not at all."""
        try:
            obstore.put(self._store, path, data)
        except ERRORS as error:
            raise failures.translate(error, "create", self._address) from None

    def delete(self, blob: Blob) -> bool:
        """Delete a file, unless it changed. Returns whether it was still the same.

        obstore's delete has no condition, so this is a request of its own.
        """
        headers = {"If-Match": f'"{blob.tag}"'}
        if self._credential is None:
            url = obstore.sign(self._store, "DELETE", blob.path, _SIGNED)
        else:
            account = f"/{self._address.account}" if self._address.emulated else ""
            parts = (self._address.container, self._address.prefix, blob.path)
            url = f"{self._address.endpoint}{account}/{quote('/'.join(filter(None, parts)))}"
            token = self._credential.get_token(SCOPE).token
            headers |= {"Authorization": f"Bearer {token}", "x-ms-version": _VERSION}
            headers |= {"x-ms-delete-snapshots": "include"}
        try:
            answer = self._network.transport(DEADLINE).send(HttpRequest("DELETE", url, headers=headers))
        except AzureError:
            raise StoreAway(
                "the store cannot be reached, or did not answer in time",
                where=str(self._address),
                next_step="Check DNS, firewall, IRMEXPORT_PROXY and IRMEXPORT_CA_FILE. Nothing is lost.",
            ) from None
        if answer.status_code in _DELETED:
            return True
        code = answer.headers.get("x-ms-error-code", "")
        if answer.status_code == _NOT_FOUND or (answer.status_code == _CHANGED and "Lease" not in code):
            return False
        error = OSError(f"status code: {answer.status_code} <Code>{code}</Code>")
        raise failures.translate(error, "delete", self._address)


def _blob(found: Mapping[str, object]) -> Blob:
    tag = str(found["e_tag"] or "").removeprefix("W/").strip('"')
    return Blob(str(found["path"]), int(str(found["size"])), tag)
