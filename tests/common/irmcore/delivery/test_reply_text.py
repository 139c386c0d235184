"""A hostile reply, however it writes what the request held, leaves nothing of it in the text that is kept."""

from __future__ import annotations

import base64
import html
import json
import re
import time
import unicodedata
from typing import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from irmcore.delivery.reply_text import redacted
from irmcore.http.outcome import error_code, request_id

TOKEN = "eyJ0eXAiOiJKV1Qi.eyJhdWQiOiI4NmRmZGFi.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
COLUMNS = ("UserPrincipalName", "EventText")


def every(text: str, form: str) -> str:
    """Each character in a form."""
    return "".join(form.format(ord(char)) for char in text)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper": str.upper,
    "lower": str.lower,
    "swapped": str.swapcase,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, escaped slash": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "HTML": html.escape,
    "HTML, every character": lambda text: every(text, "&#{};"),
    "HTML, hexadecimal": lambda text: every(text, "&#x{:x};"),
    "percent": quote,
    "percent, every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of more": lambda text: base64.b64encode(f"user={text}&x=1".encode()).decode(),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
}
#: Those that can follow another one without destroying it.
OUTER = [name for name in sorted(ENCODINGS) if name not in ("upper", "lower", "swapped")]
WORDS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="…"),
    min_size=4,
    max_size=30,
).filter(lambda word: not any(name.casefold() in word.casefold() for name in COLUMNS))  # those stay readable


def kept(text: str, *values: str, page: bool = False, cut: bool = False) -> str:
    """What is kept of a reply to a request with these values."""
    return redacted(text, values, names=COLUMNS, token=TOKEN, page=page, cut=cut)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "value", ["sarad@contoso.com", 'Doe, "Jane" & <co>', "Müller/Straße 100%", "abcd\\efgh\\u0041c"]
)
def test_a_value_in_each_encoding(value: str, encoding: str) -> None:
    """Nothing of it is left, and the rest of the sentence is."""
    said = kept(f"The row [{ENCODINGS[encoding](value)}] is invalid.", value)
    assert said.startswith("The row [")
    assert said.endswith("] is invalid.")
    words = [word for word in re.findall(r"\w{4,}", value.casefold()) if word != "u0041c"]
    assert words
    assert not any(word in said.casefold() for word in words)


