from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from irmcli.object_store.address import parse
from irmcli.object_store.object_store import ObjectStore
from irmcore.errors import ConfigurationError, IrmError, StoreAway, StoreRefused

TOKEN = "TOKEN-THAT-NOBODY-MAY-SEE"


class Answers(http.server.BaseHTTPRequestHandler):
    """Replies to every request with one status and error code."""

    protocol_version = "HTTP/1.1"
    reply: ClassVar[tuple[int, str]] = (200, "")
    requests: ClassVar[list[str]] = []

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.requests.append(self.command)
        status, code = self.reply
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{TOKEN}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server asks for

    def log_message(self, *args: object) -> None:
        """Not on the test's output."""


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    """The server's address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def url(server_url: str) -> str:
    """A server that refuses everything, on plain HTTP as only loopback may."""
    Answers.requests.clear()
    return server_url


class FixedToken:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        if self._error is not None:
            raise self._error
        return AccessToken(TOKEN, 4_000_000_000)

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(autouse=True)
def aws_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS's tools read, and two variables that must not weaken anything."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": TOKEN,
        "AWS_ALLOW_HTTP": "true",
        "AWS_SKIP_SIGNATURE": "true",
        "AZURE_STORAGE_ACCOUNT_KEY": "QUJD",
        "AZURE_STORAGE_USE_EMULATOR": "true",
    }.items():
        monkeypatch.setenv(name, value)


def store_at(url: str, kind: str) -> ObjectStore:
    """A store at that server."""
    addresses = {"az": f"az://contoso/outboxes/one?endpoint={url}", "s3": f"s3://outboxes/one?endpoint={url}"}
    return ObjectStore(parse(addresses[kind]), {}, credential=FixedToken)


CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "create": lambda store: store.create("a", b"x"),
    "get": lambda store: store.get("a"),
    "keys": lambda store: list(store.keys("")),
    "delete": lambda store: store.delete("a"),
}

BUSY, BROKEN, ROLE = (
    "the store is busy",
    "Nothing is lost",
    "Storage Blob Data Contributor on the container outboxes",
)
# Status and code as the services publish them:
# learn.microsoft.com/rest/api/storageservices/blob-service-error-codes,
# docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
REPLIES = [
    ("az", 503, "ServerBusy", StoreAway, BUSY),
    ("az", 500, "InternalError", StoreAway, BROKEN),
    ("az", 429, "TooManyRequests", StoreAway, BUSY),
    ("az", 409, "ContainerBeingDeleted", StoreRefused, "container outboxes does not exist"),
    ("az", 404, "ContainerNotFound", StoreRefused, "container outboxes does not exist"),
    ("az", 403, "AuthorizationPermissionMismatch", StoreRefused, ROLE),
    ("az", 403, "AuthorizationFailure", StoreRefused, "check the account's firewall"),
    ("az", 403, "AuthenticationFailed", StoreRefused, "signing in to the store failed"),
    ("az", 401, "InvalidAuthenticationInfo", StoreRefused, "signing in to the store failed"),
    ("az", 409, "BlobImmutableDueToPolicy", StoreRefused, "immutable storage"),
    ("az", 400, "InvalidHeaderValue", StoreRefused, "Check the address"),
    ("s3", 503, "SlowDown", StoreAway, BUSY),
    ("s3", 500, "InternalError", StoreAway, BROKEN),
    ("s3", 409, "ConditionalRequestConflict", StoreAway, BROKEN),
    ("s3", 404, "NoSuchBucket", StoreRefused, "bucket outboxes does not exist"),
    ("s3", 403, "AccessDenied", StoreRefused, "on the bucket outboxes"),
    ("s3", 403, "InvalidAccessKeyId", StoreRefused, "signing in to the store failed"),
    ("s3", 301, "PermanentRedirect", StoreRefused, "the region"),
]


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize(
    ("kind", "status", "code", "error", "words"), REPLIES, ids=lambda value: str(value)[:30]
)
def test_a_refusal_says_what_to_do(  # noqa: PLR0917 - the columns of the table
    url: str, verb: str, kind: str, status: int, code: str, error: type[IrmError], words: str
) -> None:
    """Each reply is one error after one request: no verb repeats it, and nothing secret is shown."""
    Answers.reply = (status, code)
    with pytest.raises(error) as raised:
        CALLS[verb](store_at(url, kind))
    assert words in str(raised.value)
    assert TOKEN not in str(raised.value) + repr(raised.value.__dict__)
    assert raised.value.__cause__ is None
    assert len(Answers.requests) == 1


@pytest.mark.parametrize("verb", CALLS)
def test_the_missing_action_of_s3_is_named(url: str, verb: str) -> None:
    """By its name in a policy; to read also needs the right to list, without which S3 says 403 for 404."""
    Answers.reply = (403, "AccessDenied")
    actions = {
        "create": ["PutObject"],
        "get": ["GetObject", "ListBucket"],
        "keys": ["ListBucket"],
        "delete": ["DeleteObject"],
    }
    with pytest.raises(StoreRefused) as raised:
        CALLS[verb](store_at(url, "s3"))
    assert all(f"s3:{action}" in raised.value.next_step for action in actions[verb])


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "BlobAlreadyExists"), (412, "ConditionNotMet"), (412, "PreconditionFailed"), (412, "")],
)
def test_each_way_to_say_that_a_key_exists(url: str, status: int, code: str) -> None:
    """Azure has two, S3 one."""
    Answers.reply = (status, code)
    assert not store_at(url, "az").create("a", b"x")
    assert not store_at(url, "s3").create("a", b"x")


@pytest.mark.parametrize("kind", ["az", "s3"])
def test_a_server_that_is_not_there(kind: str) -> None:
    """Refused connections are the network's fault, and the message says what to check."""
    with pytest.raises(StoreAway, match="cannot be reached"):
        store_at("https://127.0.0.1:1", kind).get("a")


