"""Profiles: the value that a valid text becomes, and the message for an invalid one."""

from __future__ import annotations

import contextlib
import hashlib
import traceback
from dataclasses import replace
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
from irmcore.profile.model import Format, Identity, Scope, Selection

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
identity: {directory: /srv/people.sqlite, max_age: 36h, map: /srv/accounts.csv}
scope:
  include: {groups: [Staff], countries: [DE, "NO"]}
  exclude: {list: /srv/council.csv}
limits: {rows: 1, bytes: 10000}
retention: {sent_days: 3, refused_days: 5, undecided_days: 20, records_days: 500, rowkeys_days: 35}
"""


def changed(old: str, new: str) -> str:
    """TEXT with ``old``, which occurs once, replaced."""
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def message(text: str) -> str:
    """The message for an invalid profile."""
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


def test_a_missing_key_has_its_default() -> None:
    """A profile with only the required keys becomes this value."""
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


def test_every_key_is_used() -> None:
    """A profile with every key becomes this value; GUIDs become lower case."""
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
            retention={
                "sent_days": 3,
                "refused_days": 5,
                "undecided_days": 20,
                "records_days": 500,
                "rowkeys_days": 35,
            },
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
        identity=Identity("/srv/people.sqlite", 36 * 3_600, "/srv/accounts.csv"),
        scope=Scope(Selection(("Staff",), ("DE", "NO"), None), Selection((), (), "/srv/council.csv")),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", Identity("default", 7 * 86_400, None)),
        ("{max_age: 1h}", Identity("default", 3_600, None)),
        ("{map: accounts.csv}", Identity(None, 7 * 86_400, "/profiles/accounts.csv")),
        ("{directory: default, map: /a.csv}", Identity("default", 7 * 86_400, "/a.csv")),
        ("{directory: ../people.sqlite}", Identity("/profiles/../people.sqlite", 7 * 86_400, None)),
    ],
)
def test_identity(text: str, expected: Identity) -> None:
    """The directory is used unless only a map is given; relative paths start at the profile's folder."""
    profile = parse(f"{TEXT}identity: {text}\n", "p.yaml", folder="/profiles")
    assert profile.identity == expected
    directory = "/home/people.sqlite" if expected.directory == "default" else expected.directory
    assert profile.with_directory("/home/people.sqlite").identity == replace(expected, directory=directory)


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    """A profile that is read from a file finds its lists beside itself."""
    (tmp_path / "p.yaml").write_text(f"{TEXT}scope: {{include: {{list: some.csv}}}}\n")
    assert read(str(tmp_path / "p.yaml")).scope == Scope(Selection((), (), f"{tmp_path}/some.csv"), None)


@pytest.mark.parametrize(("step", "microseconds"), [("1us", 1), ("1ms", 1_000), ("1s", 1_000_000)])
def test_the_step_is_in_microseconds(step: str, microseconds: int) -> None:
    """Each step of the schema is this many microseconds."""
    text = TEXT + f"collisions: {{policy: spread, step: {step}}}\n"
    assert parse(text, "p.yaml").collisions == Collisions("spread", microseconds)


def test_the_column_of_a_role() -> None:
    """``column`` returns the column with a role, or None."""
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
    """``placeholders`` lists the IDs of a shipped profile until they are filled in."""
    shipped = parse(shipped_text("leaver-prediction"), "p.yaml")
    assert shipped.connector.placeholders() == ("job_id", "tenant_id", "app_id")
    assert parse(TEXT, "p.yaml").connector.placeholders() == ()


# What the schema refuses: a part of TEXT | its replacement | the message
#: What a message says of `schema`.
VERSIONS = "The version of this format: 2. In version 1, `step: 1us` moves every time within its second."

