"""The REST endpoint irmexport/…: authorize a request, route it, and turn its result or error into a reply.

    GET    connectors            POST connectors             (create)
    GET    connectors/NAME       POST connectors/NAME        (update)       DELETE connectors/NAME
    POST   connectors/NAME/test  POST connectors/NAME/resume
    GET    queue                 GET  held                   GET batches/ID
    POST   batches/ID/resolve    POST batches/ID/requeue
    POST   person/find           POST person/erase           (the name is in the form: addresses are logged)
    GET    profiles              POST profiles/check         (changes nothing)

The endpoint send_irmexport is for searches, whose users have `irmexport_run`:

    POST                         (send what is queued; the reply says nothing about it, except in a cluster
                                 the status of the user's own `run`)

The endpoint release_irmexport is for a second person, who has `irmexport_release`:

    GET    batches               GET  batches/ID             (a preview of its rows)
    POST   batches/ID            (outcome=release or outcome=reject)

splunkd checks the capability before it calls this (restmap.conf). It is checked again here, with a request to
splunkd.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Callable

from irmcore.clock import Clock, SystemClock
from irmcore.errors import ConfigurationError, DataError, IrmError, OperatorError, WaitError

from irmsplunk.cluster.cluster import Cluster
from irmsplunk.cluster.member import goes_to_cluster, this_member
from irmsplunk.cluster.run_there import status_there
from irmsplunk.export.queueing import connector_outbox
from irmsplunk.rest import profiles
from irmsplunk.rest.connectors import ConnectorRoutes
from irmsplunk.rest.queue import QueueRoutes
from irmsplunk.rest.request import Request, refuse_line_breaks
from irmsplunk.sender.sender import send_once
from irmsplunk.splunk import heartbeat, sender_input
from irmsplunk.splunk.app_log import AppLog, place_of
from irmsplunk.splunk.connectors import content_of, of_stanza
from irmsplunk.splunk.kv_store import KvStore
from irmsplunk.splunk.next_steps import in_splunk, on_pages, translated
from irmsplunk.splunk.paths import Paths
from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused, current_user

CAPABILITY, RUN, RELEASE = "irmexport_configure", "irmexport_run", "irmexport_release"
#: The endpoint for searches, and the seconds in which its uploads start.
SEND, _SEND_SECONDS = "send_irmexport", 20.0
#: The endpoint for a second person.
_RELEASES = "release_irmexport"
#: The one POST that changes nothing, so it is not logged: the Profiles page sends it at every pause in
#: typing.
_CHECK = ("profiles", "check")


def answer(text: str | bytes, environment: Mapping[str, str]) -> dict[str, Any]:
    """The reply to a request, in splunkd's form."""
    clock, paths = SystemClock(), Paths.from_environment(environment)
    app_log = AppLog(paths.logs, clock, "rest")
    form: Mapping[str, str] = {}
    reply = functools.partial(_reply, translate=in_splunk)
    try:
        request = Request.parse(text)
        form = request.form
        refuse_line_breaks(form)
        if request.endpoint == SEND:
            user = _authorize(request, RUN)
            return reply(200, _send(request, user, paths, clock, app_log))
        if request.for_pages:
            reply = functools.partial(_reply, translate=on_pages)
        user = _authorize(request, RELEASE if request.endpoint == _RELEASES else CAPABILITY)
        log = functools.partial(app_log.write, "INFO", user=user)
        document = route(request, user, paths, clock, log)
        if request.method != "GET" and request.path != _CHECK:
            app_log.write("INFO", "done", user=user, method=request.method, path="/".join(request.path))
        return reply(200, document)
    except IrmError as error:
        field = next((key for key in (*form, "secret") if f"`{key}`" in error.what), "")
        document = {"error": error.what, "where": error.where, "next_step": error.next_step, "field": field}
        return reply(_status(error), document)
    except Exception as error:  # noqa: BLE001 - the last border: splunkd would show the traceback
        place = place_of(error)
        app_log.write("ERROR", "fault", what=type(error).__name__, where=place)
        document = {
            "error": f"{type(error).__name__} at {place}: this is a bug in irmexport",
            "where": "irmexport",
            "next_step": "Please report this line.",
        }
        return reply(500, document)


def _authorize(request: Request, capability: str) -> str:
    """The user who made the request. Raises SplunkdRefused without the capability."""
    user, capabilities = current_user(Splunkd(request.uri, request.user_key))
    if capability not in capabilities:
        raise SplunkdRefused(
            403,
            f"you do not have the capability {capability}",
            where="irmexport",
            next_step="Ask an administrator to grant it to one of your roles.",
        )
    return user


