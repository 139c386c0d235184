"""The REST endpoint irmexport/…: a request of splunkd's → a route → a reply. One border for errors.

    GET    connectors            POST connectors             (create)
    GET    connectors/NAME       POST connectors/NAME        (update)       DELETE connectors/NAME
    POST   connectors/NAME/test  POST connectors/NAME/resume
    GET    queue                 GET  held                   GET batches/ID
    POST   batches/ID/resolve    POST batches/ID/requeue
    GET    profiles              POST profiles/check         (changes nothing)

splunkd checks the capability before it calls (restmap.conf); it is checked here again, on the
server's word.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from irmcore.clock import Clock, SystemClock
from irmcore.errors import ConfigurationError, DataError, IrmError, OperatorError, WaitError

from irmsplunk.rest.connectors import ConnectorRoutes
from irmsplunk.rest.operations import QueueRoutes
from irmsplunk.rest.profiles import ProfileRoutes
from irmsplunk.splunk import splunkd
from irmsplunk.splunk.journal import Journal
from irmsplunk.splunk.next_steps import all_in_splunk
from irmsplunk.splunk.paths import Places
from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused

CAPABILITY = "irmexport_configure"
#: Characters of each part of a form; a profile has a few kilobytes.
_LONGEST = 256 * 1024
#: The one POST that changes nothing: the profile's page asks it at every pause in typing.
_CHECK = ("profiles", "check")


@dataclass(frozen=True)
class Request:
    """A request as splunkd hands it over."""

    method: str
    path: tuple[str, ...]
    form: Mapping[str, str] = field(repr=False)
    uri: str
    user_key: str = field(repr=False)
    system_key: str = field(repr=False)

    @staticmethod
    def of(text: str | bytes) -> Request:
        """Raises ConfigurationError for one that is not written as splunkd writes it."""
        try:
            raw = json.loads(text)
            parts = str(raw.get("rest_path", "")).strip("/").split("/")
            query = [str(key) for key, _ in raw.get("query") or []]
            form = {str(k): str(v) for k, v in raw.get("form") or [] if k != "output_mode"}
            session, server = raw.get("session") or {}, raw.get("server") or {}
            uri, user_key = str(server.get("rest_uri", "")), str(session.get("authtoken", ""))
        except (ValueError, TypeError, AttributeError):
            raise ConfigurationError(
                "the request cannot be read",
                where="irmexport",
                next_step="Send a form: -d name=value (application/x-www-form-urlencoded).",
            ) from None
        if "secret" in query:
            raise ConfigurationError(
                "a secret stood in the address of the request, which splunkd logs",
                where="irmexport",
                next_step="Replace the secret in Entra ID, and send the new one in the body.",
            )
        for key, value in form.items():
            if len(value) > _LONGEST:
                raise ConfigurationError(
                    "a part of the form is too long",
                    where=key[:40],
                    next_step=f"Send at most {_LONGEST // 1024} KiB; nothing was saved.",
                )
        return Request(
            method=str(raw.get("method", "GET")).upper(),
            path=tuple(parts[1:]),
            form=form,
            uri=uri,
            user_key=user_key,
            system_key=str(raw.get("system_authtoken", "")),
        )


def answer(text: str | bytes, environment: Mapping[str, str]) -> dict[str, Any]:
    """The reply to a request, as splunkd wants it."""
    clock = SystemClock()
    journal = Journal(Places.of(environment).logs, clock, "rest")
    try:
        request = Request.of(text)
        user = _allowed(request)
        found = route(request, user, Places.of(environment), clock)
        if request.method != "GET" and request.path != _CHECK:
            journal.write("INFO", "done", user=user, method=request.method, path="/".join(request.path))
        return _reply(200, found)
    except IrmError as error:
        document = {"error": error.what, "where": error.where, "next_step": error.next_step}
        return _reply(_status(error), document)
    except Exception as error:  # noqa: BLE001 - one border: splunkd would show the traceback
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(at.filename)}:{at.lineno}"
        journal.write("ERROR", "fault", what=type(error).__name__, where=place)
        what = f"{type(error).__name__} at {place}"
        return _reply(500, {"error": what, "where": "irmexport", "next_step": "Please report this line."})


def _allowed(request: Request) -> str:
    """Who asks. Raises SplunkdRefused without the capability."""
    user, may = splunkd.capabilities(Splunkd(request.uri, request.user_key))
    if CAPABILITY not in may:
        raise SplunkdRefused(
            403,
            f"you do not have the capability {CAPABILITY}",
            where="irmexport",
            next_step="Ask an administrator to give it to one of your roles.",
        )
    return user


def route(request: Request, user: str, places: Places, clock: Clock) -> dict[str, Any]:
    """What the request asks for. Raises IrmError."""
    root = places.outbox
    queue = QueueRoutes(places.outbox_ready(), clock)
    configuration = ConnectorRoutes(Splunkd(request.uri, request.system_key), clock, root)
    method, path, form = request.method, request.path, request.form
    names = path[1] if len(path) > 1 else ""
    found: dict[str, Any] | None = None
    if method == "GET":
        found = _get(path, configuration, queue)
    elif method == "POST" and path == _CHECK:
        found = ProfileRoutes().check(form)
    elif method == "POST" and path == ("connectors",):
        found = configuration.create(form)
    elif method == "POST" and path[:1] == ("connectors",):
        found = _connector_post(names, path[2:], form, configuration, queue)
    elif method == "POST" and path[:1] == ("batches",) and path[2:] == ("resolve",):
        found = queue.resolve(names, form, user)
    elif method == "POST" and path[:1] == ("batches",) and path[2:] == ("requeue",):
        found = queue.requeue(names, form, user)
    elif method == "DELETE" and path[:1] == ("connectors",) and len(path) == 2:  # noqa: PLR2004
        found = configuration.remove(names)
    if found is None:
        raise SplunkdRefused(
            404,
            "there is no such endpoint",
            where="/".join(path)[:80],
            next_step="There are connectors, queue, held, batches and profiles.",
        )
    return found


def _get(path: tuple[str, ...], configuration: ConnectorRoutes, queue: QueueRoutes) -> dict[str, Any] | None:
    whole = {
        "connectors": configuration.listed,
        "profiles": ProfileRoutes().listed,
        "queue": queue.queue,
        "held": queue.held,
    }
    if len(path) == 1 and path[0] in whole:
        return whole[path[0]]()
    if len(path) == 2 and path[0] == "connectors":  # noqa: PLR2004
        return configuration.read(path[1])
    if len(path) == 2 and path[0] == "batches":  # noqa: PLR2004
        return queue.batch(path[1])
    return None


def _connector_post(
    name: str,
    action: tuple[str, ...],
    form: Mapping[str, str],
    configuration: ConnectorRoutes,
    queue: QueueRoutes,
) -> dict[str, Any] | None:
    if action == ():
        found = configuration.update(name, form)
        if form.get("secret"):
            queue.resume_if_there(name)
        return found
    if action == ("test",):
        return configuration.test(name)
    if action == ("resume",):
        return queue.resume(name)
    return None


def _status(error: IrmError) -> int:
    if isinstance(error, SplunkdRefused):
        return error.status or 502
    if isinstance(error, WaitError):
        return 503
    if isinstance(error, OperatorError):
        return 409
    return 400 if isinstance(error, (ConfigurationError, DataError)) else 500


def _reply(status: int, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "status": status,
        "payload": json.dumps(all_in_splunk(document), default=str),
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
    }
