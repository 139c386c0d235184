"""The alert action `irmexport`, also an adaptive response of Enterprise Security: results file → outbox.

splunkd starts it with `--execute` and a JSON document on the standard input, with the session key of the
search's owner, who needs `irmexport_run` and no secret capability. The rows go the command's way
(``export``), so an alert that fires twice sends once. Each run leaves a receipt in the log. What it says
to the standard error is in splunkd.log: a level, then the sentence.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO
from urllib.parse import quote

from irmcore.clock import Clock, SystemClock
from irmcore.errors import ConfigurationError, DataError, OperatorError

from irmsplunk import APP
from irmsplunk.export import export
from irmsplunk.export.export import Asked, Done, Export, said_of
from irmsplunk.export.messages import ERROR, INFO, WARN
from irmsplunk.export.search import Search
from irmsplunk.export.spool import Spool
from irmsplunk.search import results_file
from irmsplunk.search.action_log import FAILURE, MOST, SUCCESS, ActionLog
from irmsplunk.splunk import connectors
from irmsplunk.splunk.journal import Journal
from irmsplunk.splunk.paths import Places
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, segment

WHO = "alert action irmexport"
#: Exit codes, the same as the command line's: splunkd shows them as "error code".
DONE, FAILED, CONFIGURATION, DATA, NEEDS_PERSON = 0, 1, 2, 3, 4
#: Seconds to wait for the receipt unless the alert says otherwise, and at most: `maxtime` ends the process.
WAIT, LONGEST_WAIT = 30, 300
#: What default/alert_actions.conf sets; an administrator may have set another.
MAX_RESULTS = 50_000
PARAMS = ("profile", "fields", "wait", "maxrejects", "allowpartial", "dryrun")
#: Parameters that Enterprise Security gives to any action.
_NOT_OURS = ("action_name", "verbose")
_PAYLOAD_BYTES = 16 * 1024 * 1024
_PERSON = ("held", "dead", "paused", "held back")


@dataclass(frozen=True)
class Firing:
    """What splunkd says of the alert: the search, its results, the action's parameters."""

    search: Search
    results: str
    params: Mapping[str, str]
    per_result: bool
    owner: str

    @staticmethod
    def of(text: bytes) -> Firing:
        """Raises ConfigurationError."""
        try:
            said = json.loads(text)
            params = said.get("configuration") or {}
            results = str(said["results_file"])
            given = {
                str(k): str(v) for k, v in params.items() if not k.startswith("_") and k not in _NOT_OURS
            }
        except (ValueError, KeyError, AttributeError, RecursionError):
            raise ConfigurationError(
                "what splunkd said at the start is not an alert's JSON",
                where=WHO,
                next_step="It is started by an alert or `| sendalert irmexport`, with payload_format = json.",
            ) from None
        return Firing(
            search=Search(
                sid=str(said.get("sid") or ""),
                app=str(said.get("app") or ""),
                user=str(said.get("user") or said.get("owner") or ""),
                session_key=str(said.get("session_key") or ""),
                splunkd_uri=str(said.get("server_uri") or ""),
                dispatch_dir=results_file.dispatch_dir(results),
                preview=False,
                label=str(said.get("search_name") or ""),
            ),
            results=results,
            params=given,
            per_result="result_id" in said or results_file.is_per_result(results),
            owner=str(said.get("owner") or ""),
        )


def asked_of(params: Mapping[str, str]) -> tuple[Asked, bool]:
    """What the alert wants done, and whether cut short results do. Raises ConfigurationError.

    splunkd checks the parameters when a search is saved (restmap.conf), but not those of an ad-hoc action.
    """
    for name in params:
        if name not in PARAMS:
            near = difflib.get_close_matches(name, PARAMS, n=1)
            hint = f"Did you mean `param.{near[0]}`?" if near else f"Known: {', '.join(PARAMS)}."
            raise ConfigurationError(
                "there is no such parameter", where=f"{WHO}: {name[:40]}", next_step=hint
            )
    profile = params.get("profile", "").strip()
    if not connectors.NAME.fullmatch(profile):
        raise _wrong("profile", "the name of a connector: a-z, 0-9 and hyphens")
    rejects = params.get("maxrejects", "").strip()
    asked = Asked(
        who=WHO,
        profile=profile,
        fields=params.get("fields", ""),
        dry=_flag(params, "dryrun"),
        wait=float(_number(params, "wait", LONGEST_WAIT) if params.get("wait", "").strip() else WAIT),
        max_refused=_number(params, "maxrejects", 10**9) if rejects else None,
    )
    return asked, _flag(params, "allowpartial")


