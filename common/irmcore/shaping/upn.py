"""User principal names: the one spelling that a user of Microsoft Entra has in our rows.

Promised: Entra's rule for the characters and lengths, and lower case. Entra compares user
principal names without case, so two spellings are one user; only in one spelling are two rows of
one (user, time) pair found before the connector drops one. Only A-Z change: nothing else is in a
valid name. Not done: no look-up; a well-formed name may be of nobody.
"""

from __future__ import annotations

import re

from irmcore.reasons import Refused

_LONGEST_NAME = 64
_LONGEST_DOMAIN = 48

# A guest is user_contoso.com#EXT#@tenant.onmicrosoft.com: one @ only, so it needs no rule.
_UPN = re.compile(
    r"(?!\.)[A-Za-z0-9'.\-_!#^~]{1,64}(?<!\.)"
    r"@(?=[A-Za-z0-9.\-]{1,48}\Z)"
    r"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?)+"
).fullmatch
_DOWN_LEVEL = re.compile(r"[^\\@]+\\[^\\@]+").fullmatch


def canonical(text: str) -> str:
    """The name in lower case, without spaces around it, or Refused."""
    if _UPN(text):
        return text.lower()
    trimmed = text.strip(" ")
    if _UPN(trimmed):
        return trimmed.lower()
    raise Refused(_defect(trimmed))


def _defect(text: str) -> str:
    """The reason code that helps most with a text which is no user principal name."""
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
