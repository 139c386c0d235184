"""The JSON of the control path, by which other processes set and read faults.

Promised: a body is accepted or refused as a whole; a refusal of an unknown field names the nearest known one.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import fields

from irmemulator.fault_queue import Faults, Pending
from irmemulator.faults import Fault


def set_faults(faults: Faults, text: bytes) -> None:
    """Add the faults of a control path's body. Raises ValueError."""
    added = pending_from_json(text)
    for pending in added:
        faults.check(pending.fault)
    for pending in added:
        if pending.count is None:
            faults.until_cleared(pending.fault)
        else:
            faults.next(pending.fault, pending.count)


def faults_to_json(faults: Faults) -> dict[str, object]:
    """The queued faults, in the form that `pending_from_json` takes, and how many requests were spoiled."""
    pending = [{**each.fault.to_json(), "count": each.count} for each in faults.pending]
    return {"pending": pending, "taken": faults.taken}


def pending_from_json(text: bytes) -> tuple[Pending, ...]:
    """Read the control path's body: one JSON object, or a list of them.

    An object has the fields of `Fault` (`headers` as an object) and `count`: a number, 1 when
    absent, or null for "until cleared". Raises ValueError.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("the body is not JSON") from error
    items = content if isinstance(content, list) else [content]
    return tuple(_pending(item) for item in items)


def _pending(item: object) -> Pending:
    if not isinstance(item, dict):
        raise ValueError("a fault must be a JSON object")  # noqa: TRY004 - bad input, reported as one error type
    given = dict(item)
    count = given.pop("count", 1)
    if count is not None and (type(count) is not int or count < 1):
        raise ValueError("count must be a whole number from 1, or null for 'until cleared'")
    known = {field.name: str(field.type) for field in fields(Fault)}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"a fault has no field of that name{hint}")
        if not _fits(known[name], value):
            raise ValueError(f"the value of {name} has the wrong type")
    if "headers" in given:
        headers = given["headers"]
        if not isinstance(headers, Mapping) or not all(isinstance(text, str) for text in headers.values()):
            raise ValueError("headers must be a JSON object, and the value of a header must be text")
        given["headers"] = tuple(headers.items())
    return Pending(Fault(**given), count)


def _fits(declared: str, value: object) -> bool:
    """Whether a JSON value has a field's declared type. `headers` is checked later."""
    options = declared.split(" | ")
    if value is None:
        return "None" in options
    if isinstance(value, bool):
        return "bool" in options
    if isinstance(value, int):
        return "int" in options or "float" in options
    if isinstance(value, float):
        return "float" in options
    if isinstance(value, str):
        return "str" in options
    return declared.startswith("tuple")