def _number(params: Mapping[str, str], name: str, most: int) -> int:
    text = params[name].strip()
    if not (text.isascii() and text.isdigit()) or int(text[:18]) > most:
        raise _wrong(name, f"a whole number from 0 to {most}")
    return int(text)


def _flag(params: Mapping[str, str], name: str) -> bool:
    text = params.get(name, "").strip().lower()
    if text not in ("", "0", "1", "f", "t", "false", "true", "no", "yes"):
        raise _wrong(name, "0 or 1")
    return text in ("1", "t", "true", "yes")


def _wrong(name: str, right: str) -> ConfigurationError:
    return ConfigurationError(
        "a parameter is not written as it must be", where=f"{WHO}: param.{name}", next_step=f"It is {right}."
    )


def execute(environment: Mapping[str, str], stdin: BinaryIO, stderr: TextIO) -> int:
    """One firing of the alert; gives the exit code."""
    clock = SystemClock()
    try:
        places = Places.of(environment)
    except ConfigurationError as error:
        _output(stderr, ERROR, said_of(error))
        return CONFIGURATION
    journal = Journal(places.logs, clock, "alert")
    try:
        firing = Firing.of(stdin.read(_PAYLOAD_BYTES))
    except ConfigurationError as error:
        journal.write(ERROR, "failed", error=type(error).__name__, what=error.what)
        _output(stderr, ERROR, said_of(error))
        return CONFIGURATION
    return _Run(firing, places, clock, journal, stderr).run()


def _output(stderr: TextIO, level: str, text: str) -> None:
    """One line: splunkd.log gets it with the level that it begins with."""
    stderr.write(f"{level} {' '.join(text.split())}\n")
    stderr.flush()


