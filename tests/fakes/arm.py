"""Evaluates the expressions of an ARM template, as a deployment would, to see what it asks Azure for.

The functions are those of learn.microsoft.com/azure/azure-resource-manager/templates/template-functions that
our templates use; any other is an error. Held to: every parameter and variable is declared, what is required
is given, and `reference` stands only where a deployment can know it (not in names, conditions or variables).
Not modelled: whether Azure accepts a resource; the real uniqueString and guid, which are other hashes.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(\d+)|([A-Za-z]\w*)|([(),.\[\]]))")


def _hash(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _resource_id(group: str, *parts: str) -> str:
    kind, *names = parts
    provider, *types = kind.split("/")
    pairs = "/".join(f"{a}/{b}" for a, b in zip(types, names, strict=True))
    return f"{group}/providers/{provider}/{pairs}"


class Deployment:
    """One template with its parameters in one resource group. ``resources`` are what it asks for."""

    def __init__(
        self, template: Mapping[str, Any], parameters: Mapping[str, Any], group: str = "soc"
    ) -> None:
        """Raises KeyError for what is undeclared or missing, ValueError for what is no expression."""
        unknown = parameters.keys() - template["parameters"].keys()
        if unknown:
            raise KeyError(f"undeclared parameters: {unknown}")
        self._template = template
        self.group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
        self._known = False  # whether `reference` can be answered
        self._index = 0
        self._lambda: dict[str, Any] = {}
        self._parameters: dict[str, Any] = {}
        for name, declared in template["parameters"].items():
            self._parameters[name] = (
                parameters[name] if name in parameters else self.value(declared["defaultValue"])
            )
        self.resources = [one for found in template["resources"] for one in self._resources(found)]
        self._known = True
        self.outputs = {n: self.value(o["value"]) for n, o in template.get("outputs", {}).items()}

    def id_of(self, kind: str, *names: str) -> str:
        """The ID of a resource in the deployment's group."""
        return _resource_id(self.group, kind, *names)

    def _resources(self, found: Mapping[str, Any]) -> list[dict[str, Any]]:
        copies = self.value(found["copy"]["count"]) if "copy" in found else 1
        made = []
        for self._index in range(copies):
            if not self.value(found.get("condition", True)):
                continue
            self._known = False
            given = {key: found[key] for key in found if key not in ("copy", "condition", "properties")}
            one = self.value(given)
            self._known = True
            properties = dict(found["properties"])
            inner = properties.pop("template", None)
            one["properties"] = self.value(properties)
            self._known = False
            if inner is not None:
                values = {n: p["value"] for n, p in one["properties"]["parameters"].items()}
                one["inner"] = Deployment(inner, values, one["resourceGroup"]).resources
            made.append(one)
        return made

    def value(self, given: Any) -> Any:
        """``given`` with its expressions evaluated."""
        if isinstance(given, dict):
            return {self.value(key): self.value(value) for key, value in given.items()}
        if isinstance(given, list):
            return [self.value(value) for value in given]
        if isinstance(given, str) and given.startswith("[") and not given.startswith("[["):
            if not given.endswith("]"):
                raise ValueError(f"no expression: {given}")
            return _Expression(given[1:-1], self).whole()
        return given

    def call(self, name: str, arguments: list[Callable[[], Any]]) -> Any:
        """The value of a function. Arguments are evaluated when they are needed."""
        if name == "if":
            return arguments[1]() if arguments[0]() else arguments[2]()
        if name == "lambda":
            return (arguments[0](), arguments[1])
        return getattr(self, f"_{name}")(*(argument() for argument in arguments))

    def _parameters_(self, name: str) -> Any:
        return self._parameters[name]

    def _variables(self, name: str) -> Any:
        known, self._known = self._known, False
        try:
            return self.value(self._template["variables"][name])
        finally:
            self._known = known

    def _reference(self, resource: str, version: str, whole: str = "") -> Any:
        if not self._known:
            raise ValueError(f"reference() to {resource} before anything is deployed")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", version)
        blob = f"https://{resource.rpartition('/')[2]}.blob.core.windows.net/"
        if whole == "Full":
            return {"identity": {"principalId": f"principal of {resource}"}}
        return {
            "defaultHostName": f"{resource.rpartition('/')[2]}.azurewebsites.net",
            "principalId": f"principal of {resource}",
            "clientId": f"client of {resource}",
            "ConnectionString": f"connection of {resource}",
            "primaryEndpoints": {"blob": blob},
        }

    def _map(self, items: list[Any], function: tuple[str, Callable[[], Any]]) -> list[Any]:
        results = []
        for item in items:
            self._lambda[function[0]] = item
            results.append(function[1]())
        return results

    def _items(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"key": key, "value": given[key]} for key in sorted(given)]

    def _lambdaVariables(self, name: str) -> Any:  # noqa: N802 - the function's own name
        return self._lambda[name]

    def _copyIndex(self) -> int:  # noqa: N802
        return self._index

    def _resourceId(self, *parts: str) -> str:  # noqa: N802
        return self.id_of(*parts)

    def _extensionResourceId(self, scope: str, *parts: str) -> str:  # noqa: N802
        return _resource_id(scope, *parts)

    def _subscriptionResourceId(self, *parts: str) -> str:  # noqa: N802
        return _resource_id(f"/subscriptions/{SUBSCRIPTION}", *parts)

    def _resourceGroup(self) -> dict[str, str]:  # noqa: N802
        return {"id": self.group, "location": "westeurope"}

    def _subscription(self) -> dict[str, str]:
        return {"id": f"/subscriptions/{SUBSCRIPTION}", "tenantId": "00000000-0000-0000-0000-0000000000cc"}

    def _environment(self) -> dict[str, Any]:
        return {
            "suffixes": {"storage": "core.windows.net"},
            "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
        }

    def _concat(self, *parts: Any) -> Any:
        return [x for p in parts for x in p] if isinstance(parts[0], list) else "".join(map(str, parts))

    def _join(self, items: list[str], between: str) -> str:
        return between.join(items)

    def _uniqueString(self, *parts: str) -> str:  # noqa: N802
        return _hash(*parts)[:13]

    def _guid(self, *parts: str) -> str:
        return str(uuid.UUID(_hash(*parts)[:32]))

    def _createArray(self, *items: Any) -> list[Any]:  # noqa: N802
        return list(items)

    def _createObject(self, *items: Any) -> dict[str, Any]:  # noqa: N802
        return dict(zip(items[::2], items[1::2], strict=True))

    def _empty(self, value: Any) -> bool:
        return not value

    def _not(self, value: Any) -> bool:
        return not value

    def _and(self, *values: bool) -> bool:
        return all(values)

    def _or(self, *values: bool) -> bool:
        return any(values)

    def _string(self, value: Any) -> str:
        return str(value)  # of a bool: True, False

    def _split(self, text: str, at: str) -> list[str]:
        return text.split(at)

    def _last(self, items: Any) -> Any:
        return items[-1]

    def _length(self, items: Any) -> int:
        return len(items)

    def _join(self, items: list[str], between: str) -> str:
        return between.join(items)