def _send(request: Request, user: str, paths: Paths, clock: Clock, app_log: AppLog) -> dict[str, Any]:
    """Send what is queued on this search head, where no sender runs.

    In a cluster, the reply has the status of the run that the user asks for: only this process may read it.
    """
    if request.method != "POST":
        raise SplunkdRefused(404, "there is no such endpoint", where=SEND, next_step="Use POST.")
    system, root = Splunkd(request.uri, request.system_key), paths.create_outbox()
    run = request.form.get("run", "")
    if sender_input.repair(system, root):
        app_log.write("INFO", "input-enabled", input=sender_input.NAME)
    name = request.form.get("connector", "")
    try:
        if not run or not heartbeat.alive(root, clock.now()):
            send_once(system, paths, clock, first=name, seconds=_SEND_SECONDS)
        if run and (member := this_member(system)).in_cluster:
            configured = of_stanza(name, content_of(system, name))
            own = connector_outbox(root, configured.connection, clock)
            if goes_to_cluster(configured.outbox, own, member):
                cluster = Cluster(KvStore(system, clock), member, clock)
                return {"done": True, "status": asdict(status_there(cluster, own, run, user))}
    except (IrmError, OSError) as error:
        app_log.write("WARN", "cannot-send", what=getattr(error, "what", type(error).__name__))
    return {"done": True}


def route(
    request: Request, user: str, paths: Paths, clock: Clock, log: Callable[..., None]
) -> dict[str, Any]:
    """The document that answers the request. Raises IrmError."""
    system = Splunkd(request.uri, request.system_key)
    queue = QueueRoutes(paths.create_outbox(), clock, user, system)
    if request.endpoint == _RELEASES:
        routes, known = _releases(queue, request.form), "batches and batches/ID"
    else:
        connectors = ConnectorRoutes(system, clock, paths.outbox, log)
        routes = _routes(connectors, queue, request.form)
        known = "connectors, queue, held, batches, person and profiles"
    path = request.path or ("",)
    name = path[1] if len(path) > 1 else ""
    act = routes.get((request.method, *path))
    if act is None and name:
        act = routes.get((request.method, path[0], "*", *path[2:]))
    document = act(name) if act is not None else None
    if document is None:
        step = f"The endpoints are {known}."
        raise SplunkdRefused(404, "there is no such endpoint", where="/".join(path)[:80], next_step=step)
    if (request.method, *path) == ("POST", "connectors"):
        sender_input.repair(system, paths.outbox)
    return document


#: Method and path, with "*" for a name → what answers, given the name; None if there is nothing of this name.
_Routes = Mapping[tuple[str, ...], Callable[[str], "dict[str, Any] | None"]]


def _routes(connectors: ConnectorRoutes, queue: QueueRoutes, form: Mapping[str, str]) -> _Routes:
    return {
        ("GET", "connectors"): lambda _: connectors.list_all(),
        ("GET", "connectors", "*"): connectors.read,
        ("POST", "connectors"): lambda _: connectors.create(form),
        ("POST", "connectors", "*"): lambda name: _updated(name, form, connectors, queue),
        ("POST", "connectors", "*", "test"): connectors.test,
        ("POST", "connectors", "*", "resume"): lambda name: queue.resume(name, form),
        ("DELETE", "connectors", "*"): connectors.remove,
        ("GET", "queue"): lambda _: queue.queue(),
        ("GET", "held"): lambda _: queue.held(),
        ("GET", "batches", "*"): queue.batch,
        ("POST", "batches", "*", "resolve"): lambda name: queue.resolve(name, form),
        ("POST", "batches", "*", "requeue"): lambda name: queue.requeue(name, form),
        ("POST", "person", "*"): lambda action: queue.person(action, form),
        ("GET", "profiles"): lambda _: profiles.list_all(),
        ("POST", *_CHECK): lambda _: profiles.check(form),
    }


def _releases(queue: QueueRoutes, form: Mapping[str, str]) -> _Routes:
    return {
        ("GET", "batches"): lambda _: queue.proposed(),
        ("GET", "batches", "*"): queue.preview,
        ("POST", "batches", "*"): lambda name: queue.release(name, form),
    }


def _updated(
    name: str, form: Mapping[str, str], connectors: ConnectorRoutes, queue: QueueRoutes
) -> dict[str, Any]:
    """The changed connector; a new secret ends its pause."""
    document = connectors.update(name, form)
    steps = [document.get("next_step"), queue.resume_if_paused(name) if form.get("secret") else ""]
    left = " ".join(filter(None, steps))
    return {**document, "next_step": left} if left else document


def _status(error: IrmError) -> int:
    if isinstance(error, SplunkdRefused):
        return error.status or 502
    if isinstance(error, WaitError):
        return 503
    if isinstance(error, OperatorError):
        return 409
    return 400 if isinstance(error, (ConfigurationError, DataError)) else 500


def _reply(status: int, document: Mapping[str, Any], *, translate: Callable[[str], str]) -> dict[str, Any]:
    return {
        "status": status,
        "payload": json.dumps(translated(document, translate), default=str),
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
    }
