"""The KQL text that calls a function with values: ``declare query_parameters``, then the call.

A value becomes a literal of its parameter's type, or is an error; no value can inject KQL. The same text runs
on this machine and on a workspace that has the functions.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from irmcore.errors import ConfigurationError

from irmsentinel.content.artefacts import Artefact, Parameter

#: Values of parameters that the caller does not give.
DEFAULTS = {"starttime": "ago(14d)", "endtime": "now()"}
#: Control characters, line and paragraph separators, surrogates: no engine reads all of their escapes.
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}
_TIMESPAN = re.compile(r"(\d{1,6})(\.\d{1,6})?(d|h|m|s|ms)")
_AGO = re.compile(r"ago\(" + _TIMESPAN.pattern + r"\)|now\(\)")
_INTEGER = re.compile(r"-?\d{1,18}")
_REAL = re.compile(r"-?\d{1,18}(\.\d{1,18})?")


def text(artefact: Artefact, given: Mapping[str, str]) -> str:
    """The KQL that runs an artefact. Raises ConfigurationError."""
    parameters = {p.name: p for p in artefact.parameters or ()}
    for name in given:
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            has = f"It has: {', '.join(parameters) or 'none'}."
            raise ConfigurationError(
                f"`{artefact.name}` has no parameter `{name}`",
                where="--param",
                next_step=f"Did you mean {near[0]}?" if near else has,
            )
    if artefact.parameters is None:
        return artefact.body
    declared, passed = [], []
    for parameter in artefact.parameters:
        if parameter.name in given:
            value = literal(parameter, given[parameter.name])
        else:
            value = parameter.default or DEFAULTS.get(parameter.name, "")
        if not value:
            raise ConfigurationError(
                f"`{artefact.name}` needs a value for `{parameter.name}`",
                where="--param",
                next_step=f"Add --param {parameter.name}=… ({parameter.type}).",
            )
        if "(" in value and parameter.type == "datetime" and not value.startswith("datetime("):
            passed.append(value)  # a default must be a constant, which ago() and now() are not
        else:
            declared.append(f"{parameter.name}:{parameter.type} = {value}")
            passed.append(parameter.name)
    head = f"declare query_parameters({', '.join(declared)});\n" if declared else ""
    return f"{head}{artefact.name}({', '.join(passed)})"


def literal(parameter: Parameter, value: str) -> str:
    """A value as a literal of the parameter's type. Raises ConfigurationError."""
    kind = parameter.type
    if kind == "string" and not any(unicodedata.category(letter) in _CONTROL for letter in value):
        return quoted(value)
    if kind == "datetime":
        return value if _AGO.fullmatch(value) else _datetime(parameter, value)
    forms = {"timespan": _TIMESPAN, "long": _INTEGER, "int": _INTEGER, "real": _REAL}
    if kind == "bool" and value in {"true", "false"}:
        return value
    if kind in forms and forms[kind].fullmatch(value):
        return f"{kind}({value})" if kind in {"int", "real"} else value
    raise _invalid(parameter)


def quoted(value: str) -> str:
    """A KQL string literal for a text without control characters."""
    inner = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def _datetime(parameter: Parameter, value: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise _invalid(parameter)
        in_utc = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):  # for example year 1 in a zone east of Greenwich
        raise _invalid(parameter) from None
    return f"datetime({in_utc.isoformat()}Z)"


def span(text: str) -> timedelta:
    """The length of a KQL timespan literal. Raises ConfigurationError."""
    match = _TIMESPAN.fullmatch(text)
    if match is None:
        raise _invalid(Parameter("timespan", "timespan"))
    unit = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}[match[3]]
    return timedelta(**{unit: float(match[1] + (match[2] or ""))})


def _invalid(parameter: Parameter) -> ConfigurationError:
    forms = {
        "datetime": "2026-11-20T08:00:00Z, ago(7d) or now()",
        "timespan": "7d, 12h, 30m",
        "bool": "true or false",
        "string": "text on one line, without control characters",
    }
    return ConfigurationError(
        f"the value of `{parameter.name}` is not a {parameter.type}",
        where="--param",
        next_step=f"Write it as {forms.get(parameter.type, 'a number')}.",
    )
