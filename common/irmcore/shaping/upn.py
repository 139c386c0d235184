"""User principal names: checked by Microsoft Entra's rules and converted to lower case.

Entra ignores case in user principal names. One spelling for each user is what makes two rows of one
(user, time) pair recognizable before the connector drops one of them. Whether the user exists is not
checked.
"""

from __future__ import annotations

import re

from irmcore.reasons import Refused

_LONGEST_NAME = 64
_LONGEST_DOMAIN = 48

# A guest is user_contoso.com#EXT#@tenant.onmicrosoft.com: it has one @, so it needs no rule of its own.
_UPN = re.compile(
    r"(?!\.)[A-Za-z0-9'.\-_!#^~]{1,64}(?<!\.)"
    r"@(?=[A-Za-z0-9.\-]{1,48}\Z)"
    r"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?)+"
).fullmatch
# What an aggregation or macro writes in place of a user that it cannot resolve: `?ambiguous NAME: UPN, UPN`.
# No user principal name begins with a question mark.
_MARKER = re.compile(r"\?(ambiguous|unknown|validity-unknown) ").match
_DOWN_LEVEL = re.compile(r"[^\\@]+\\[^\\@]+").fullmatch


def canonical(text: str) -> str:
    """The name in lower case, without surrounding spaces. Raises Refused."""
    if _UPN(text):
        return text.lower()
    trimmed = text.strip(" ")
    if _UPN(trimmed):
        return trimmed.lower()
    raise Refused(_defect(trimmed))


def _defect(text: str) -> str:
    """The most helpful reason code for a text that is not a user principal name."""
    marker = _MARKER(text)
    if marker is not None:
        return f"user-{marker[1]}"
    if _DOWN_LEVEL(text):
        return "upn-down-level-name"
    if not text.isascii():
        return "upn-not-ascii"
    if text and "@" not in text:
        return "upn-without-domain"
    name, _, domain = text.partition("@")
    if "@" not in domain and (len(name) > _LONGEST_NAME or len(domain) > _LONGEST_DOMAIN):
        return "upn-too-long"
    return "upn-malformed"