#: What a page of another character set, or another service's escapes, make of a text.
CHARACTER_SETS: dict[str, Callable[[str], str]] = {
    "Latin-1 read as UTF-8": lambda text: text.encode("latin-1").decode("utf-8", "replace"),
    "UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
    "UTF-8 read as Windows-1252": lambda text: text.encode().decode("cp1252", "replace"),
    "UTF-16 read as UTF-8": lambda text: text.encode("utf-16-le").decode("utf-8", "replace"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "escaped bytes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "percent, UTF-16 units": lambda text: every(text, "%u{:04X}"),
}


@pytest.mark.parametrize("encoding", CHARACTER_SETS)
def test_a_value_in_another_character_set(encoding: str) -> None:
    """A name with an accent is hidden as well, not only its ASCII letters' neighbours."""
    said = kept(
        f"row [{CHARACTER_SETS[encoding]('josé.garcía@contoso.com')}] is invalid", "josé.garcía@contoso.com"
    )
    assert said.replace("\0", "").startswith("row […")
    assert said.endswith("] is invalid")
    assert not any(
        part in unicodedata.normalize("NFC", said).replace("\0", "") for part in ("jos", "garc", "contoso")
    )


@given(WORDS, st.sampled_from(sorted(ENCODINGS)), st.sampled_from(OUTER))
@example("0000%41", "as it is", "percent")
@example("000ı", "upper", "HTML")
def test_any_value_in_any_two_encodings(value: str, inner: str, outer: str) -> None:
    """One encoding in another, such as JSON in a percent-encoded parameter."""
    if "base64" in inner or "hexadecimal" in inner:
        outer = "as it is"
    echoed = ENCODINGS[outer](ENCODINGS[inner](value))
    said = kept(f"invalid: ({echoed})", value)
    assert value.casefold() not in said.casefold()
    assert echoed not in said


@pytest.mark.parametrize("outer", OUTER)
def test_a_value_in_each_two_encodings(outer: str) -> None:
    """It is found, not only left in a form that a reader could undo."""
    for inner, encode in ENCODINGS.items():
        if "base64" not in inner and "hexadecimal" not in inner:
            echoed = ENCODINGS[outer](encode("sarad@contoso.com"))
            said = kept(f"invalid: ({echoed})", "sarad@contoso.com")
            assert re.sub("[…@=]", "", said) == "invalid: ()", inner


@given(st.sampled_from(sorted(ENCODINGS)), st.integers(0, 40), st.integers(12, 40))
def test_any_part_of_the_token(encoding: str, start: int, length: int) -> None:
    """A page may show the beginning of the token, or wrap it."""
    part = TOKEN[start : start + length]
    assert part not in kept(f"Authorization: Bearer {ENCODINGS[encoding](part)}")
    said = kept(f"Authorization: Bearer {part[:10]}\n{part[10:]}")
    assert part[:10] not in said


@given(st.text(max_size=300), st.lists(WORDS, max_size=4))
def test_any_text_at_all(text: str, values: list[str]) -> None:
    """No text makes it fail, and no value is ever in what it keeps."""
    said = kept(text + "".join(values), *values)
    assert not any(value.casefold() in said.casefold() for value in values)


def test_the_columns_stay_readable() -> None:
    """Although a row says `User` and `text`."""
    said = kept("Column UserPrincipalName: user x of EventText", "User", "text")
    assert said == "Column UserPrincipalName: … x of EventText"


def test_of_a_page_only_the_title_is_kept() -> None:
    """Its text may be an echo of all headers."""
    page = f"<html><head><title>Blocked: sarad@contoso.com</title></head><body>{TOKEN} and more</body></html>"
    assert kept(page, "sarad@contoso.com", page=True) == "Blocked: …"
    assert kept(f"<html><body>{TOKEN}</body></html>", page=True) == ""


def test_the_end_of_a_text_that_was_cut() -> None:
    """It may be the beginning of a value, which nothing would find."""
    assert kept("x" * 300 + " sar", "sarad@contoso.com", cut=True) == "x" * 104


def test_short_values_say_nothing() -> None:
    """A number, a code: hiding them would hide the service's own words."""
    assert kept("line 50: Low", "50", "Low") == "line 50: Low"


def test_a_large_batch_takes_no_time() -> None:
    """A hundred thousand values, as in the largest batch."""
    values = [f"2026-11-{n % 28 + 1:02}T{n:06} user{n}@contoso.com" for n in range(100_000)]
    begin = time.process_time()
    assert "user77@" not in kept("2026 " * 300 + values[77], *values)
    assert time.process_time() - begin < 30


@pytest.mark.parametrize("text", [TOKEN, "sarad@contoso.com", "4711-secret", "", None, 7, "0" * 65, "a" * 15])
def test_what_is_no_request_id(text: object) -> None:
    """An echo of the request in the header is not stored."""
    assert request_id(text) == ""


def test_what_is_a_request_id() -> None:
    """GUIDs and hexadecimal digits."""
    assert request_id("26bf872e-f7df-49d6-8b9d-c75fa14f962e") == "26bf872e-f7df-49d6-8b9d-c75fa14f962e"


@pytest.mark.parametrize(
    "code", ["AF20022", "BadArgumentError", "E_RUNAWAY_QUERY", "Request_ResourceNotFound", "SEM0100"]
)
def test_error_codes(code: str) -> None:
    """Codes of Microsoft's services are shown."""
    assert error_code(code) == code


@pytest.mark.parametrize(
    "text", [TOKEN, TOKEN[:30], "sarad@contoso.com", "two words", "", None, "a" * 61, "<b>"]
)
def test_what_is_no_error_code(text: object) -> None:
    """A code is the reply's own word: what does not look like one may be an echo."""
    assert error_code(text) == ""
