"""What splunkd gives an alert action on standard input: the search, its results, the action's parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from irmcore.errors import ConfigurationError
from irmcore.settings import nearest

from irmsplunk.export.export import ExportRequest
from irmsplunk.export.search import Search
from irmsplunk.search.results_file import dispatch_dir, is_per_result
from irmsplunk.splunk import connectors

CALLER = "alert action irmexport"
PARAMS = ("profile", "fields", "wait", "maxrejects", "allowpartial", "dryrun")
#: Seconds to wait for the receipt: the default, and the most, because `maxtime` ends the process.
DEFAULT_WAIT, LONGEST_WAIT = 30, 300
#: Parameters that Enterprise Security adds to any action.
_NOT_OURS = ("action_name", "verbose")
_TRUE, _FALSE = ("1", "t", "true", "yes"), ("", "0", "f", "false", "no")


@dataclass(frozen=True)
class AlertPayload:
    """One run of the action, as splunkd describes it. ``results_file`` is a path."""

    search: Search
    results_file: str
    params: Mapping[str, str]
    per_result: bool
    owner: str

    @staticmethod
    def parse(text: bytes) -> AlertPayload:
        """Raises ConfigurationError if the text is not an alert's JSON."""
        try:
            payload = json.loads(text)
            configuration = payload.get("configuration") or {}
            results = str(payload["results_file"])
            params = {
                str(key): str(value)
                for key, value in configuration.items()
                if not key.startswith("_") and key not in _NOT_OURS
            }
        except (ValueError, KeyError, AttributeError, RecursionError):
            raise ConfigurationError(
                "the standard input is not an alert's JSON",
                where=CALLER,
                next_step="Start this by an alert or `| sendalert irmexport`, with payload_format = json.",
            ) from None
        return AlertPayload(
            search=Search(
                sid=str(payload.get("sid") or ""),
                app=str(payload.get("app") or ""),
                user=str(payload.get("user") or payload.get("owner") or ""),
                session_key=str(payload.get("session_key") or ""),
                splunkd_uri=str(payload.get("server_uri") or ""),
                dispatch_dir=dispatch_dir(results),
                preview=False,
                label=str(payload.get("search_name") or ""),
            ),
            results_file=results,
            params=params,
            per_result="result_id" in payload or is_per_result(results),
            owner=str(payload.get("owner") or ""),
        )


def export_request(params: Mapping[str, str]) -> tuple[ExportRequest, bool]:
    """The request of an alert, and whether it allows partial results. Raises ConfigurationError.

    splunkd validates the parameters when a search is saved (restmap.conf), but not those of an ad hoc action.
    """
    for name in params:
        if name not in PARAMS:
            near = nearest(name, PARAMS)
            hint = f"Did you mean `param.{near}`?" if near else f"The parameters are {', '.join(PARAMS)}."
            raise ConfigurationError("unknown parameter", where=f"{CALLER}: {name[:40]}", next_step=hint)
    profile = params.get("profile", "").strip()
    if not connectors.NAME.fullmatch(profile):
        raise _invalid("profile", "the name of a connector: a-z, 0-9 and hyphens")
    rejects = params.get("maxrejects", "").strip()
    request = ExportRequest(
        caller=CALLER,
        profile=profile,
        fields=params.get("fields", ""),
        dry_run=_flag(params, "dryrun"),
        wait=float(_number(params, "wait", LONGEST_WAIT) if params.get("wait", "").strip() else DEFAULT_WAIT),
        max_refused=_number(params, "maxrejects", 10**9) if rejects else None,
    )
    return request, _flag(params, "allowpartial")


def _number(params: Mapping[str, str], name: str, most: int) -> int:
    text = params[name].strip()
    if not (text.isascii() and text.isdigit()) or int(text[:18]) > most:
        raise _invalid(name, f"a whole number from 0 to {most}")
    return int(text)


def _flag(params: Mapping[str, str], name: str) -> bool:
    text = params.get(name, "").strip().lower()
    if text not in _TRUE + _FALSE:
        raise _invalid(name, "0 or 1")
    return text in _TRUE


def _invalid(name: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        "invalid parameter", where=f"{CALLER}: param.{name}", next_step=f"It must be {expected}."
    )
