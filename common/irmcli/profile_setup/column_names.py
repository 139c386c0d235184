"""What the name of a column tells: who, when, an amount or an identifier. Pure.

A name is split into words, and only whole words tell something: `factor` is no actor. Words that are written
together are split if all of them are known: `useremail`, `eventtime`.
"""

import itertools
import re
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple


class Who(IntEnum):
    """Whom a column of names tells of. Less is better; a target is never taken without asking."""

    ACTOR = 0
    USER = 1
    UNTOLD = 2
    OWNER = 3
    TARGET = 4


class When(IntEnum):
    """What happened at the times of a column. Less is better; another time is never taken without asking."""

    EVENT = 0
    TIME = 1
    QUALIFIED = 2
    CREATED = 3
    OTHER = 4


class Meaning(NamedTuple):
    """What a name tells, and the reason in words: "names an actor"."""

    rank: int
    why: str
    tells: bool = True


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ACTORS = _words_of(
    """
    actor initiator initiated initiating performer performed caller operator requester requestor
    submitter uploader downloader sender acting
    """
)
#: Actors if the values are names: a column `source` may also hold the product.
_SOURCES = _words_of("source src from")
#: `VERB by` names the actor. `created by` and others may name the maker of a record: they only name a user.
_DONE_BY = _words_of(
    """
    accessed changed copied deleted done downloaded executed exported initiated performed printed
    requested run sent shared submitted triggered uploaded
    """
)
_USERS = _words_of(
    """
    user users username upn userprincipalname principal login logon account identity employee person
    cardholder holder staff worker author by
    benutzer benutzername anwender anmeldename mitarbeiter utilisateur usuario
    """
)
_ADDRESSES = _words_of("email mail address")
_OWNERS = _words_of("owner owned")
_TARGETS = {
    word: why
    for why, listed in (
        ("a target", "target targeted to dest destination dst affected object entity with for"),
        ("a recipient", "recipient recipients receiver cc bcc"),
        ("a manager", "manager managed supervisor boss"),
        ("an assignee", "assignee assigned"),
        ("an approver", "approver approved reviewer reviewed"),
        ("a participant", "invitee collaborator participant attendee accessible member"),
        ("a changed value", "new old previous former"),
        ("another person", "delegate behalf grantee victim blocked"),
    )
    for word in listed.split()
}
#: Something about a person that is no name of the person.
_ATTRIBUTES = _words_of(
    """
    agent app application browser city client country count department device body display domain group
    host hostname ip key language location mac os port region role service session status system title
    type workload
    """
)
_IDS = _words_of("id sid guid uuid")

_EVENTS = _words_of(
    """
    event activity action occurred occurrence happened operation observed detected detection aggregation
    """
)
_TIMES = _words_of(
    """
    time timestamp datetime date when ts usec usecs millis
    zeit zeitpunkt zeitstempel datum uhrzeit heure fecha hora
    """
)
_CREATIONS = _words_of("created creation create received logged")
_OTHERS = _words_of(
    """
    index indexed ingest ingested ingestion indexing update updated modified modification changed expiry
    expires expire expired expiration processed processing receipt recorded imported import exported export
    extracted collected loaded stored archived synced refresh refreshed last next due valid until hire
    inserted
    hired birth birthday retention review reviewed
    """
)
#: Words beside `time` that tell nothing about what happened then.
_NEUTRAL = _words_of("at on of the in utc gmt z local ms epoch unix iso sys id derived generated")

_AMOUNTS = _words_of(
    """
    count counts counter amount size bytes total score risk probability volume duration quantity qty sum
    rate percent percentage weight length kb mb gb tb ms seconds minutes hours days files pages rows
    records events messages mails emails items attempts logins downloads uploads prints copies
    attachments alerts hits failures visits changes deletions shares documents megabytes gigabytes
    anzahl menge summe volumen größe groesse dateien seiten zeilen nombre cantidad
    """
)
_IDENTIFIERS = _words_of(
    """
    id sid guid uuid account asn badge card case code cpr device employee extension fax floor imei
    incident index key line mobile month nbr no nr num number offset order phone pid pin plz port postal
    postcode room serial ssn telephone tenant ticket type version vlan year zip
    status level severity priority rank grade class result latitude longitude lat lon http response
    stufe schweregrad
    """
)
_SEVERITIES = _words_of("severity level risk priority criticality stufe schweregrad risiko priorität")
_WORDS = {
    *(_ACTORS | _SOURCES | _DONE_BY | _USERS | _ADDRESSES | _OWNERS | _TARGETS.keys() | _ATTRIBUTES | _IDS),
    *(_EVENTS | _TIMES | _CREATIONS | _OTHERS | _AMOUNTS | _IDENTIFIERS),
    *("name", "product", "vendor", "subject", "at", "on"),
}
_LONGEST = max(map(len, _WORDS))