def test_plain_http_goes_to_loopback_alone(url: str) -> None:
    """Whatever the environment allows: nothing is sent."""
    Answers.reply = (200, "")
    store = store_at(url.replace("http://", "https://"), "s3")
    with pytest.raises(StoreAway):
        store.get("a")
    assert Answers.requests == []


@pytest.mark.parametrize(
    ("problem", "error", "words"),
    [
        (ClientAuthenticationError(TOKEN), StoreRefused, "az login"),
        (ServiceRequestError(TOKEN), StoreAway, "IRMEXPORT_PROXY"),
    ],
)
def test_no_token(url: str, problem: Exception, error: type[IrmError], words: str) -> None:
    """Who cannot sign in learns why, who cannot reach the sign-in service waits; the store gets nothing."""
    store = ObjectStore(
        parse(f"az://contoso/outboxes?endpoint={url}"), {}, credential=lambda: FixedToken(problem)
    )
    with pytest.raises(error, match=words) as raised:
        store.create("a", b"x")
    assert TOKEN not in str(raised.value)
    assert Answers.requests == []


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("verb", CALLS)
def test_no_credentials_of_aws(url: str, verb: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service of instance roles refuses is neither a value that is missing nor a missing right."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", url)
    Answers.reply = (status, "")
    store = ObjectStore(parse("s3://outboxes?endpoint=https://127.0.0.1:1"), {})
    with pytest.raises(StoreRefused, match="signing in to the store failed") as raised:
        CALLS[verb](store)
    assert f"HTTP {status}" in raised.value.what
    assert len(Answers.requests) >= 1


def test_s3_needs_a_region() -> None:
    """Of a bucket at AWS: its address or the environment names it."""
    with pytest.raises(ConfigurationError, match=r"\?region=REGION"):
        ObjectStore(parse("s3://outboxes"), {})
    ObjectStore(parse("s3://outboxes"), {"AWS_REGION": "eu-central-1"})


def test_an_unreadable_ca_file() -> None:
    """Is named, before anything is sent."""
    with pytest.raises(ConfigurationError, match="/not/there"):
        ObjectStore(
            parse("az://contoso/outboxes"), {"IRMEXPORT_CA_FILE": "/not/there"}, credential=FixedToken
        )
