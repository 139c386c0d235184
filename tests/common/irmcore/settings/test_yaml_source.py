"""YAML as plain values: the value of each text, the line of each value, and what is refused."""

from __future__ import annotations

import pytest
from irmcore.errors import ProfileError
from irmcore.profile.load import PROFILE
from irmcore.settings.yaml_source import MAX_CHARACTERS, Source


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("text", "text"),
        ("'text'", "text"),
        ("zo\u00eb", "zo\u00eb"),
        ("'\ud7ff\ue000\U0001f600'", "\ud7ff\ue000\U0001f600"),
        ('"tab\\t"', "tab\t"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("7", 7),
        ("'7'", "7"),
        ("1_000", 1000),
        ("010", 8),
        ("12:30", 750),
        ("1.5", 1.5),
        ("true", True),
        ("no", False),
        ("on", True),
        ("'no'", "no"),
        ("NO", False),
        ("n", "n"),
        ("~", None),
        ("", None),
        ("2023-04-24", "2023-04-24"),
        ("2023-04-24T05:52:56Z", "2023-04-24T05:52:56Z"),
        ("2023-99-99", "2023-99-99"),
        ("=", "="),
        ("<<", "<<"),
        ("0x_", "0x_"),
        ("9" * 5000, "9" * 5000),
        ("[a, 1]", ["a", 1]),
        ("{b: c}", {"b": "c"}),
        ("{1: a, no: b, 2023-04-24: c, ~: d}", {"1": "a", "no": "b", "2023-04-24": "c", "~": "d"}),
        ("{<<: {b: c}}", {"<<": {"b": "c"}}),
        ("&anchor text", "text"),
    ],
)
def test_a_value(written: str, value: object) -> None:
    """A value has its YAML 1.1 type, except that dates and all keys are text."""
    found = Source(f"key: {written}", "p.yaml", PROFILE).value
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


LINES = """\
# a comment
name: demo

columns:
  - header: a
    values: [x,
      y]
  - {header: b, type: c}
text: |
  one
  two
last: 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("name",), 2),
        (("columns",), 4),
        (("columns", 0), 5),
        (("columns", 0, "header"), 5),
        (("columns", 0, "values"), 6),
        (("columns", 0, "values", 0), 6),
        (("columns", 0, "values", 1), 7),
        (("columns", 1), 8),
        (("columns", 1, "type"), 8),
        (("columns", 1, "absent"), 8),
        (("columns", 9, "absent", "deeper"), 4),
        (("text",), 9),
        (("last",), 12),
        (("absent",), 1),
    ],
)
def test_a_line(path: tuple[str | int, ...], line: int) -> None:
    """A value is on the line of its key; a missing value is on the line of the value around it."""
    source = Source(LINES, "p.yaml", PROFILE)
    assert source.line(path) == line
    assert source.where(path) == f"p.yaml:{line}"


INVALID = (
    "this is not valid YAML. "
    "Look for a missing colon or quote, or wrong indentation, on this line or the one above."
)
TAG = "YAML tags are not supported. Remove the tag (the word that begins with !)."
ALIAS = "YAML aliases (*name) are not supported. Write the value out."
DEEP = "the profile is nested deeper than 20 levels. Look for an unclosed bracket."
HALF = (
    "this text contains half of a surrogate pair (an escape \\uD800 to \\uDFFF). "
    "Write the character itself, or its escape \\U with eight digits."
)
PLAIN = "a key must be plain text. Look for a missing quote around a value that begins with [ or {."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x b\nc: *x", f"p.yaml:2: {ALIAS}"),
        ("a: &x [b]\nc: [*x, *x]", f"p.yaml:2: {ALIAS}"),
        ("a: 1\nb: !!python/object:os.system x", f"p.yaml:2: {TAG}"),
        ("a: 1\nb: !!python/object/apply:os.system [x]", f"p.yaml:2: {TAG}"),
        ("a: 1\nb: !!python/object:os.system {x: y}", f"p.yaml:2: {TAG}"),
        ("a: 1\nb: !!set {x, y}", f"p.yaml:2: {TAG}"),
        ("a: 1\nb: !!str 5", f"p.yaml:2: {TAG}"),
        ("a: 1\nb: !!bool perhaps", f"p.yaml:2: {TAG}"),
        ("a: 1\nb: !!int ''", f"p.yaml:2: {TAG}"),
        ("a: 1\n!key b: 2", f"p.yaml:2: {TAG}"),
        ("a: 1\na: 2", "p.yaml:2: duplicate key `a`. Remove one of the two."),
        (
            "a: 1\nb: {c: 1,\n 'c': 2}",
            "p.yaml:3: duplicate key `c`. Remove one of the two.",
        ),
        ("a: 1\n[b, c]: 2", f"p.yaml:2: {PLAIN}"),
        ("a: 1\n{b: c}: 2", f"p.yaml:2: {PLAIN}"),
        ("a: 1\n--- \nb: 2", f"p.yaml:2: {INVALID}"),
        ("a: 1\n---\n", f"p.yaml:2: {INVALID}"),
        ("a: 1\n\tb: 2", f"p.yaml:2: {INVALID}"),
        ("a: 'b", f"p.yaml:1: {INVALID}"),
        ("a: b: c", f"p.yaml:1: {INVALID}"),
        ("a: %b", f"p.yaml:1: {INVALID}"),
        ("a: @b", f"p.yaml:1: {INVALID}"),
        ("a: \x1f", f"p.yaml: {INVALID}"),
        ("a: \0", f"p.yaml: {INVALID}"),
        ("a: \ud800", f"p.yaml: {INVALID}"),
        ("a: 1\nb: \ufffe", f"p.yaml: {INVALID}"),
        ('a: "\\UFFFFFFFF"', f"p.yaml: {INVALID}"),
        ('a: "\\U00110000"', f"p.yaml: {INVALID}"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1", f"p.yaml: {INVALID}"),
        ('a: 1\nb: "\\ud83d"', f"p.yaml:2: {HALF}"),
        ('a: 1\n"\\udc00": 2', f"p.yaml:2: {HALF}"),
        ("a:\n " + "[" * 5000 + "]" * 5000, f"p.yaml:2: {DEEP}"),
        ("a:\n " + "{b: " * 5000 + "}" * 5000, f"p.yaml:2: {DEEP}"),
        (
            "a: " + "b" * MAX_CHARACTERS,
            "p.yaml: the profile is larger than 256 KiB. Check that this is the right file.",
        ),
    ],
)
def test_what_is_refused(text: str, expected: str) -> None:
    """YAML features that settings do not need, and invalid YAML, are refused with the line if known."""
    with pytest.raises(ProfileError) as caught:
        Source(text, "p.yaml", PROFILE)
    assert str(caught.value) == expected


def test_what_is_just_allowed() -> None:
    """The maximum length and depth, an end mark and an escape beyond the basic plane are accepted."""
    assert len(Source("a: " + "b" * (MAX_CHARACTERS - 3), "p.yaml", PROFILE).value["a"]) == MAX_CHARACTERS - 3
    assert Source("[" * 20 + "]" * 20, "p.yaml", PROFILE).value == eval("[" * 20 + "]" * 20)  # noqa: S307
    assert Source("%YAML 1.1\n---\na: 1\n...\n", "p.yaml", PROFILE).value == {"a": 1}
    assert Source('a: "\\U0001f469"', "p.yaml", PROFILE).value == {"a": "\U0001f469"}
