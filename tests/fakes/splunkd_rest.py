"""A fake of splunkd's REST API over HTTPS: sessions, conf files, secrets, inputs, messages.

It requires a session key of a signed-in user and the capabilities that splunkd requires:
`list_storage_passwords` to read a secret, `edit_storage_passwords` to write one, `admin_all_objects` to
write a conf file or enable an input. Who may read a stanza or a collection, which inputs are enabled and who
may call the app's own endpoints is in the app's files, which it reads. Only its owner can see a search. The
KV store is in ``splunk_kv``. It records every request, but no secret.
"""

from __future__ import annotations

import enum
import http.server
import json
import re
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme

from tests.fakes.splunk_conf import read_conf
from tests.fakes.splunk_kv import KvCluster, KvMember, KvRequest

APP = Path(__file__).parent.parent.parent / "splunk_app"
SYSTEM = "splunk-system-user"
_SYSTEM_MAY = ("admin_all_objects", "edit_storage_passwords", "list_storage_passwords")


@dataclass(frozen=True)
class User:
    """The user of a session."""

    name: str
    capabilities: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


class Cut(enum.Enum):
    """When a connection is lost."""

    NEVER = "never"
    BEFORE = "before the request was served"
    AFTER = "after it was served, before the reply"


class Endpoint(Protocol):
    """The process of the app's own REST endpoints."""

    def pass_on(self, method: str, path: str, key: str, form: Mapping[str, str]) -> tuple[int, str]:
        """The status and the body of its reply."""


class NoEndpoint:
    """What splunkd answers if it cannot start the process."""

    def pass_on(self, *_request: object) -> tuple[int, str]:
        return 500, "{}"


@dataclass
class State:
    """The contents of this splunkd."""

    sessions: dict[str, User] = field(default_factory=dict)
    confs: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    #: `local/inputs.conf` of this search head.
    local_inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    #: `metadata/local.meta`: for an object, the roles that may read it.
    local_meta: dict[str, Sequence[str]] = field(default_factory=dict)
    endpoint: Endpoint = field(default_factory=NoEndpoint)
    #: `server/info` and `shcluster/config`.
    server: dict[str, Any] = field(
        default_factory=lambda: {"serverName": "search-head", "guid": "A-1", "server_roles": ["search_head"]}
    )
    shcluster: dict[str, Any] = field(default_factory=lambda: {"disabled": True})
    messages: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    searches: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    kv: KvMember = field(default_factory=lambda: KvCluster().member())
    #: Whether a request (method and path) loses its connection, and if so before or after it was served.
    cut: Callable[[str, str], Cut] = lambda *_request: Cut.NEVER

    @property
    def enabled_inputs(self) -> set[str]:
        """The data inputs that splunkd runs here: default/inputs.conf under local/inputs.conf."""
        shipped = read_conf(APP / "default" / "inputs.conf")
        names = {name for name in (*shipped, *self.local_inputs) if "://" in name}
        return {
            name
            for name in names
            if {**shipped.get(name, {}), **self.local_inputs.get(name, {})}.get("disabled") != "1"
        }

    def may_read(self, user: User, conf: str, stanza: str) -> bool:
        """Whether a role of the user may read an object; the most specific stanza of the metadata decides."""
        for name in (f"{conf}/{stanza}", conf, ""):
            readers = self.local_meta.get(name, _roles("read", name))
            if readers is not None:
                return "*" in readers or bool(user.roles.intersection(readers))
        return False

    def may_write(self, user: User, conf: str, stanza: str) -> bool:
        """Whether a role of the user may write an object, which it must be able to read as well."""
        known = [_roles("write", name) for name in (f"{conf}/{stanza}", conf, "")]
        writers = next(roles for roles in known if roles is not None)
        return self.may_read(user, conf, stanza) and bool(user.roles.intersection(writers))

    def may_use(self, user: User, right: str, collection: str) -> bool:
        """Whether a session may "read" or "write" a collection of the KV store."""
        may = self.may_read if right == "read" else self.may_write
        return "admin_all_objects" in user.capabilities or may(user, "collections", collection)