@lru_cache(maxsize=4096)
def words(header: str) -> tuple[str, ...]:
    """The words of a column name in lower case: camelCase, snake_case, dots and digits separate them."""
    found: list[str] = []
    for run in re.findall(r"[^\W\d_]+|[0-9]+", header):
        parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", run) if run.isascii() else []
        for part in parts or [run]:
            found += _known_words(part.lower()) or [part.lower()]
    return tuple(found)


def _known_words(text: str) -> list[str]:
    """The known words that ``text`` consists of, as few as possible; empty if it does not."""
    if text in _WORDS:
        return [text]
    best: list[str] = []
    for end in range(3, min(len(text) - 1, _LONGEST + 1)):  # two letters, as of `by`, only stand at the end
        if text[:end] in _WORDS:
            rest = _known_words(text[end:])
            if rest and (not best or len(rest) + 1 < len(best)):
                best = [text[:end], *rest]
    return best


def who(header: str) -> Meaning:
    """Whom a column of names tells of."""
    found = words(header)
    for word in found:
        if word in _TARGETS:
            return Meaning(Who.TARGET, f"names {_TARGETS[word]}")
    has = set(found)
    if has & _OWNERS:
        return Meaning(Who.OWNER, "names an owner")
    subject = "subject" in has and has & _USERS
    if has & (_ACTORS | _SOURCES) or subject or ("by" in has and has & _DONE_BY):
        return Meaning(Who.ACTOR, "names an actor")
    if has & _USERS:
        return Meaning(Who.USER, "names a user")
    return Meaning(Who.UNTOLD, "does not tell whose address it is", tells=False)


def names_person(header: str) -> bool:
    """Whether the column's values should be names of people, even if they are no user principal names."""
    has = set(words(header))
    return bool(has & (_ACTORS | _USERS | _OWNERS | {"email", "mail"})) and not has & _ATTRIBUTES


def names_utc(header: str) -> bool:
    """Whether the column's name says that its times are in UTC."""
    return bool(set(words(header)) & {"utc", "gmt"})


def names_severity(header: str) -> bool:
    """Whether the column's name says that it tells how bad something is."""
    return bool(set(words(header)) & _SEVERITIES)


def names_upn(header: str) -> bool:
    """Whether the column's name says that it holds user principal names."""
    found = words(header)
    return bool({"upn", "userprincipalname"} & set(found)) or _has_phrase(found, "user", "principal")


def names_address(header: str) -> bool:
    """Whether the column's name says that it holds mail addresses, which may differ from principal names."""
    return bool(_ADDRESSES & set(words(header))) and not names_upn(header)


def names_maker(header: str) -> bool:
    """Whether the name is like `created by`, which may be an actor or the maker of a record."""
    return "by" in words(header)


def names_id(header: str) -> bool:
    """Whether the column's name says that it holds identifiers of people, not names."""
    return bool(_IDS & set(words(header)))


def when(header: str) -> Meaning:
    """What happened at the times of a column."""
    found = words(header)
    has = set(found)
    other = next((word for word in found if word in _OTHERS), None)
    if other is None and has & _CREATIONS and has & {"account", "user"}:
        other = "account"
    if other == "last" and has & _EVENTS:
        return Meaning(When.QUALIFIED, "names the time of a last event")
    if other is not None:
        return Meaning(When.OTHER, f"names another time ({other})")
    if has & _EVENTS:
        return Meaning(When.EVENT, "names the time of the event")
    if has & _CREATIONS:
        return Meaning(When.CREATED, "names the time of a creation")
    if has & _TIMES:
        only = has <= _TIMES | _NEUTRAL
        return Meaning(When.TIME, "names the time") if only else Meaning(When.QUALIFIED, "names a time")
    return Meaning(When.CREATED, "does not tell which time it is", tells=False)


def names_time(header: str) -> bool:
    """Whether the column's name says that it holds times."""
    return bool(set(words(header)) & (_TIMES | _CREATIONS | _EVENTS & {"occurred", "happened"}))


def names_amount(header: str) -> bool:
    """Whether the numbers of a column say how much or how many: the count, the size, the number of."""
    found = words(header)
    if _has_phrase(found, "number", "of"):
        return True
    return bool(set(found) & _AMOUNTS) and _last(found) not in _IDENTIFIERS


def names_identifier(header: str) -> bool:
    """Whether the numbers of a column say which one: an account, a badge, a port, a year."""
    return bool(set(words(header)) & _IDENTIFIERS) and not names_amount(header)


def _has_phrase(found: tuple[str, ...], first: str, second: str) -> bool:
    return (first, second) in itertools.pairwise(found)


def _last(found: tuple[str, ...]) -> str:
    """The last word, which is the noun that the others qualify, without a trailing number."""
    return next((word for word in reversed(found) if not word.isdecimal()), "")
