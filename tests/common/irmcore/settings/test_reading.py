"""Settings of any kind: defaults, overrides, and the message for each way a value can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from irmcore.errors import ConfigurationError, DataError
from irmcore.settings import Kind, did_you_mean, parse, read

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"description": "The name.", "type": "string", "minLength": 1, "maxLength": 5},
        "retries": {"description": "How often to retry.", "type": "integer", "minimum": 0, "default": 3},
        "on": {"description": "Whether it is on.", "type": "boolean"},
        "tags": {
            "description": "Tags.",
            "type": "array",
            "minItems": 2,
            "maxItems": 3,
            "uniqueItems": True,
            "items": {"type": "string"},
        },
        "mode": {"description": "Mode.", "enum": ["fast", "slow"]},
        "only": {"description": "Only.", "enum": ["one"]},
        "size": {"description": "Size.", "type": "integer", "maximum": 9},
        "map": {"description": "Map.", "type": "object", "maxProperties": 1},
        "trio": {
            "description": "Trio.",
            "type": "object",
            "required": ["left", "mid", "right"],
            "properties": {
                side: {"description": f"{side}.", "type": "string"} for side in ("left", "mid", "right")
            },
        },
        "http": {
            "description": "HTTP.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "port": {"description": "The port.", "type": "integer", "default": 443},
                "host": {"description": "The host.", "type": "string"},
            },
        },
        "tls": {"type": "object", "properties": {"ca": {"type": "string"}}},
        "token": {
            "x-secret-reference": True,
            "description": "Where to read the token: {env: NAME}.",
            "type": "object",
            "additionalProperties": False,
            "properties": {"env": {"type": "string", "pattern": "^[A-Z]+$"}},
        },
    },
}


REFERENCE = "r.yaml:2: `token` is not a valid reference to a secret. Where to read the token: {env: NAME}."
ON_DISK = "If this is a secret itself, replace it: it has been on disk."


@pytest.fixture
def kind(tmp_path: Path) -> Kind:
    """A kind of settings with one key of each form."""
    (tmp_path / "robot.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    return Kind(name="robot file", schema_file=tmp_path / "robot.schema.json", start="Copy robot.yaml.")


def test_defaults_are_filled_in_at_any_depth(kind: Kind) -> None:
    """Given values stay, and a mapping without any default stays absent."""
    assert parse("name: r2", "r.yaml", kind).value == {"name": "r2", "retries": 3, "http": {"port": 443}}
    given = parse("name: r2\nretries: 0\nhttp: {host: h}\n", "r.yaml", kind).value
    assert given == {"name": "r2", "retries": 0, "http": {"host": "h", "port": 443}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: r2\nretrys: 1", "r.yaml:2: unknown key `retrys` in the robot file. Did you mean `retries`?"),
        ("name: r2\nhttp: {prot: 1}", "r.yaml:2: unknown key `prot` in `http`. Did you mean `port`?"),
        ("name: r2\nhttp: {zzz: 1}", "r.yaml:2: unknown key `zzz` in `http`. Known keys: port, host."),
        ("on: true", "r.yaml:1: `name` is missing from the robot file. Add `name: …`. The name."),
        (
            "name: true",
            "r.yaml:1: `name` must be text, but YAML reads it as true or false. Put it in quotes.",
        ),
        ("name: r2r2r2", "r.yaml:1: `name` is too long (maximum: 5 characters). The name."),
        ("name: ''", "r.yaml:1: `name` is empty. The name."),
        ("name: r2\non: 1", "r.yaml:2: `on` must be true or false. Whether it is on."),
        ("name: r2\nretries: -1", "r.yaml:2: `retries` must be at least 0. How often to retry."),
        ("name: r2\nretries: 1.5", "r.yaml:2: `retries` must be a whole number. How often to retry."),
        ("name: r2\ntags: a", "r.yaml:2: `tags` must be a list. Tags."),
        ("name: r2\ntags: [a]", "r.yaml:2: `tags` has too few entries (minimum: 2). Tags."),
        (
            "name: r2\ntags:\n- a\n- 5",
            "r.yaml:4: `tags[1]` must be text, but YAML reads it as a number. Put it in quotes.",
        ),
        ("name: r2\nhttp: h", "r.yaml:2: `http` must be a mapping of keys. HTTP."),
        ("- name", "r.yaml: the robot file is not a mapping of keys. Copy robot.yaml."),
        ("name: r2\ntags: [a, b, c, d]", "r.yaml:2: `tags` has too many entries (maximum: 3). Tags."),
        ("name: r2\ntags: [a, a]", "r.yaml:2: `tags` lists a value twice. Tags."),
        ("name: r2\ntags: []", "r.yaml:2: `tags` is empty. Tags."),
        ("name: r2\nmode: fats", "r.yaml:2: `mode` must be one of fast, slow. Did you mean `fast`? Mode."),
        ("name: r2\nmode: zzz", "r.yaml:2: `mode` must be one of fast, slow. Mode."),
        ("name: r2\nmode: {a: 1}", "r.yaml:2: `mode` must be one of fast, slow. Mode."),
        ("name: r2\nonly: zzz", "r.yaml:2: `only` must be one. Only."),
        ("name: r2\nsize: 10", "r.yaml:2: `size` must be at most 9. Size."),
        ("name: r2\nmap: {a: 1, b: 2}", "r.yaml:2: `map` has too many keys (maximum: 1). Map."),
        ("name: [r2]", "r.yaml:1: `name` must be text, but YAML reads it as a list. Put it in quotes."),
        ("name: {a: 1}", "r.yaml:1: `name` must be text, but YAML reads it as a mapping. Put it in quotes."),
        (
            "name: r2\ntrio: {}",
            (
                "r.yaml:2: `left`, `mid` and `right` are missing from `trio`. "
                "Add `left: …`. left. Add `mid: …`. mid. Add `right: …`. right."
            ),
        ),
        (
            "name: r2\ntrio: {mid: x}",
            (
                "r.yaml:2: `left` and `right` are missing from `trio`. "
                "Add `left: …`. left. Add `right: …`. right."
            ),
        ),
        ("name: r2\ntoken: hunter2", f"{REFERENCE} {ON_DISK}"),
        ("name: r2\ntoken: {password: hunter2}", f"{REFERENCE} {ON_DISK}"),
        ("name: r2\ntoken: {env: NAME, key: hunter2}", f"{REFERENCE} {ON_DISK}"),
        ("name: r2\ntoken: {env: lower}", f"{REFERENCE} {ON_DISK}"),
        ("name: r2\ntoken: {file: NAME}", REFERENCE),
        ("name: r2\ntoken: [NAME]", REFERENCE),
    ],
)
def test_each_fault_has_one_message(kind: Kind, text: str, expected: str) -> None:
    """The message has the file, the line, the key, and the description of the key as the next step."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "r.yaml", kind)
    assert str(caught.value) == expected


