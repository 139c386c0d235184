"""Profiles: what the text becomes, and what a wrong one is told."""

from __future__ import annotations

import contextlib
import hashlib
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.errors import ProfileError
from irmcore.profile import (
    Collisions,
    Column,
    Connector,
    CredentialRef,
    Limits,
    Profile,
    parse,
    read,
    shipped_names,
    shipped_text,
)

TEXT = """\
schema: 1
name: demo
description: What the tests send.
connector:
  job_id: 11111111-1111-1111-1111-111111111111
  tenant_id: 22222222-2222-2222-2222-222222222222
  app_id: 33333333-3333-3333-3333-333333333333
  credential: {env: IRMEXPORT_SECRET}
columns:
  - header: user
    type: user
  - header: time
    type: datetime
  - header: score
    type: number
    role: threshold
  - header: level
    type: string
    allowed: [Low, High]
    map: {low: Low}
  - header: product
    type: string
    role: source
    related_values: [Salesforce, Dropbox]
"""

ALL_KEYS = """\
schema: 1
name: all-keys
description: Every key there is.
kind: trigger
connector:
  job_id: AAAAAAAA-1111-1111-1111-111111111111
  tenant_id: BBBBBBBB-2222-2222-2222-222222222222
  app_id: CCCCCCCC-3333-3333-3333-333333333333
  cloud: gcc-high
  credential: {file: ~/secret}
  resource_app_id: DDDDDDDD-4444-4444-4444-444444444444
  proxy: http://proxy.contoso.com:8080
  ca_file: /etc/ssl/inspection.pem
  deadline: 600
  in_doubt: resend
input: {ragged: join-last, zone: UTC}
columns:
  - {header: user, field: src_user, type: user, role: user, required: true}
  - {header: time, field: _time, type: datetime, format: epoch}
  - {header: score, type: number, required: false}
  - {header: level, type: string, role: information, allowed: [Low], map: {low: Low}, otherwise: Low}
  - {header: product, type: string, role: source, related_values: [Salesforce]}
collisions: {policy: reject, step: 1ms}
on_change: skip
limits: {rows: 1, bytes: 10000}
"""


def changed(old: str, new: str) -> str:
    """TEXT with ``old``, which stands in it once, replaced."""
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def message(text: str) -> str:
    """What a wrong profile is told."""
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


def test_what_is_left_out_has_its_default() -> None:
    """A profile of the required keys alone becomes this value."""
    text = changed("credential: {env: IRMEXPORT_SECRET}", "credential:\n    env: IRMEXPORT_SECRET")
    assert parse(text, "p.yaml") == Profile(
        name="demo",
        description="What the tests send.",
        kind="indicator",
        connector=Connector(
            job_id="11111111-1111-1111-1111-111111111111",
            tenant_id="22222222-2222-2222-2222-222222222222",
            app_id="33333333-3333-3333-3333-333333333333",
            cloud="commercial",
            credential=CredentialRef("env", "IRMEXPORT_SECRET"),
            resource_app_id="86dfdabb-5089-4a0c-880a-cfa5a790c5b1",
            proxy=None,
            ca_file=None,
            deadline=400,
            in_doubt="hold",
        ),
        columns=(
            Column("user", "user", "user", "user", True, "auto", (), {}, None, ()),  # noqa: FBT003
            Column("time", "time", "datetime", "time", True, "auto", (), {}, None, ()),  # noqa: FBT003
            Column("score", "score", "number", "threshold", True, "auto", (), {}, None, ()),  # noqa: FBT003
            Column(
                header="level",
                field="level",
                type="string",
                role="information",
                required=False,
                format="auto",
                allowed=("Low", "High"),
                mapping={"low": "Low"},
                otherwise=None,
                related_values=(),
            ),
            Column(
                header="product",
                field="product",
                type="string",
                role="source",
                required=True,
                format="auto",
                allowed=(),
                mapping={},
                otherwise=None,
                related_values=("Salesforce", "Dropbox"),
            ),
        ),
        ragged="refuse",
        zone=None,
        collisions=Collisions("spread", 1),
        on_change="send",
        limits=Limits(rows=5000, bytes=1_000_000),
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )


