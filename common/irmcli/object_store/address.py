"""The address of a store, ``az://ACCOUNT/CONTAINER/PREFIX`` or ``s3://BUCKET/PREFIX``, as a checked value.

An account is a name, or a full host name of another Azure cloud. ``?endpoint=URL`` leads to a service that
speaks S3, or to an emulator on this machine; ``?region=NAME`` names a region of AWS. Nothing is sent without
TLS, except to an emulator on the loopback interface. An address contains no secret.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, urlsplit

from irmcore.errors import ConfigurationError
from irmcore.store.store import check_key

#: Blob Storage in each Azure cloud; the first is where an account without a domain is.
BLOB_HOSTS = ("blob.core.windows.net", "blob.core.usgovcloudapi.net", "blob.core.chinacloudapi.cn")

_EXAMPLES = {"az": "az://ACCOUNT/CONTAINER/PREFIX", "s3": "s3://BUCKET/PREFIX?region=REGION"}
# learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftstorage
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
# docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"(?=.{3,63}$)[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*(?<!-)")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_OPTIONS = {"az": {"endpoint"}, "s3": {"endpoint", "region"}}


@dataclass(frozen=True)
class Address:
    """Where a store is. ``kind`` is az or s3; ``account`` is empty for s3, ``region`` if it is not given.

    ``container`` is a container or a bucket. ``endpoint`` is ``https://host[:port]`` without a path, or empty
    for that of AWS.
    """

    kind: str
    account: str
    container: str
    prefix: str
    endpoint: str
    region: str = ""

    @property
    def emulated(self) -> bool:
        """Whether it is on this machine."""
        return bool(self.endpoint) and _is_loopback(urlsplit(self.endpoint).hostname or "")

    def __str__(self) -> str:
        return f"{self.kind}://" + "/".join(filter(None, (self.account, self.container, self.prefix)))


def is_address(text: str) -> bool:
    """Whether ``text`` is meant as an address of a store rather than as a directory."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.lower() in _EXAMPLES


def parse(text: str) -> Address:
    """The address in ``text``. Raises ConfigurationError, which never repeats what could be a secret."""
    scheme = text.partition("://")[0]
    if scheme not in _EXAMPLES:
        raise _wrong("an address of a store begins with az:// or s3://", "az", "--outbox")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("this is not a URL", scheme) from None
    if "@" in parts.netloc:
        raise _wrong("an address has no user name, key or password", scheme)
    if port is not None or parts.fragment:
        raise _wrong("an address has neither a port nor a #", scheme)
    options = _options(parts)
    return _azure(parts, options) if scheme == "az" else _s3(parts, options)


def _azure(parts: SplitResult, options: dict[str, str]) -> Address:
    account, _, domain = parts.netloc.partition(".")
    container, prefix = _path(parts)
    _check(_ACCOUNT, account, "the account's name has 3 to 24 lower-case letters and digits", "az")
    if domain and domain not in BLOB_HOSTS:
        raise _wrong(f"an account's host name ends with {', '.join(BLOB_HOSTS)}", "az", domain)
    if not container:
        raise _wrong("the container is missing", "az", f"az://{parts.netloc}")
    _check(
        _CONTAINER, container, "a container's name has 3 to 63 lower-case letters, digits and single -", "az"
    )
    endpoint = _endpoint(options, "az")
    if endpoint and not _is_loopback(urlsplit(endpoint).hostname or ""):
        raise _wrong(
            "only an emulator on this machine has an endpoint; another cloud is named by its host",
            "az",
            "endpoint",
        )
    return Address(
        "az", account, container, prefix, endpoint or f"https://{account}.{domain or BLOB_HOSTS[0]}"
    )


def _s3(parts: SplitResult, options: dict[str, str]) -> Address:
    bucket, prefix = parts.netloc, parts.path.strip("/")
    _check(_BUCKET, bucket, "a bucket's name has 3 to 63 lower-case letters, digits, . and -", "s3")
    if bucket.endswith("--x-s3"):
        raise _wrong(
            "a directory bucket does not list its keys in order; use a general purpose one", "s3", bucket
        )
    region = options.get("region", "")
    if region:
        _check(_REGION, region, "a region is a name such as eu-central-1", "s3")
    return Address("s3", "", bucket, _prefix(prefix, "s3"), _endpoint(options, "s3"), region)


def _path(parts: SplitResult) -> tuple[str, str]:
    container, _, prefix = parts.path.strip("/").partition("/")
    return container, _prefix(prefix, parts.scheme)


def _prefix(prefix: str, kind: str) -> str:
    try:
        return check_key(prefix) if prefix else ""
    except ValueError:
        raise _wrong("a prefix has lower-case letters, digits, . _ - and single /", kind, "prefix") from None


def _options(parts: SplitResult) -> dict[str, str]:
    options = parse_qs(parts.query, keep_blank_values=True)
    known = _OPTIONS[parts.scheme]
    if set(options) - known:
        names = " and ".join(sorted(known))
        # Not the unknown name: it could be a part of a signature (SAS), which is a secret.
        raise _wrong(f"the only options of this address are {names}; it takes no signature", parts.scheme)
    if any(len(values) > 1 for values in options.values()):
        raise _wrong("an option is given twice", parts.scheme)
    return {name: values[0] for name, values in options.items()}


def _endpoint(options: dict[str, str], kind: str) -> str:
    if "endpoint" not in options:
        return ""
    try:
        parts = urlsplit(options["endpoint"])
        plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
        good = bool(parts.hostname) and plain and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise _wrong("an endpoint is https://HOST or https://HOST:PORT", kind, "endpoint")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise _wrong(
            "an endpoint begins with https://; only an emulator on this machine may use http://",
            kind,
            "endpoint",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(pattern: re.Pattern[str], text: str, what: str, kind: str) -> None:
    if not pattern.fullmatch(text):
        raise _wrong(what, kind)


def _wrong(what: str, kind: str, where: str = "") -> ConfigurationError:
    return ConfigurationError(what, where=where or kind, next_step=f"Write {_EXAMPLES[kind]}.")