class _Expression:
    """A parser of one expression, by recursive descent. Every part becomes a function without arguments."""

    def __init__(self, text: str, deployment: Deployment) -> None:
        self._text, self._at, self._deployment = text, 0, deployment

    def whole(self) -> Any:
        """The value of the text."""
        found = self._part()
        if self._text[self._at :].strip():
            raise ValueError(f"no expression: {self._text}")
        return found()

    def _next(self) -> tuple[str, Any]:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise ValueError(f"no expression at {self._at}: {self._text}")
        self._at = match.end()
        text, number, name, sign = match.groups()
        if text is not None:
            return "text", text.replace("''", "'")
        return ("number", int(number)) if number else ("name", name) if name else ("sign", sign)

    def _peek(self) -> str:
        """The sign that comes next; empty if it is no sign."""
        at = self._at
        kind, value = self._next() if self._text[at:].strip() else ("end", "")
        self._at = at
        return value if kind == "sign" else ""

    def _part(self) -> Callable[[], Any]:
        kind, value = self._next()
        found: Callable[[], Any] = (lambda: value) if kind in ("text", "number") else self._call(kind, value)
        while self._peek() in (".", "["):
            sign = self._next()[1]
            inner = found
            if sign == ".":
                name = self._next()[1]
                found = lambda inner=inner, name=name: inner()[name]  # noqa: E731
            else:
                index = self._part()
                self._expect("]")
                found = lambda inner=inner, index=index: inner()[index()]  # noqa: E731
        return found

    def _call(self, kind: str, name: str) -> Callable[[], Any]:
        if kind != "name":
            raise ValueError(f"no expression: {self._text}")
        self._expect("(")
        arguments = []
        while self._peek() != ")":
            arguments.append(self._part())
            if self._peek() == ",":
                self._next()
        self._expect(")")
        called = "parameters_" if name == "parameters" else name
        return lambda: self._deployment.call(called, arguments)

    def _expect(self, sign: str) -> None:
        if self._next() != ("sign", sign):
            raise ValueError(f"{sign} is missing: {self._text}")