def test_what_is_said_is_taken() -> None:
    """A profile that says every key becomes this value; GUIDs are written in lower case."""
    assert parse(ALL_KEYS, "p.yaml") == Profile(
        name="all-keys",
        description="Every key there is.",
        kind="trigger",
        connector=Connector(
            job_id="aaaaaaaa-1111-1111-1111-111111111111",
            tenant_id="bbbbbbbb-2222-2222-2222-222222222222",
            app_id="cccccccc-3333-3333-3333-333333333333",
            cloud="gcc-high",
            credential=CredentialRef("file", "~/secret"),
            resource_app_id="dddddddd-4444-4444-4444-444444444444",
            proxy="http://proxy.contoso.com:8080",
            ca_file="/etc/ssl/inspection.pem",
            deadline=600,
            in_doubt="resend",
        ),
        columns=(
            Column("user", "src_user", "user", "user", True, "auto", (), {}, None, ()),  # noqa: FBT003
            Column("time", "_time", "datetime", "time", True, "epoch", (), {}, None, ()),  # noqa: FBT003
            Column("score", "score", "number", "information", False, "auto", (), {}, None, ()),  # noqa: FBT003
            Column(
                header="level",
                field="level",
                type="string",
                role="information",
                required=False,
                format="auto",
                allowed=("Low",),
                mapping={"low": "Low"},
                otherwise="Low",
                related_values=(),
            ),
            Column(
                header="product",
                field="product",
                type="string",
                role="source",
                required=True,
                format="auto",
                allowed=(),
                mapping={},
                otherwise=None,
                related_values=("Salesforce",),
            ),
        ),
        ragged="join-last",
        zone="UTC",
        collisions=Collisions("reject", 1_000),
        on_change="skip",
        limits=Limits(rows=1, bytes=10_000),
        fingerprint=hashlib.sha256(ALL_KEYS.encode()).hexdigest(),
    )


@pytest.mark.parametrize(("step", "microseconds"), [("1us", 1), ("1ms", 1_000), ("1s", 1_000_000)])
def test_the_step_is_in_microseconds(step: str, microseconds: int) -> None:
    """Each step of the schema is this many microseconds."""
    text = TEXT + f"collisions: {{policy: spread, step: {step}}}\n"
    assert parse(text, "p.yaml").collisions == Collisions("spread", microseconds)


def test_the_column_of_a_role() -> None:
    """``column`` gives the column of a role, or None."""
    profile = parse(TEXT, "p.yaml")
    assert profile.column("source") is profile.columns[4]
    assert parse(shipped_text("leaver-prediction"), "p.yaml").column("source") is None


def test_a_profile_at_another_connector() -> None:
    """``at`` changes the connector and nothing else."""
    profile, other = parse(TEXT, "p.yaml"), parse(ALL_KEYS, "p.yaml")
    moved = profile.at(other.connector)
    assert moved.connector == other.connector
    assert moved.at(profile.connector) == profile


def test_placeholders_are_named() -> None:
    """The IDs that a shipped profile leaves open are named until they are filled in."""
    shipped = parse(shipped_text("leaver-prediction"), "p.yaml")
    assert shipped.connector.placeholders() == ("job_id", "tenant_id", "app_id")
    assert parse(TEXT, "p.yaml").connector.placeholders() == ()