def _roles(right: str, name: str) -> Sequence[str] | None:
    """The roles that default.meta gives a right to an object; None if it does not say."""
    access = read_conf(APP / "metadata" / "default.meta").get(name, {}).get("access", "")
    found = re.search(rf"{right} : \[ (.*?) \]", access)
    return found[1].split(", ") if found else None


class Refusal(Exception):
    """An HTTP status other than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class SplunkdRest:
    """A context manager; it listens on loopback while it is entered."""

    def __init__(self, directory: Path) -> None:
        self.state = State()
        roles = frozenset({"admin", "splunk-system-role"})  # the second one has the first (authorize.conf)
        self.state.sessions["system-session"] = User(SYSTEM, frozenset(_SYSTEM_MAY), roles)
        leaf = trustme.CA().issue_cert(
            "SplunkServerDefaultCert"
        )  # like splunkd's own, it does not name the host
        pem = directory / "splunkd.pem"
        leaf.private_key_and_cert_chain_pem.write_to_path(str(pem))
        pem.chmod(0o600)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._server = _Server(("127.0.0.1", 0), _handler(self.state))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def uri(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def sign_in(self, key: str, name: str, *capabilities: str, roles: Sequence[str] = ("user",)) -> None:
        """Add a session of a user."""
        self.state.sessions[key] = User(name, frozenset(capabilities), frozenset(roles))

    def __enter__(self) -> SplunkdRest:  # noqa: PYI034 - typing.Self is not in 3.9
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(state: State) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """One request."""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            return

        def _answer(self, method: str) -> None:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            cut = state.cut(method, parts.path)
            if cut is Cut.BEFORE:
                return
            key = self.headers.get("Authorization", "").partition(" ")[2]
            user = state.sessions.get(key)
            state.requests.append((user.name if user else "", method, parts.path))
            path = [unquote(s) for s in parts.path.split("/")[1:]]
            query, kind = dict(parse_qsl(parts.query)), self.headers.get("Content-Type", "")
            try:
                if user is not None and path[3:6] == ["storage", "collections", "data"]:
                    request = KvRequest(method, (path[1], *path[6:]), query, kind, sent)
                    status, found = state.kv.answer(request, partial(state.may_use, user))
                    body = json.dumps(found).encode()
                else:
                    form = dict(parse_qsl(sent.decode(), keep_blank_values=True))
                    status, body = _serve(state, key, method, path, form)
            except Refusal as refusal:
                status = refusal.status
                body = _document([], f"HTTP {status}")
            if cut is Cut.AFTER:
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_DELETE(self) -> None:
            self._answer("DELETE")

    return Handler


def _serve(
    state: State, key: str, method: str, path: list[str], form: Mapping[str, str]
) -> tuple[int, bytes]:
    """The status and the body of a reply with entries. Raises Refusal."""
    user = state.sessions.get(key)
    if user is not None and path[0] == "services" and (stanza := _own_endpoint(path[1])):
        _require(user, stanza["capability"])
        status, text = state.endpoint.pass_on(method, "/".join(path[1:]), key, form)
        return status, text.encode()
    return 201 if method == "POST" else 200, _document(route(state, user, method, path, form))


def _document(entries: list[dict[str, Any]], *errors: str) -> bytes:
    return json.dumps({"entry": entries, "messages": [{"type": "ERROR", "text": e} for e in errors]}).encode()


def _own_endpoint(name: str) -> dict[str, str] | None:
    """The stanza of the app's restmap.conf for an endpoint of its own."""
    stanzas = read_conf(APP / "default" / "restmap.conf").values()
    return next((stanza for stanza in stanzas if stanza.get("match") == f"/{name}"), None)


#: What splunkd tells about a session and about itself.
_INFORMATION: Mapping[str, Callable[[State, User], Mapping[str, Any]]] = {
    "services/authentication/current-context": lambda _, user: {
        "username": user.name,
        "capabilities": sorted(user.capabilities),
    },
    "services/kvstore/status": lambda state, _: state.kv.status(),
    "services/server/info": lambda state, _: state.server,
    "services/shcluster/config": lambda state, _: state.shcluster,
    "servicesNS/nobody/system/configs/conf-limits/kvstore": lambda state, _: state.kv.limits,
}