def test_an_override_is_checked_and_reported_with_its_origin(kind: Kind) -> None:
    """A value from elsewhere replaces the text's; a wrong one is not blamed on a line of the text."""
    text = "name: r2\nhttp:\n  port: 80\n"
    done = parse(text, "r.yaml", kind, overrides={("http", "port"): 8080}, origin="stanza x")
    assert done.value["http"] == {"port": 8080}
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "r.yaml", kind, overrides={("http", "port"): "x"}, origin="stanza x")
    assert str(caught.value) == "stanza x: `port` must be a whole number. The port."
    with pytest.raises(ConfigurationError, match="stanza x: `retries` must be a whole number"):
        parse(text, "r.yaml", kind, overrides={("retries",): "x"}, origin="stanza x")
    with pytest.raises(ConfigurationError, match=r"r\.yaml:2: `http` must be a mapping"):
        parse("name: r2\nhttp: h", "r.yaml", kind, overrides={("http", "port"): 1}, origin="stanza x")


def test_a_kind_has_its_own_error_and_its_own_treatment_of_empty_keys(kind: Kind, tmp_path: Path) -> None:
    """The class of the error, and whether a key without a value is absent, belong to the kind."""
    data = Kind(kind.name, kind.schema_file, kind.start, error=DataError, empty_is_absent=True)
    (tmp_path / "r.yaml").write_text("name: r2\nretries:\n", encoding="utf-8")
    assert read(tmp_path / "r.yaml", data).value["retries"] == 3
    with pytest.raises(ConfigurationError, match="`retries` is empty"):
        read(tmp_path / "r.yaml", kind)
    with pytest.raises(DataError, match=r"the robot file cannot be read \(No such file or directory\)"):
        read(tmp_path / "none.yaml", data)


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_has_a_limit(kind: Kind, tmp_path: Path, more: int) -> None:
    """A file of 256 KiB is read whole; one character more, and it is refused instead of cut."""
    text = "name: r2\n#".ljust(256 * 1024 - 1 + more, "x") + "\n"
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    if more:
        with pytest.raises(ConfigurationError, match="the robot file is larger than 256 KiB"):
            read(tmp_path / "r.yaml", kind)
    else:
        assert read(tmp_path / "r.yaml", kind).value["name"] == "r2"


def test_the_nearest_word_or_all_of_them() -> None:
    """A similar word is suggested, and otherwise all words are listed."""
    assert did_you_mean("oktaa", ["okta", "box"]) == "Did you mean `okta`?"
    assert did_you_mean("zzz", ["okta", "box"], plural="exports") == "Known exports: okta, box."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_be_as_windows_writes_it(kind: Kind, tmp_path: Path, encoding: str) -> None:
    """Notepad writes UTF-8 with a mark, PowerShell's > UTF-16; both with CRLF."""
    file = tmp_path / "settings.yaml"
    file.write_bytes("name: é\r\nretries: 1\r\n".encode(encoding))
    assert read(file, kind).value["name"] == "é"