# What the schema refuses: what stands in TEXT | what stands there instead | what is said
FORM = (
    (
        "schema: 1",
        "schema: 2",
        "p.yaml:1: `schema` must be one of 1. The version of this format: 1.",
    ),
    (
        "schema: 1",
        "schema: true",
        "p.yaml:1: `schema` must be of type integer. The version of this format: 1.",
    ),
    (
        "schema: 1\n",
        "",
        "p.yaml:1: the profile lacks `schema`. `schema`: The version of this format: 1.",
    ),
    (
        "name: demo",
        "nmae: demo",
        (
            "p.yaml:1: the profile lacks `name`. `name`: Lower-case letters, digits and hyphens, at most "
            "48; it names the outbox of the connector. Is it `nmae` on line 2?"
        ),
    ),
    (
        "name: demo",
        "name: Demo",
        (
            "p.yaml:2: `name` is not written as it must be. Lower-case letters, digits and hyphens, at "
            "most 48; it names the outbox of the connector."
        ),
    ),
    (
        "name: demo",
        "name: ../../etc/cron.d/x",
        (
            "p.yaml:2: `name` is not written as it must be. Lower-case letters, digits and hyphens, at "
            "most 48; it names the outbox of the connector."
        ),
    ),
    (
        "name: demo",
        'name: "demo\\n"',
        (
            "p.yaml:2: `name` is not written as it must be. Lower-case letters, digits and hyphens, at "
            "most 48; it names the outbox of the connector."
        ),
    ),
    (
        "name: demo",
        "name: demo\nzebra: 1",
        (
            "p.yaml:3: the profile has no key `zebra`. Known here: schema, name, description, kind, "
            "connector, input, columns, collisions, on_change, limits."
        ),
    ),
    (
        "name: demo",
        "name: demo\ncolumn: 1",
        "p.yaml:3: the profile has no key `column`. Did you mean `columns`?",
    ),
    (
        "name: demo",
        "name: demo\nki.nd: trigger",
        "p.yaml:3: the profile has no key `ki.nd`. Did you mean `kind`?",
    ),
    (
        "name: demo",
        "name: demo\nkind: indicater",
        (
            "p.yaml:3: `kind` must be one of trigger, indicator. What the custom indicator is used as in "
            "a policy: trigger or indicator. Did you mean indicator?"
        ),
    ),
    (
        "name: demo",
        "name: demo\non_change: yes",
        (
            "p.yaml:3: `on_change` must be one of send, skip. A row that was accepted earlier comes again"
            " with only its threshold changed: send it as a further row, or skip it."
        ),
    ),
    (
        "name: demo",
        "name: demo\nlimits:\n  rows: 50000",
        (
            "p.yaml:4: `limits.rows` is outside its limits (maximum). Rows of one upload: 1 to 5000 "
            "(Microsoft's script, since 2026-02-03)."
        ),
    ),
    (
        "name: demo",
        "name: demo\nlimits: {rows: many}",
        (
            "p.yaml:3: `limits.rows` must be of type integer. Rows of one upload: 1 to 5000 (Microsoft's "
            "script, since 2026-02-03)."
        ),
    ),
    (
        "name: demo",
        "name: demo\nlimits: {bytes: 1000001}",
        (
            "p.yaml:3: `limits.bytes` is outside its limits (maximum). Bytes of one upload's CSV: 10000 "
            "to 1000000."
        ),
    ),
    (
        "name: demo",
        "name: demo\ninput: {zone: ../../etc/passwd}",
        (
            "p.yaml:3: `input.zone` is not written as it must be. The time zone of times that name none, "
            "by its IANA name (Europe/Berlin, UTC). Without it such rows are refused."
        ),
    ),
    (
        "description: What the tests send.",
        "description:",
        ("p.yaml:3: `description` must be text; YAML reads this value as something else. Put it in quotes."),
    ),
    (
        "job_id: 11111111-1111-1111-1111-111111111111",
        "job_id: 1111",
        (
            "p.yaml:5: `connector.job_id` must be text; YAML reads this value as something else. Put it "
            "in quotes."
        ),
    ),
    (
        "job_id: 11111111-1111-1111-1111-111111111111",
        "job_id: 11111111-1111-1111-1111-11111111111",
        (
            "p.yaml:5: `connector.job_id` is not written as it must be. The job ID that the wizard's "
            "Finish page shows, a GUID."
        ),
    ),
    (
        "job_id: 11111111-1111-1111-1111-111111111111",
        "jobid: 11111111-1111-1111-1111-111111111111",
        (
            "p.yaml:4: `connector` lacks `job_id`. `job_id`: The job ID that the wizard's Finish page "
            "shows, a GUID. Is it `jobid` on line 5?"
        ),
    ),
    (
        "  credential: {env: IRMEXPORT_SECRET}\n",
        "",
        (
            "p.yaml:4: `connector` lacks `credential`. `credential`: Where the client secret is, never "
            "the secret itself: {env: NAME}, {file: PATH}, {keyring: SERVICE/USER}, {key_vault: URL} or "
            "{certificate: PATH}."
        ),
    ),
    (
        "  credential: {",
        "  cloud: gcchigh\n  credential: {",
        (
            "p.yaml:8: `connector.cloud` must be one of commercial, gcc, gcc-high, dod. commercial, gcc, "
            "gcc-high or dod: decides the hosts. Did you mean gcc-high?"
        ),
    ),
    (
        "  credential: {",
        "  proxy: http://user:pass@proxy:8080\n  credential: {",
        (
            "p.yaml:8: `connector.proxy` is not written as it must be. An HTTP proxy as http://host:port,"
            " without user name or password."
        ),
    ),
    (
        "  credential: {",
        "  deadline: 5\n  credential: {",
        (
            "p.yaml:8: `connector.deadline` is outside its limits (minimum). Seconds for one upload as a "
            "whole: 10 to 1800. Microsoft's script waits 400."
        ),
    ),
    (
        "  - header: time\n    type: datetime",
        "  - time",
        (
            "p.yaml:12: `columns[1]` must be of type object. The columns of the connector's sample file, "
            "in their order."
        ),
    ),
    (
        "type: datetime",
        "typ: datetime",
        (
            "p.yaml:12: `columns[1]` lacks `type`. `type`: user, datetime, number or string, as chosen in"
            " the wizard's data type step. Is it `typ` on line 13?"
        ),
    ),
    (
        "type: datetime",
        "type: date",
        (
            "p.yaml:13: `columns[1].type` must be one of user, datetime, number, string. user, datetime, "
            "number or string, as chosen in the wizard's data type step. Did you mean datetime?"
        ),
    ),
    (
        "- header: score",
        '- header: "a\\nb"',
        (
            "p.yaml:14: `columns[2].header` is not written as it must be. The column's name in the "
            "connector's sample file."
        ),
    ),
    (
        "allowed: [Low, High]",
        "allowed: [Low, Low]",
        "p.yaml:19: `columns[3].allowed` names a value twice. The only values that may be sent.",
    ),
    (
        "allowed: [Low, High]",
        "allowed: []",
        (
            "p.yaml:19: `columns[3].allowed` is outside its limits (minItems). The only values that may "
            "be sent."
        ),
    ),
    (
        "allowed: [Low, High]",
        'allowed: [Low, "a\\x1fb"]',
        (
            "p.yaml:19: `columns[3].allowed[1]` is not written as it must be. The only values that may be"
            " sent."
        ),
    ),
    (
        "allowed: [Low, High]",
        'allowed: [Low, "a\\rb"]',
        (
            "p.yaml:19: `columns[3].allowed[1]` is not written as it must be. The only values that may be"
            " sent."
        ),
    ),
    (
        "map: {low: Low}",
        "map:\n      low: Low\n      lo.w[1]: 5",
        (
            "p.yaml:22: `columns[3].map.lo.w[1]` must be text; YAML reads this value as something else. "
            "Put it in quotes."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "related_values: ['Salesforce,Dropbox']",
        (
            "p.yaml:24: `columns[4].related_values[0]` is not written as it must be. The source column's "
            "values as entered in the wizard under 'Related values in source column'; exact, no commas."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        'related_values: ["\\x01Salesforce"]',
        (
            "p.yaml:24: `columns[4].related_values[0]` is not written as it must be. The source column's "
            "values as entered in the wizard under 'Related values in source column'; exact, no commas."
        ),
    ),
)

# What only we refuse, as no schema can say it.
SENSE = (
    (
        "name: demo",
        "name: demo\ninput: {zone: Europe/Berln}",
        (
            "p.yaml:3: `input.zone` is not a time zone that this machine knows. Use an IANA name such as "
            "Europe/Berlin, or UTC; install tzdata if it is right."
        ),
    ),
    (
        "name: demo",
        "name: demo\ninput: {zone: Europe}",
        (
            "p.yaml:3: `input.zone` is not a time zone that this machine knows. Use an IANA name such as "
            "Europe/Berlin, or UTC; install tzdata if it is right."
        ),
    ),
    (
        "type: datetime",
        "type: string",
        (
            "p.yaml:9: a profile has exactly one column of role time; here are 0. The connector's data "
            "mapping step asks for one user and one event time."
        ),
    ),
    (
        "type: number\n    role: threshold",
        "type: user",
        (
            "p.yaml:14: a profile has exactly one column of role user; here are 2. The connector's data "
            "mapping step asks for one user and one event time."
        ),
    ),
    (
        "type: datetime",
        "type: datetime\n    required: false",
        "p.yaml:14: the time column cannot be optional. Remove `required: false`.",
    ),
    (
        "type: number",
        "type: number\n    format: epoch",
        "p.yaml:16: `format` is for datetime columns. Remove it.",
    ),
    (
        "type: number",
        "type: string",
        (
            "p.yaml:16: a column of role threshold must be of type number. Set `type: number`, or another"
            " role."
        ),
    ),
    (
        "type: user",
        "type: user\n    role: information",
        "p.yaml:12: a column of type user has the role user. Remove `role`.",
    ),
    (
        "    role: threshold",
        "    role: threshold\n    allowed: ['1', '2']",
        "p.yaml:17: `allowed` is for columns of type string. Remove it.",
    ),
    (
        "    role: threshold",
        "    role: threshold\n    map: {x: '1'}",
        "p.yaml:17: `map` needs `allowed`. List the values that may be sent.",
    ),
    (
        "- header: score",
        "- header: user",
        "p.yaml:14: the header of column 3 is that of column 1. Headers must be unique.",
    ),
    (
        "map: {low: Low}",
        "map: {low: Lwo}",
        "p.yaml:20: `map.low` leads to a value that is not allowed. Allowed: Low, High.",
    ),
    (
        "map: {low: Low}",
        "otherwise: Medium",
        "p.yaml:20: `otherwise` is not an allowed value. Allowed: Low, High.",
    ),
    (
        "map: {low: Low}",
        "related_values: [a]",
        (
            "p.yaml:20: `related_values` and `role: source` belong together. Give the source column the "
            "values entered in the wizard, and no other column."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "allowed: [Salesforce]",
        (
            "p.yaml:23: `related_values` and `role: source` belong together. Give the source column the "
            "values entered in the wizard, and no other column."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "related_values: [Salesforce]\n    allowed: [Salesforce]",
        "p.yaml:25: a source column's values are its `related_values`. Remove `allowed`.",
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "related_values: [a]\n  - {header: b, type: string, role: source, related_values: [b]}",
        "p.yaml:25: a connector has at most one source column. Give one of them `role: information`.",
    ),
)


@pytest.mark.parametrize(("old", "new", "said"), FORM + SENSE)
def test_a_wrong_profile_is_told_where_what_and_what_next(old: str, new: str, said: str) -> None:
    """The message of a wrong profile has the line, what is wrong there and the nearest right key."""
    assert message(changed(old, new)) == said


def listed(count: int) -> str:
    """A YAML list of so many texts."""
    return "[" + ", ".join(f"v{number}" for number in range(count)) + "]"


def mapped(count: int) -> str:
    """A YAML mapping of so many texts to an allowed value."""
    return "{" + ", ".join(f"k{number}: Low" for number in range(count)) + "}"


# what stands in TEXT | what stands there instead | the last value that passes | the first that does not
LIMITS = (
    ("name: demo", "name: {}", "a" * 48, "a" * 49),
    ("name: demo", "name: a{}", "-a", "-"),
    ("description: What the tests send.", "description: {}", "a" * 300, "a" * 301),
    ("name: demo", "name: demo\nlimits: {{rows: {}}}", "1", "0"),
    ("name: demo", "name: demo\nlimits: {{rows: {}}}", "5000", "5001"),
    ("name: demo", "name: demo\nlimits: {{bytes: {}}}", "10000", "9999"),
    ("name: demo", "name: demo\nlimits: {{bytes: {}}}", "1000000", "1000001"),
    ("  credential: {", "  deadline: {}\n  credential: {{", "10", "9"),
    ("  credential: {", "  deadline: {}\n  credential: {{", "1800", "1801"),
    ("{env: IRMEXPORT_SECRET}", "{{env: {}}}", "A" * 128, "A" * 129),
    ("{env: IRMEXPORT_SECRET}", "{{env: {}}}", "_1", "1_"),
    ("{env: IRMEXPORT_SECRET}", "{{file: '{}'}}", "/s", "s"),
    ("{env: IRMEXPORT_SECRET}", "{{file: '{}'}}", "~/s", "./s"),
    ("{env: IRMEXPORT_SECRET}", "{{file: '{}'}}", "C:\\s", "C:s"),
    ("header: user", "header: {}", "a" * 128, "a" * 129),
    ("header: user", "header: user\n    field: {}", "a" * 256, "a" * 257),
    ("allowed: [Low, High]", "allowed: [Low, '{}']", " ", ""),
    ("related_values: [Salesforce, Dropbox]", "related_values: ['{}']", "a b", " a"),
    ("related_values: [Salesforce, Dropbox]", "related_values: ['{}']", "a", "a "),
    ("related_values: [Salesforce, Dropbox]", "related_values: {}", listed(200), listed(201)),
    (
        "allowed: [Low, High]\n    map: {low: Low}",
        "allowed: {}",
        listed(1000),
        listed(1001),
    ),
    ("map: {low: Low}", "map: {}", mapped(1000), mapped(1001)),
)


@pytest.mark.parametrize(("old", "new", "last", "over"), LIMITS)
def test_a_limit(old: str, new: str, last: str, over: str) -> None:
    """A value at its limit passes, and one beyond it does not."""
    parse(changed(old, new.format(last)), "p.yaml")
    with pytest.raises(ProfileError):
        parse(changed(old, new.format(over)), "p.yaml")


def test_the_number_of_columns() -> None:
    """A profile has at most 100 columns."""
    further = [f"  - {{header: h{number}, type: string}}\n" for number in range(96)]
    assert len(parse(TEXT + "".join(further[:95]), "p.yaml").columns) == 100
    with pytest.raises(ProfileError):
        parse(TEXT + "".join(further), "p.yaml")


def test_keep_greatest_needs_one_threshold() -> None:
    """``keep-greatest`` is refused where it is said, unless there is exactly one threshold column."""
    keep = "collisions:\n  policy: keep-greatest\n"
    assert parse(TEXT + keep, "p.yaml").collisions.policy == "keep-greatest"
    assert message(changed("role: threshold", "role: information") + keep) == (
        "p.yaml:26: `collisions.policy: keep-greatest` needs exactly one threshold column. "
        "This profile has 0; use `spread`."
    )
    two = "role: threshold\n  - {header: bytes, type: number, role: threshold}"
    assert message(changed("role: threshold", two) + keep) == (
        "p.yaml:27: `collisions.policy: keep-greatest` needs exactly one threshold column. "
        "This profile has 2; use `spread`."
    )


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "~", "- a\n- b\n", "just text", "42"])
def test_what_is_no_mapping_is_no_profile(text: str) -> None:
    """A text that is not a mapping at all is told so."""
    assert message(text) == "p.yaml: a profile is a mapping of keys. Start from a shipped profile."


SECRET = "Zq8~hunter2.Z-9_x"

LITERAL = (
    "p.yaml:8: a secret must not stand in a profile; `credential` says where it is. Write `credential: "
    "{env: NAME_OF_A_VARIABLE}` or `credential: {file: /path}`, and replace the secret that stood here: "
    "it has been on disk."
)
ILL_FORMED = (
    "p.yaml:8: `credential` is not written as it must be. Write `credential: {env: NAME_OF_A_VARIABLE}` or "
    "`credential: {file: /path}`."
)


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        (SECRET, LITERAL),
        (f"'{SECRET}'", LITERAL),
        (f"{{secret: {SECRET}}}", LITERAL),
        (f"{{client_secret: {SECRET}}}", LITERAL),
        (f"{{value: {SECRET}}}", LITERAL),
        (f"{{password: {SECRET}, env: A}}", LITERAL),
        (f"{{env: {SECRET}}}", LITERAL),
        (f"[{SECRET}]", ILL_FORMED),
        (f"{{{SECRET}}}", ILL_FORMED),
        (f"{{env: [{SECRET}]}}", ILL_FORMED),
        (f"{{env: A, file: {SECRET}}}", ILL_FORMED),
        (f"{{vault: {SECRET}}}", ILL_FORMED),
        ("{}", ILL_FORMED),
        ("", ILL_FORMED),
        ("12345", ILL_FORMED),
    ],
)
def test_a_literal_secret_is_refused_unread(credential: str, said: str) -> None:
    """A secret in place of where it is gets this advice, and stands in no message or traceback."""
    text = changed("credential: {env: IRMEXPORT_SECRET}", f"credential: {credential}")
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    assert str(caught.value) == said
    assert SECRET not in "".join(traceback.format_exception(None, caught.value, caught.tb))


