"""What an error of obstore means to a user: the store is away, or refuses, and why.

obstore has classes for some errors only, and repeats the service's whole reply, so the status and the
service's error code are read from its text. Nothing else of that text is shown: it may contain a token.
"""

import re
from collections.abc import Container
from http import HTTPStatus
from typing import NamedTuple

from irmcore.errors import IrmError, StoreAway, StoreRefused

from irmcli.object_store.address import Address

_STATUS = re.compile(r"status code: (\d{3})|\(code: (\d{3})\)")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
#: Azure deletes in bulk, and its parts of a reply have the message in place of the code.
_MESSAGES = {
    "The specified container does not exist": "ContainerNotFound",
    "not permitted as the blob is immutable due to a policy": "BlobImmutableDueToPolicy",
    # S3 in another region replies with a redirect to nowhere, which obstore does not report as a reply.
    "redirect without LOCATION": "PermanentRedirect",
    "object with invalid path": "InvalidName",  # of obstore, not of a service
}
#: Where obstore gets credentials of AWS: a reply from there says nothing about a bucket or a value.
_CREDENTIALS = re.compile(
    r"Error performing [A-Z]+ (?:https?://(?:169\.254\.|\[fd00:|sts\.)|http://[^/\s]+/latest/(?:api|meta-data)/)"
)
_NO_CREDENTIALS = "NoCredentials"
_SIGN_IN = re.compile(r"External Azure credential provider: (\w{1,60})")
#: How the names of azure-core's errors of the network begin.
_NETWORK_ERRORS = ("ServiceRequest", "ServiceResponse", "IncompleteRead")

_NO_CONTAINER = ("ContainerNotFound", "ContainerBeingDeleted", "NoSuchBucket")

#: Each verb in English, and what it needs on S3. Without the right to list, S3 says 403 in place of 404.
_VERBS = {
    "create": ("write", "s3:PutObject"),
    "get": ("read", "s3:GetObject and s3:ListBucket"),
    "keys": ("list", "s3:ListBucket"),
    "delete": ("delete", "s3:DeleteObject"),
}


class _Rule(NamedTuple):
    """What replies of these statuses or codes mean. The words in braces are filled in by ``translate``."""

    statuses: Container[int]
    codes: Container[str]
    kind: type[StoreAway | StoreRefused]
    what: str
    next_step: str


_BUSY = (429, 503)
_LATER = "Nothing is lost. Try again in some minutes."
_SIGN_IN_FAILED = _Rule(
    (401,),
    (
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
        "InvalidAccessKeyId",
        "ExpiredToken",
        _NO_CREDENTIALS,
    ),
    StoreRefused,
    "signing in to the store failed",
    "Give this machine a managed identity or role, run `az login`, or set AZURE_CLIENT_ID or "
    "AWS_ACCESS_KEY_ID and so on.",
)
_UNREACHABLE = _Rule(
    (0,),
    (),
    StoreAway,
    "the store cannot be reached, or did not answer in time",
    "Check DNS, firewall, IRMEXPORT_PROXY and IRMEXPORT_CA_FILE. Nothing is lost; then try again.",
)
#: The first that has the status or the code counts.
_RULES = (
    _Rule(
        (),
        _NO_CONTAINER,
        StoreRefused,
        "the {thing} {name} does not exist",
        "Create it, or correct the address. irmexport never creates a {thing}.",
    ),
    _Rule(
        (),
        ("BlobImmutableDueToPolicy", "AccessDeniedByObjectLock"),
        StoreRefused,
        "a policy of immutable storage does not let irmexport {verb}",
        "Use a {thing} without such a policy. Nothing was changed.",
    ),
    _SIGN_IN_FAILED,
    _Rule(
        (),
        ("InvalidName",),
        StoreRefused,
        "a name in the {thing} has an empty part (a//b), or a character that irmexport cannot read",
        "List the names below this address, and rename or delete that file. It hides the others.",
    ),
    _Rule((403,), (), StoreRefused, "the identity may not {verb}", "{allow}"),
    _Rule(_BUSY, (), StoreAway, "the store is busy", _LATER),
    _Rule((408, 409, *range(500, 600)), (), StoreAway, "the store could not {verb}", _LATER),
    _Rule(
        range(300, 500),
        ("PermanentRedirect",),
        StoreRefused,
        "the store refused to {verb}",
        "Check the address, the endpoint and the region.",
    ),
    _UNREACHABLE,
)


def read(error: Exception) -> tuple[int, str]:
    """The HTTP status and the error code of the service; 0 and "" if it did not reply."""
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    found = code[1] if code else next((c for message, c in _MESSAGES.items() if message in text), "")
    number = int(status[1] or status[2]) if status else 0
    if _CREDENTIALS.search(text) and number in range(400, 500) and number not in _BUSY:
        found = _NO_CREDENTIALS
    return number, found


def means_exists(error: Exception) -> bool:
    """Whether a create failed because its key exists. S3 replies 412, Azure 409 or 412."""
    status, code = read(error)
    return status == HTTPStatus.PRECONDITION_FAILED or code == "BlobAlreadyExists"


def means_absent(error: Exception) -> bool:
    """Whether a get or a delete found no value, in a container that exists."""
    status, code = read(error)
    return status == HTTPStatus.NOT_FOUND and code not in (*_NO_CONTAINER, _NO_CREDENTIALS)


def translate(error: Exception, verb: str, address: Address) -> IrmError:
    """The StoreAway or StoreRefused for an error of a verb."""
    status, code = read(error)
    details = [f"HTTP {status}"] if status else []
    if sign_in := _SIGN_IN.search(str(error)):
        code = sign_in[1]
        rule = _UNREACHABLE if code.startswith(_NETWORK_ERRORS) else _SIGN_IN_FAILED
    else:
        rule = next(rule for rule in _RULES if status in rule.statuses or code in rule.codes)
    details += [code] if code else []
    words = _words(verb, address)
    what = rule.what.format(**words) + (f" ({', '.join(details)})" if details else "")
    return rule.kind(what, where=str(address), next_step=rule.next_step.format(**words))


def _words(verb: str, address: Address) -> dict[str, str]:
    done, action = _VERBS[verb]
    name = address.container
    if address.kind == "az":
        thing = "container"
        allow = f"Give it the role Storage Blob Data Contributor on the container {name}"
        allow += "; check the account's firewall."
    else:
        thing, allow = "bucket", f"Allow it {action} on the bucket {name}."
    return {"verb": done, "thing": thing, "name": name, "allow": allow}