class _Run:
    """One firing, from the results file to the receipt."""

    def __init__(
        self, firing: Firing, places: Places, clock: Clock, journal: Journal, stderr: TextIO
    ) -> None:
        self._firing = firing
        self._places = places
        self._clock = clock
        self._journal = journal
        self._stderr = stderr
        search = firing.search
        self._actions = ActionLog(
            places.logs,
            clock,
            sid=search.sid,
            search_name=search.label,
            app=search.app,
            user=search.user,
            results=results_file.identities(firing.results, MOST),
            per_result=firing.per_result,
        )

    def run(self) -> int:
        self._actions.write(INFO, "Invoking modular action")
        try:
            asked, allow_partial = asked_of(self._firing.params)
            done = self._export(asked, allow_partial=allow_partial)
        except Exception as error:  # noqa: BLE001 - one border: whatever it is, splunkd gets a line and a code
            self._log("failed", level=ERROR, error=type(error).__name__, what=getattr(error, "what", ""))
            _output(self._stderr, ERROR, said_of(error))
            self._actions.write(ERROR, said_of(error), FAILURE)
            return _code_of(error)
        if done is None:
            return FAILED
        for level, text in done.messages:
            _output(self._stderr, level, text)
        needs_person = done.standing.state in _PERSON
        told = done.messages[-1][1] if done.messages else ""
        self._actions.write(WARN if needs_person else INFO, told, FAILURE if needs_person else SUCCESS)
        return NEEDS_PERSON if needs_person else 0

    def _export(self, asked: Asked, *, allow_partial: bool) -> Done | None:
        """Hand the results over; None, with the reason told, if they are not complete."""
        search = self._firing.search
        spool = Spool(search.dispatch_dir if os.path.isdir(search.dispatch_dir) else None)
        try:
            why_not = export.why_not(search, allow_partial=allow_partial)
            finalized, found = self._job()
            if finalized and not allow_partial:
                why_not = why_not or (WARN, export.FINALIZED)
            if why_not:
                self._log("not-queued", level=WARN, why=why_not[1])
                _output(self._stderr, *why_not)
                self._actions.write(WARN, why_not[1], FAILURE)
                return None
            results_file.read_into(spool, self._firing.results)
            partial = {"partial": "finalized"} if finalized else {}
            partial = partial or export.partial(search, allow_partial=allow_partial)
            run = Export(asked, search, self._places, self._clock, self._log)
            done = run.run(spool, {"by": "alert", **partial})
        finally:
            spool.close()
        self._warn_of_cut(done, found)
        handed, standing = done.handed, done.standing
        self._log(
            "receipt",
            run=handed.run,
            state=standing.state,
            reason=standing.reason,
            counts=handed.counts.as_dict(),
            batches=[name[:12] for name in handed.batches],
            sent=standing.sent,
            held=standing.held,
            dead=standing.dead,
            waiting=standing.waiting,
        )
        return done

    def _warn_of_cut(self, done: Done, found: int) -> None:
        """Say that rows may be missing: splunkd hands an action no more than `maxresults`, silently."""
        rows = done.handed.counts.read
        if self._firing.per_result or found == rows:
            return  # one result, or all that the search found
        cap = self._cap()
        if found > rows:
            text = f"the action got {rows:,} of the search's {found:,} rows; the others were not sent"
        elif rows >= cap:
            text = (
                f"the action got as many rows as it may (maxresults = {cap:,}); there may be more, not sent"
            )
        else:
            return
        text = (
            f"irmexport: {text}. Aggregate more in the search, or raise `maxresults` of the alert action and "
            "max_action_results in limits.conf."
        )
        self._log("cut", level=WARN, rows=rows, of=found, maxresults=cap)
        done.messages.insert(0, (WARN, text))

    def _job(self) -> tuple[bool, int]:
        """Whether the search was finalized and how many results it has; -1 if splunkd does not say."""
        said = self._asked_splunkd(f"/services/search/jobs/{segment(self._firing.search.sid)}")
        finalized = str(said.get("isFinalized", "")).lower() in ("1", "true")
        try:
            return finalized, int(said.get("resultCount", -1))
        except (TypeError, ValueError):
            return finalized, -1

    def _cap(self) -> int:
        """The `maxresults` that counts: the saved search's own, the action's, or what the app ships with."""
        search = self._firing.search
        said: Any = None
        if search.label:
            path = f"/servicesNS/{quote(self._firing.owner or 'nobody', safe='')}/{segment(search.app)}"
            found = self._asked_splunkd(f"{path}/saved/searches/{segment(search.label)}")
            said = found.get(f"action.{APP}.maxresults")
        said = said or self._asked_splunkd(f"{NOBODY}/configs/conf-alert_actions/{APP}").get("maxresults")
        try:
            return int(said)
        except (TypeError, ValueError):
            return MAX_RESULTS

    def _asked_splunkd(self, path: str) -> dict[str, Any]:
        search = self._firing.search
        try:
            entries = Splunkd(search.splunkd_uri, search.session_key).get(path).get("entry") or [{}]
        except SplunkdRefused:
            return {}
        content: dict[str, Any] = entries[0].get("content", {})
        return content

    def _log(self, event: str, level: str = INFO, **fields: Any) -> None:
        connector = self._firing.params.get("profile", "")[:40]
        self._journal.write(level, event, connector=connector, **self._firing.search.facts(), **fields)


def _code_of(error: BaseException) -> int:
    if isinstance(error, SplunkdRefused):
        return CONFIGURATION if 400 <= error.status < 500 else FAILED  # noqa: PLR2004 - HTTP's classes
    if isinstance(error, (ConfigurationError, OperatorError)):
        return CONFIGURATION
    if isinstance(error, DataError):
        return DATA
    return FAILED