@pytest.mark.parametrize(
    "line",
    [
        f"credential: {{env: {SECRET}",
        f'credential: "{SECRET}',
        f"credential: {SECRET}: {SECRET}",
        f"credential: *{SECRET}",
        f"credential: !{SECRET} x",
        f"credential: &{SECRET} {{env: A}}\n  credential: {SECRET}",
        f"credential: {{env: A}}\n  client_secret: {SECRET}",
        f"credential: {{env: A}}\n  {SECRET}",
        f"credential: {{env: A}}\n  proxy: http://{SECRET}@proxy:8080",
        f"credential: [{{env: A}}, {SECRET}",
        f"credential: {{env: A}}\n  cloud: {SECRET}",
        f"credential: {{env: A}}\n  job_id: {SECRET}",
    ],
)
def test_what_stands_beside_is_not_shown_either(line: str) -> None:
    """A secret that stands in any wrong place, or in what is no YAML, stands in no message."""
    text = changed("credential: {env: IRMEXPORT_SECRET}", line)
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(None, caught.value, caught.tb))


def test_a_file_is_read(tmp_path: Path) -> None:
    """``read`` gives the profile of a file, with or without BOM, and calls it by its path."""
    path = tmp_path / "demo.yaml"
    path.write_text(TEXT, encoding="utf-8")
    assert read(str(path)) == parse(TEXT, "p.yaml")
    path.write_text(TEXT, encoding="utf-8-sig")
    assert read(str(path)).name == "demo"
    path.write_text(TEXT + "kid: trigger\n", encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        read(str(path))
    assert str(caught.value) == f"{path}:25: the profile has no key `kid`. Did you mean `kind`?"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a directory, another encoding and a huge file have their own messages."""
    with pytest.raises(ProfileError) as caught:
        read(str(tmp_path / "none.yaml"))
    assert str(caught.value) == (
        f"{tmp_path}/none.yaml: the profile cannot be read (No such file or directory). "
        "Check the path and that this user may read it."
    )
    with pytest.raises(ProfileError) as caught:
        read(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: the profile cannot be read (Is a directory). "
        "Check the path and that this user may read it."
    )
    path = tmp_path / "wide.yaml"
    path.write_text(TEXT, encoding="utf-16")
    with pytest.raises(ProfileError) as caught:
        read(str(path))
    assert str(caught.value) == f"{path}: this file is not UTF-8 text. Save it as UTF-8."
    path.write_text(TEXT + "#" * 300_000, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        read(str(path))
    assert str(caught.value) == (
        f"{path}: this is far larger than a profile. Give the YAML file of a profile."
    )


def attempt(text: str) -> str:
    """Parse ``text``: the message, or nothing; anything but a ProfileError goes through."""
    with contextlib.suppress(ProfileError):
        assert isinstance(parse(text, "p.yaml"), Profile)
        return ""
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


#: What YAML, the schema library and file names have traps for.
TRAPS = (
    *("&a ", "*a", "!!bool x", "!!int ''", "!x ", "<<: ", "? ", "- ", ": ", "{", "}", "[", "]", "|\n", ">\n"),
    *('"', "'", "\\", '"\\UFFFFFFFF"', '"\\ud800"', "\0", "\x1f", "\ud800", "\ufeff", "%YAML 1.1\n", "---\n"),
    *("...\n", "#", "\t", "\n", "  ", ".", "[0]", "0", "1e999", ".nan", "no", "~", "2023-04-24", "9" * 30),
    *("credential: ", "map: ", "columns: ", "required: ", "{a.b: 1}", "{'': 1}", "[" * 30, "{a: " * 30),
)
SHIPPED = tuple(shipped_text(name) for name in shipped_names())


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped profile with some stretches cut out, doubled, or replaced by a trap."""
    text = draw(st.sampled_from((*SHIPPED, TEXT, ALL_KEYS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from((0, 1, 3, 10, 40))))
        between = draw(st.sampled_from(TRAPS) | st.just(text[start:end] * 2) | st.text(max_size=3))
        text = text[:start] + between + text[end:]
    return text


@settings(max_examples=300)
@given(st.text() | st.lists(st.sampled_from(TRAPS)).map("".join) | mutated())
def test_any_text_is_a_profile_or_told_why_not(text: str) -> None:
    """No text raises anything but a ProfileError, and its message can be printed."""
    attempt(text).encode("utf-8")


@settings(max_examples=150)
@given(
    template=st.sampled_from(
        (
            "credential: {}",
            "credential: {{env: {}}}",
            "credential: {{file: [{}]}}",
            "credential: {{secret: {}}}",
            "credential:\n    - {}",
            'credential: "{}"',
            "credential: {{env: A, file: {}}}",
            "credential: |\n    {}",
        )
    ),
    before=st.text("ab: {}[]\"'#&*!|>%@`,?-\\", max_size=4),
    after=st.text("ab: {}[]\"'#&*!|>%@`,?-\\", max_size=4),
)
def test_no_message_has_a_value_of_the_credential(template: str, before: str, after: str) -> None:
    """However `credential` is written, its value stands in no message."""
    line = template.format(f"{before}{SECRET}{after}")
    assert SECRET not in attempt(changed("credential: {env: IRMEXPORT_SECRET}", line))