def route(
    state: State, user: User | None, method: str, path: list[str], form: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The entries of a reply. Raises Refusal."""
    if user is None:
        raise Refusal(401)
    whole = "/".join(path)
    if whole in _INFORMATION:
        return [{"name": path[-1], "content": _INFORMATION[whole](state, user)}]
    if path[:2] == ["servicesNS", "nobody"] and path[3:4] == ["configs"]:
        return _confs(state, user, method, [path[4].partition("-")[2], *path[5:]], form)
    if path[:2] == ["servicesNS", "nobody"] and path[3:5] == ["storage", "passwords"]:
        return _passwords(state, user, method, path[5:], form)
    if path[:2] == ["servicesNS", "nobody"] and path[3:5] == ["data", "inputs"]:
        _require(user, "admin_all_objects")
        name = "://".join(path[5:7])
        if method == "POST" and path[7:] in (["enable"], ["disable"]):
            state.local_inputs.setdefault(name, {})["disabled"] = "0" if path[7] == "enable" else "1"
        return [{"name": path[6], "content": {"disabled": name not in state.enabled_inputs}}]
    if path[:3] == ["services", "search", "jobs"] or path[3:5] == ["saved", "searches"]:
        return _of_owner(state.jobs if path[0] == "services" else state.searches, user, path[-1])
    if path[:2] == ["services", "messages"]:
        return _messages(state.messages, user, method, path[2:], form)
    raise Refusal(404)


def _of_owner(things: Mapping[str, dict[str, Any]], user: User, name: str) -> list[dict[str, Any]]:
    """A search job or saved search, which only its owner can see."""
    if things.get(name, {}).get("owner") != user.name:
        raise Refusal(404)
    return [{"name": name, "content": {k: v for k, v in things[name].items() if k != "owner"}}]


def _messages(
    messages: dict[str, str], user: User, method: str, name: list[str], form: Mapping[str, str]
) -> list[dict[str, Any]]:
    if method != "GET":
        _require(user, "admin_all_objects")
    if method == "POST":
        messages[form["name"]] = form["value"]
    elif method == "DELETE" and messages.pop(name[0], None) is None:
        raise Refusal(404)
    return [{"name": key, "content": {"message": value}} for key, value in messages.items()]


def _require(user: User, capability: str) -> None:
    if capability not in user.capabilities:
        raise Refusal(403)


def _confs(
    state: State, user: User, method: str, path: list[str], form: Mapping[str, str]
) -> list[dict[str, Any]]:
    conf, *name = path
    stanzas = state.confs.setdefault(conf, {})
    if method != "GET":
        _require(user, "admin_all_objects")
    if not name:
        if method == "POST":
            if form["name"] in stanzas:
                raise Refusal(409)
            stanzas[form["name"]] = {k: v for k, v in form.items() if k != "name"}
        return [
            {"name": key, "content": dict(content)}
            for key, content in stanzas.items()
            if state.may_read(user, conf, key)
        ]
    if name[0] not in stanzas or not state.may_read(user, conf, name[0]):
        raise Refusal(404)
    if method == "DELETE":
        del stanzas[name[0]]
        return []
    if method == "POST":
        stanzas[name[0]].update(form)
    return [{"name": name[0], "content": dict(stanzas[name[0]])}]


def _passwords(
    state: State, user: User, method: str, name: list[str], form: Mapping[str, str]
) -> list[dict[str, Any]]:
    _require(user, "list_storage_passwords" if method == "GET" else "edit_storage_passwords")
    if not name:
        if method == "POST":
            key = f"{form.get('realm', '')}:{form['name']}:"
            if key in state.passwords:
                raise Refusal(409)
            state.passwords[key] = form["password"]
            return []
        return [{"name": key, "content": {"clear_password": v}} for key, v in state.passwords.items()]
    if name[0] not in state.passwords:
        raise Refusal(404)
    if method == "DELETE":
        del state.passwords[name[0]]
        return []
    if method == "POST":
        state.passwords[name[0]] = form["password"]
    return [{"name": name[0], "content": {"clear_password": state.passwords[name[0]]}}]