FORM = (
    (
        "name: demo\ndescription: What the tests send.\n",
        "",
        (
            "p.yaml:1: `name` and `description` are missing from the profile. Add `name: …`. The name"
            " of the profile: at most 48 lower-case letters, digits and hyphens. Add `description: "
            "…`. One line that says what the rows are, at most 300 characters."
        ),
    ),
    (
        "  - header: time\n    type: datetime",
        "  - {}",
        (
            "p.yaml:12: `header` and `type` are missing from `columns[1]`. Add `header: …`. The "
            "column's name in the connector's sample file, at most 128 characters. Add `type: …`. The"
            " data type, as chosen in the wizard's data type step."
        ),
    ),
    (
        "name: demo",
        "name:",
        (
            "p.yaml:2: `name` is empty. The name of the profile: at most 48 lower-case letters, "
            "digits and hyphens."
        ),
    ),
    (
        "name: demo",
        "name: [demo]",
        "p.yaml:2: `name` must be text, but YAML reads it as a list. Put it in quotes.",
    ),
    (
        "description: What the tests send.",
        "description: ''",
        ("p.yaml:3: `description` is empty. One line that says what the rows are, at most 300 characters."),
    ),
    (
        "map: {low: Low}",
        "map: Low",
        (
            "p.yaml:20: `columns[3].map` must be a mapping of keys. Replacements for input values "
            "that are not allowed, such as critical: High. Keys match exactly."
        ),
    ),
    (
        "name: demo",
        "name: demo\nkind:",
        (
            "p.yaml:3: `kind` is empty. How policies use the custom indicator: as a trigger or as an "
            "indicator."
        ),
    ),
    (
        "    type: number",
        "    type: number\n    required: maybe",
        (
            "p.yaml:16: `columns[2].required` must be true or false. Whether a row with an empty "
            "value is refused. The default is true for user, time, source and threshold columns, and "
            "false for information columns."
        ),
    ),
    (
        "schema: 1",
        "schema: 3",
        f"p.yaml:1: `schema` must be one of 1, 2. {VERSIONS}",
    ),
    (
        "schema: 1",
        "schema: true",
        f"p.yaml:1: `schema` must be a whole number. {VERSIONS}",
    ),
    (
        "schema: 1\n",
        "",
        f"p.yaml:1: `schema` is missing from the profile. Add `schema: …`. {VERSIONS}",
    ),
    (
        "name: demo",
        "nmae: demo",
        "p.yaml:2: unknown key `nmae` in the profile. Did you mean `name`?",
    ),
    (
        "name: demo",
        "name: Demo",
        (
            "p.yaml:2: `name` is not valid. The name of the profile: at most 48 lower-case letters, "
            "digits and hyphens."
        ),
    ),
    (
        "name: demo",
        "name: ../../etc/cron.d/x",
        (
            "p.yaml:2: `name` is not valid. The name of the profile: at most 48 lower-case letters, "
            "digits and hyphens."
        ),
    ),
    (
        "name: demo",
        'name: "demo\\n"',
        (
            "p.yaml:2: `name` is not valid. The name of the profile: at most 48 lower-case letters, "
            "digits and hyphens."
        ),
    ),
    (
        "name: demo",
        "name: demo\nzebra: 1",
        (
            "p.yaml:3: unknown key `zebra` in the profile. Known keys: schema, name, description, "
            "kind, connector, scenarios, input, columns, collisions, on_change, release, preview, "
            "identity, scope, limits, retention."
        ),
    ),
    (
        "name: demo",
        "name: demo\ncolumn: 1",
        "p.yaml:3: unknown key `column` in the profile. Did you mean `columns`?",
    ),
    (
        "name: demo",
        "name: demo\nki.nd: trigger",
        "p.yaml:3: unknown key `ki.nd` in the profile. Did you mean `kind`?",
    ),
    (
        "name: demo",
        "name: demo\nkind: indicater",
        (
            "p.yaml:3: `kind` must be one of trigger, indicator. Did you mean `indicator`? How "
            "policies use the custom indicator: as a trigger or as an indicator."
        ),
    ),
    (
        "name: demo",
        "name: demo\non_change: yes",
        (
            "p.yaml:3: `on_change` must be one of send, skip. What to do with a row that was accepted"
            " before and differs only in its threshold, or in a column with `subject: false`: send it as an "
            "additional row, or skip it."
        ),
    ),
    (
        "name: demo",
        "name: demo\nlimits:\n  rows: 50000",
        (
            "p.yaml:4: `limits.rows` must be at most 5000. Rows in one upload: 1 to 5000, the limit "
            "of Microsoft's script since 2026-02-03; for the kind hr 1 to 500, the limit of its page. "
            "The limit is the default."
        ),
    ),
    (
        "name: demo",
        "name: demo\nlimits: {rows: many}",
        (
            "p.yaml:3: `limits.rows` must be a whole number. Rows in one upload: 1 to 5000, the limit"
            " of Microsoft's script since 2026-02-03; for the kind hr 1 to 500, the limit of its page. "
            "The limit is the default."
        ),
    ),
    (
        "name: demo",
        "name: demo\nlimits: {bytes: 1000001}",
        ("p.yaml:3: `limits.bytes` must be at most 1000000. Bytes of CSV in one upload: 10000 to 1000000."),
    ),
    (
        "name: demo",
        "name: demo\ninput: {zone: ../../etc/passwd}",
        (
            "p.yaml:3: `input.zone` is not valid. The time zone of times without an offset, as an "
            "IANA name: Europe/Berlin, UTC. Without it, rows with such times are refused."
        ),
    ),
    (
        "description: What the tests send.",
        "description:",
        ("p.yaml:3: `description` is empty. One line that says what the rows are, at most 300 characters."),
    ),
    (
        "job_id: 11111111-1111-1111-1111-111111111111",
        "job_id: 1111",
        ("p.yaml:5: `connector.job_id` must be text, but YAML reads it as a number. Put it in quotes."),
    ),
    (
        "job_id: 11111111-1111-1111-1111-111111111111",
        "job_id: 11111111-1111-1111-1111-11111111111",
        ("p.yaml:5: `connector.job_id` is not valid. The job ID shown on the wizard's Finish page, a GUID."),
    ),
    (
        "job_id: 11111111-1111-1111-1111-111111111111",
        "jobid: 11111111-1111-1111-1111-111111111111",
        "p.yaml:5: unknown key `jobid` in `connector`. Did you mean `job_id`?",
    ),
    (
        "  credential: {env: IRMEXPORT_SECRET}\n",
        "",
        (
            "p.yaml:4: `credential` is missing from `connector`. Add `credential: …`. Where to read "
            "the client secret, never the secret itself: {env: NAME}, {file: PATH}, {keyring: "
            "SERVICE/USER}, {key_vault: URL}, {certificate: PATH}, {managed_identity: CLIENT-ID} or "
            "{workload_identity: PATH}."
        ),
    ),
    (
        "  credential: {",
        "  cloud: gcchigh\n  credential: {",
        (
            "p.yaml:8: `connector.cloud` must be one of commercial, gcc, gcc-high, dod. Did you mean "
            "`gcc-high`? The Microsoft cloud of the tenant. It determines which hosts are used."
        ),
    ),
    (
        "  credential: {",
        "  proxy: http://user:pass@proxy:8080\n  credential: {",
        (
            "p.yaml:8: `connector.proxy` is not valid. An HTTP proxy: http://HOST:PORT, without a "
            "user name or password."
        ),
    ),
    (
        "  credential: {",
        "  deadline: 5\n  credential: {",
        (
            "p.yaml:8: `connector.deadline` must be at least 10. The time limit for one whole upload,"
            " in seconds: 10 to 1800. Microsoft's script waits 400."
        ),
    ),
    (
        "  - header: time\n    type: datetime",
        "  - time",
        ("p.yaml:12: `columns[1]` must be a mapping of keys. One column, with at least `header` and `type`."),
    ),
    (
        "type: datetime",
        "typ: datetime",
        "p.yaml:13: unknown key `typ` in `columns[1]`. Did you mean `type`?",
    ),
    (
        "type: datetime",
        "type: date",
        (
            "p.yaml:13: `columns[1].type` must be one of user, datetime, number, string. Did you mean"
            " `datetime`? The data type, as chosen in the wizard's data type step."
        ),
    ),
    (
        "- header: score",
        '- header: "a\\nb"',
        (
            "p.yaml:14: `columns[2].header` is not valid. The column's name in the connector's sample"
            " file, at most 128 characters."
        ),
    ),
    (
        "allowed: [Low, High]",
        "allowed: [Low, Low]",
        "p.yaml:19: `columns[3].allowed` lists a value twice. The only values that may be sent.",
    ),
    (
        "allowed: [Low, High]",
        "allowed: []",
        "p.yaml:19: `columns[3].allowed` is empty. The only values that may be sent.",
    ),
    (
        "allowed: [Low, High]",
        'allowed: [Low, "a\\x1fb"]',
        "p.yaml:19: `columns[3].allowed[1]` is not valid. The only values that may be sent.",
    ),
    (
        "allowed: [Low, High]",
        'allowed: [Low, "a\\rb"]',
        "p.yaml:19: `columns[3].allowed[1]` is not valid. The only values that may be sent.",
    ),
    (
        "map: {low: Low}",
        "map:\n      low: Low\n      lo.w[1]: 5",
        (
            "p.yaml:22: `columns[3].map.lo.w[1]` must be text, but YAML reads it as a number. Put it "
            "in quotes."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "related_values: ['Salesforce,Dropbox']",
        (
            "p.yaml:24: `columns[4].related_values[0]` is not valid. The source column's values, "
            "exactly as entered in the wizard under 'Related values in source column', without "
            "commas."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        'related_values: ["\\x01Salesforce"]',
        (
            "p.yaml:24: `columns[4].related_values[0]` is not valid. The source column's values, "
            "exactly as entered in the wizard under 'Related values in source column', without "
            "commas."
        ),
    ),
)

# What the rules refuse, because a schema cannot express it.
SENSE = (
    (
        "schema: 1",
        "schema: 1\nscope: {exclude: {countries: [DE]}}",
        (
            "p.yaml:2: `scope.exclude.countries` needs the directory of people. Add `identity: {directory: "
            "default}`, or select people by a `list`."
        ),
    ),
    (
        "schema: 1",
        "schema: 1\nidentity: {map: /a.csv}\nscope: {include: {groups: [Staff]}}",
        (
            "p.yaml:3: `scope.include.groups` needs the directory of people. Add `identity: {directory: "
            "default}`, or select people by a `list`."
        ),
    ),
    (
        "schema: 1",
        "schema: 1\nidentity: {map: accounts.csv}",
        "p.yaml:2: `identity.map` is a relative path. Write an absolute path here.",
    ),
    (
        "name: demo",
        "name: demo\ninput: {zone: Europe/Berln}",
        (
            "p.yaml:3: `input.zone` is not a time zone that this machine knows. Use an IANA name such"
            " as Europe/Berlin, or UTC. If the name is right, install tzdata."
        ),
    ),
    (
        "name: demo",
        "name: demo\ninput: {zone: Europe}",
        (
            "p.yaml:3: `input.zone` is not a time zone that this machine knows. Use an IANA name such"
            " as Europe/Berlin, or UTC. If the name is right, install tzdata."
        ),
    ),
    (
        "type: datetime",
        "type: string",
        (
            "p.yaml:9: a profile needs exactly one column with the role time; this one has 0. The "
            "connector's data mapping step asks for one user column and one event time column."
        ),
    ),
    (
        "type: number\n    role: threshold",
        "type: user",
        (
            "p.yaml:14: a profile needs exactly one column with the role user; this one has 2. The "
            "connector's data mapping step asks for one user column and one event time column."
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
        "p.yaml:16: only datetime columns have a `format`. Remove it.",
    ),
    (
        "type: number",
        "type: string",
        (
            "p.yaml:16: a column with the role threshold must have the type number. Set `type: "
            "number`, or choose another role."
        ),
    ),
    (
        "type: user",
        "type: user\n    role: information",
        "p.yaml:12: a column of type user always has the role user. Remove `role`.",
    ),
    (
        "    role: threshold",
        "    role: threshold\n    allowed: ['1', '2']",
        "p.yaml:17: only columns of type string have `allowed` values. Remove them.",
    ),
    (
        "    role: threshold",
        "    role: threshold\n    map: {x: '1'}",
        "p.yaml:17: `map` requires `allowed`. List the values that may be sent.",
    ),
    (
        "- header: score",
        "- header: user",
        "p.yaml:14: columns 1 and 3 have the same header. Make each header unique.",
    ),
    (
        "map: {low: Low}",
        "map: {low: Lwo}",
        "p.yaml:20: `map.low` maps to a value that is not allowed. Allowed values: Low, High.",
    ),
    (
        "map: {low: Low}",
        "otherwise: Medium",
        "p.yaml:20: `otherwise` is not an allowed value. Allowed values: Low, High.",
    ),
    (
        "map: {low: Low}",
        "related_values: [a]",
        (
            "p.yaml:20: `related_values` and `role: source` must be used together. Give the source "
            "column the values entered in the wizard, and no other column."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "allowed: [Salesforce]",
        (
            "p.yaml:23: `related_values` and `role: source` must be used together. Give the source "
            "column the values entered in the wizard, and no other column."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "related_values: [Salesforce]\n    allowed: [Salesforce]",
        (
            "p.yaml:25: `allowed` cannot be used in the source column, whose values are its "
            "`related_values`. Remove `allowed`."
        ),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "related_values: [a]\n  - {header: b, type: string, role: source, related_values: [b]}",
        ("p.yaml:25: a connector has at most one source column. Give one of them `role: information`."),
    ),
    (
        "related_values: [Salesforce, Dropbox]",
        "related_values: [Salesforce]\n    subject: false",
        (
            "p.yaml:25: `subject: false` is only for information columns, and the role of this one is "
            "source. Remove `subject`. A threshold is never part of the subject; user, time and source "
            "always are."
        ),
    ),
    (
        "    role: threshold",
        "    role: threshold\n    time_field: clock",
        "p.yaml:17: only datetime columns have a `time_field`. Remove it.",
    ),
    (
        "    type: datetime",
        "    type: datetime\n    default: '2026-11-20'",
        "p.yaml:14: a time column cannot have a `default`. Remove it: nobody knows who or when it was.",
    ),
    (
        "    role: threshold",
        "    role: threshold\n    default: none",
        "p.yaml:17: `default` is not a number. Write digits, with a point before a fraction.",
    ),
    (
        "map: {low: Low}",
        "default: low",
        "p.yaml:20: `default` is not an allowed value. Allowed values: Low, High.",
    ),
)


@pytest.mark.parametrize(("old", "new", "expected"), FORM + SENSE)
def test_an_invalid_profile_gets_one_clear_message(old: str, new: str, expected: str) -> None:
    """The message has the line, the fault and the next step, with the nearest known key."""
    assert message(changed(old, new)) == expected


def test_how_files_are_written() -> None:
    """Each key of `input.format` as a value; the delimiter by its name."""
    text = changed(
        "name: demo",
        "name: demo\ninput: {format: {delimiter: tab, encoding: cp1252, spaces: true, skip: 2, sheet: Rows, "
        "records: a.b, numbers: comma}}",
    )
    assert parse(text, "p.yaml").format == Format("\t", "cp1252", True, 2, "Rows", "a.b", "comma")  # noqa: FBT003
    assert parse(TEXT, "p.yaml").format == Format()


def test_the_fields_of_a_profile() -> None:
    """Those of its columns, and those of times of day."""
    text = changed("    type: datetime", "    type: datetime\n    field: day\n    time_field: clock")
    assert parse(text, "p.yaml").fields == ("user", "day", "clock", "score", "level", "product")


def listed(count: int) -> str:
    """A YAML list of ``count`` texts."""
    return "[" + ", ".join(f"v{number}" for number in range(count)) + "]"


def mapped(count: int) -> str:
    """A YAML mapping of ``count`` texts to an allowed value."""
    return "{" + ", ".join(f"k{number}: Low" for number in range(count)) + "}"


# a part of TEXT | its replacement | the last value that passes | the first that does not
LIMITS = (
    ("name: demo", "name: demo\nidentity: {{max_age: {}}}", "1h", "0h"),
    ("name: demo", "name: demo\nidentity: {{max_age: {}}}", "999d", "1000d"),
    ("name: demo", "name: demo\nscope: {}", "{include: {list: /a}}", "{include: {}}"),
    ("name: demo", "name: demo\nscope: {}", "{include: {list: /a}}", "{}"),
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
    """A value at the limit passes, and one beyond it does not."""
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
    """``keep-greatest`` is refused at its line unless there is exactly one threshold column."""
    keep = "collisions:\n  policy: keep-greatest\n"
    assert parse(TEXT + keep, "p.yaml").collisions.policy == "keep-greatest"
    assert message(changed("role: threshold", "role: information") + keep) == (
        "p.yaml:26: `collisions.policy: keep-greatest` needs exactly one threshold column. "
        "This profile has 0; use `policy: spread`."
    )
    two = "role: threshold\n  - {header: bytes, type: number, role: threshold}"
    assert message(changed("role: threshold", two) + keep) == (
        "p.yaml:27: `collisions.policy: keep-greatest` needs exactly one threshold column. "
        "This profile has 2; use `policy: spread`."
    )


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "~", "- a\n- b\n", "just text", "42"])
def test_a_profile_must_be_a_mapping(text: str) -> None:
    """Any other YAML value gets its own message."""
    assert message(text) == (
        "p.yaml: the profile is not a mapping of keys. "
        "Start from a shipped profile: irmexport profile show leaver-prediction > my-profile.yaml"
    )


SECRET = "Zq8~hunter2.Z-9_x"

ILL_FORMED = (
    "p.yaml:8: `connector.credential` is not a valid reference to a secret. Where to read the client "
    "secret, never the secret itself: {env: NAME}, {file: PATH}, {keyring: SERVICE/USER}, "
    "{key_vault: URL}, {certificate: PATH}, {managed_identity: CLIENT-ID} or {workload_identity: PATH}."
)
LITERAL = f"{ILL_FORMED} If this is a secret itself, replace it: it has been on disk."


@pytest.mark.parametrize(
    ("credential", "expected"),
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
def test_a_literal_secret_is_refused_and_not_shown(credential: str, expected: str) -> None:
    """A secret in place of a reference gets this advice and appears in no message or traceback."""
    text = changed("credential: {env: IRMEXPORT_SECRET}", f"credential: {credential}")
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    assert str(caught.value) == expected
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
def test_a_secret_elsewhere_is_not_shown_either(line: str) -> None:
    """A secret in any wrong place, or in text that is not YAML, appears in no message."""
    text = changed("credential: {env: IRMEXPORT_SECRET}", line)
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(None, caught.value, caught.tb))


def test_a_file_is_read(tmp_path: Path) -> None:
    """``read`` returns the profile in a file, with or without BOM; messages contain the path."""
    path = tmp_path / "demo.yaml"
    path.write_text(TEXT, encoding="utf-8")
    assert read(str(path)) == parse(TEXT, "p.yaml")
    path.write_text(TEXT, encoding="utf-8-sig")
    assert read(str(path)).name == "demo"
    path.write_text(TEXT + "kid: trigger\n", encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        read(str(path))
    assert str(caught.value) == f"{path}:25: unknown key `kid` in the profile. Did you mean `kind`?"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a directory, another encoding and a huge file have their own messages."""
    with pytest.raises(ProfileError) as caught:
        read(str(tmp_path / "none.yaml"))
    assert str(caught.value) == (
        f"{tmp_path}/none.yaml: the profile cannot be read (No such file or directory). "
        "Check the path and the file's permissions. "
        "Start from a shipped profile: irmexport profile show leaver-prediction > my-profile.yaml"
    )
    with pytest.raises(ProfileError) as caught:
        read(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: the profile cannot be read (Is a directory). "
        "Check the path and the file's permissions. "
        "Start from a shipped profile: irmexport profile show leaver-prediction > my-profile.yaml"
    )
    path = tmp_path / "wide.yaml"
    path.write_bytes(f"{TEXT}# ".encode() + b"\xe9")
    with pytest.raises(ProfileError) as caught:
        read(str(path))
    assert str(caught.value) == f"{path}: the profile is not UTF-8 text. Save it as UTF-8."
    path.write_text(TEXT + "#" * 300_000, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        read(str(path))
    assert str(caught.value) == (
        f"{path}: the profile is larger than 256 KiB. Check that this is the right file."
    )


def attempt(text: str) -> str:
    """The message of ``parse``, or an empty text; any error but a ProfileError propagates."""
    with contextlib.suppress(ProfileError):
        assert isinstance(parse(text, "p.yaml"), Profile)
        return ""
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


#: Text that is special to YAML, to the schema library or in a file name.
TRAPS = (
    *("&a ", "*a", "!!bool x", "!!int ''", "!x ", "<<: ", "? ", "- ", ": ", "{", "}", "[", "]", "|\n", ">\n"),
    *('"', "'", "\\", '"\\UFFFFFFFF"', '"\\ud800"', "\0", "\x1f", "\ud800", "\ufeff", "%YAML 1.1\n", "---\n"),
    *("...\n", "#", "\t", "\n", "  ", ".", "[0]", "0", "1e999", ".nan", "no", "~", "2023-04-24", "9" * 30),
    *("credential: ", "map: ", "columns: ", "required: ", "{a.b: 1}", "{'': 1}", "[" * 30, "{a: " * 30),
)
SHIPPED = tuple(shipped_text(name) for name in shipped_names())


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped profile with some parts removed, doubled, or replaced by a trap."""
    text = draw(st.sampled_from((*SHIPPED, TEXT, ALL_KEYS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from((0, 1, 3, 10, 40))))
        between = draw(st.sampled_from(TRAPS) | st.just(text[start:end] * 2) | st.text(max_size=3))
        text = text[:start] + between + text[end:]
    return text


@settings(max_examples=300)
@given(st.text() | st.lists(st.sampled_from(TRAPS)).map("".join) | mutated())
def test_any_text_is_a_profile_or_gets_a_message(text: str) -> None:
    """No text raises any other error than ProfileError, and its message can be printed."""
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
    """However `credential` is written, its value appears in no message."""
    line = template.format(f"{before}{SECRET}{after}")
    assert SECRET not in attempt(changed("credential: {env: IRMEXPORT_SECRET}", line))
