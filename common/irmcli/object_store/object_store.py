"""The store on Azure Blob Storage or S3, through obstore.

Every request ends at a deadline, goes through verified TLS and is never repeated by the client. The identity
is what azure-identity finds, or AWS's environment variables and instance roles; no account key is needed.
IRMEXPORT_PROXY sets a proxy (without it, HTTPS_PROXY applies), and IRMEXPORT_CA_FILE a private CA, beside the
built-in authorities. Not tested against Azure or AWS: the tests run Azurite and moto.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import obstore
from azure.core.credentials import TokenCredential
from irmcore.errors import ConfigurationError
from irmcore.store.store import check_key, check_prefix, check_value
from irmsentinel.azure import identity
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.identity import Identity
from obstore.exceptions import BaseError
from obstore.store import AzureStore, S3Store

from irmcli.credential_stores import READERS
from irmcli.object_store import failures
from irmcli.object_store.address import BLOB_HOSTS, Address

#: Seconds for one request and its whole answer.
DEADLINE = 30.0
#: Keys that one call of obstore returns: a page of both services.
_PAGE = 1_000
SCOPE = "https://storage.azure.com/.default"
_CLOUDS = dict(zip(BLOB_HOSTS, ("public", "us-government", "china"), strict=True))
ERRORS = (BaseError, OSError)


class ObjectStore:
    """An :class:`irmcore.store.Store` at an address. Usable by several threads at once."""

    def __init__(
        self,
        address: Address,
        environment: Mapping[str, str],
        *,
        credential: Callable[[], TokenCredential] | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """``credential`` makes Azure's; by default azure-identity looks for one. Nothing is sent yet.

        Raises ConfigurationError if the CA file cannot be read, or the region is unknown.
        """
        self._address = address
        make = credential or credential_of(address, environment)
        self._store = connect(address, environment, make() if address.kind == "az" else None, deadline)

    def __repr__(self) -> str:
        return f"ObjectStore({str(self._address)!r})"

    def create(self, key: str, value: bytes) -> bool:
        check_key(key)
        check_value(value)
        try:
            # Not in parts: only one whole request is atomic and exclusive.
            obstore.put(self._store, key, value, mode="create", use_multipart=False)
        except ERRORS as error:
            if failures.means_exists(error):
                return False
            raise failures.translate(error, "create", self._address) from None
        return True

    def get(self, key: str) -> bytes | None:
        check_key(key)
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except ERRORS as error:
            if failures.means_absent(error):
                return None
            raise failures.translate(error, "get", self._address) from None

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        check_prefix(prefix)
        try:
            pages = obstore.list(self._store, prefix or None, offset=after or None, chunk_size=_PAGE)
            for page in pages:
                # Azurite ignores the offset, and Azure's is inclusive.
                yield from (found["path"] for found in page if found["path"] > after)
        except ERRORS as error:
            raise failures.translate(error, "keys", self._address) from None

    def delete(self, key: str) -> None:
        check_key(key)
        try:
            obstore.delete(self._store, key)
        except ERRORS as error:
            if not failures.means_absent(error):
                raise failures.translate(error, "delete", self._address) from None


def credential_of(
    address: Address, environment: Mapping[str, str], who: Identity | None = None
) -> Callable[[], TokenCredential]:
    """What makes a credential for Azure: by default the one that azure-identity finds."""
    return identity.maker(who or Identity(), _cloud(address), environment, READERS)


def connect(
    address: Address, environment: Mapping[str, str], credential: TokenCredential | None, deadline: float
) -> AzureStore | S3Store:
    """Obstore's client; ``credential`` is for Azure. Sends nothing. Raises as `ObjectStore`."""
    options = _client_options(address, Network.of(environment), deadline)
    try:
        if credential is not None:
            return _azure(address, credential, options)
        return _s3(address, environment, options)
    except ERRORS as error:
        raise failures.translate(error, "get", address) from None


def _client_options(address: Address, network: Network, deadline: float) -> Any:
    options: dict[str, Any] = {
        "allow_http": address.emulated and address.endpoint.startswith("http://"),
        "allow_invalid_certificates": False,
        "timeout": datetime.timedelta(seconds=deadline),
        "connect_timeout": datetime.timedelta(seconds=min(10.0, deadline)),
    }
    if network.proxy:
        options["proxy_url"] = network.proxy
    if network.ca_file:
        try:
            options["root_certificate"] = Path(network.ca_file).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"the CA file cannot be read ({error.strerror})",
                where=network.ca_file,
                next_step="Correct IRMEXPORT_CA_FILE.",
            ) from None
    return options


def _cloud(address: Address) -> str:
    return next((cloud for host, cloud in _CLOUDS.items() if address.endpoint.endswith(host)), "public")


def _azure(address: Address, credential: TokenCredential, options: Any) -> AzureStore:
    def token() -> Any:
        found = credential.get_token(SCOPE)
        expires = datetime.datetime.fromtimestamp(found.expires_on, datetime.UTC)
        return {"token": found.token, "expires_at": expires}

    # An emulator has the account in its path. Whatever obstore would read from the environment is given here.
    endpoint = f"{address.endpoint}/{address.account}" if address.emulated else address.endpoint
    return AzureStore(
        address.container,
        prefix=address.prefix or None,
        account_name=address.account,
        endpoint=endpoint,
        use_emulator=False,
        use_fabric_endpoint=False,
        skip_signature=False,
        credential_provider=token,
        client_options=options,
        retry_config={"max_retries": 0},
    )


def _s3(address: Address, environment: Mapping[str, str], options: Any) -> S3Store:
    region = address.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    if not region and not address.endpoint:
        raise ConfigurationError(
            "the region of the bucket is not known",
            where=str(address),
            next_step=f"Write {address}?region=REGION, or set AWS_REGION.",
        )
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return S3Store(
        address.container,
        prefix=address.prefix or None,
        endpoint=address.endpoint or f"https://s3.{region}.{domain}",
        region=region or "us-east-1",
        virtual_hosted_style_request=False,
        conditional_put="etag",
        skip_signature=False,
        client_options=options,
        retry_config={"max_retries": 0},
    )
