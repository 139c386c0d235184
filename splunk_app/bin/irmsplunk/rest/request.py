"""A request as splunkd passes it to a persistent handler, validated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from irmcore.errors import ConfigurationError

#: The most characters of one form field; a profile has a few thousand.
_LONGEST_FIELD = 256 * 1024
#: The fields that have lines. In any other, a line break could add a setting or a stanza to a conf file, and
#: a backslash at the end would join the next line.
_TEXTS = ("profile_yaml", "sample", "why")
_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]|\\\Z")


@dataclass(frozen=True)
class Request:
    """``path`` is what follows the endpoint; ``user_key`` is the session of the user who made the request."""

    method: str
    endpoint: str
    path: tuple[str, ...]
    form: Mapping[str, str] = field(repr=False)
    uri: str
    user_key: str = field(repr=False)
    system_key: str = field(repr=False)
    #: Whether the app's pages ask, which name their buttons as next steps.
    for_pages: bool = False

    @staticmethod
    def parse(text: str | bytes) -> Request:
        """Raises ConfigurationError if the request is malformed, too long, or has a secret in its address."""
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
                "the address of the request contained a secret, and splunkd logs addresses",
                where="irmexport",
                next_step="Replace the secret in Entra ID, and send the new one in the body.",
            )
        for key, value in form.items():
            if len(value) > _LONGEST_FIELD:
                raise ConfigurationError(
                    "a form field is too long",
                    where=key[:40],
                    next_step=f"Send at most {_LONGEST_FIELD // 1024} KiB; nothing was saved.",
                )
        return Request(
            method=str(raw.get("method", "GET")).upper(),
            endpoint=parts[0],
            path=tuple(parts[1:]),
            form=form,
            uri=uri,
            user_key=user_key,
            system_key=str(raw.get("system_authtoken", "")),
            for_pages="pages" in query,
        )


def refuse_line_breaks(form: Mapping[str, str]) -> None:
    """Raises ConfigurationError if the name of a field, or a value that is no text, is not one line."""
    for key, value in form.items():
        if _NOT_ONE_LINE.search(key) or (key not in _TEXTS and _NOT_ONE_LINE.search(value.strip())):
            raise ConfigurationError(
                f"`{_NOT_ONE_LINE.sub(' ', key)[:40]}` has a line break or another control character, or "
                "ends with a backslash",
                where="irmexport",
                next_step="Send its value as one line; nothing was saved.",
            )
