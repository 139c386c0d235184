"""The plan of `sentinel run`: what a valid file becomes, and the message for an invalid one."""

from datetime import timedelta
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError
from irmsentinel.azure.identity import Identity
from irmsentinel.export import plan

A, B = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
FULL = f"""schema: 1
cloud: us-government
identity:
  kind: client-secret
  tenant_id: {A}
  client_id: {B}
  secret: {{file: /etc/irmexport/azure}}
workspaces:
  - {A}
  - {B}
exports:
  - aggregation: okta
  - aggregation: box
    profile: my-box
    workspaces: [{B.upper()}]
    delay: 12h
    overlap: 0d
    schedule: 7d
"""


def read(tmp_path: Path, text: str) -> plan.Plan:
    """The plan in a file."""
    file = tmp_path / "sentinel.yaml"
    file.write_text(text)
    return plan.read(file)


def test_every_key_is_used(tmp_path: Path) -> None:
    """Each aggregation becomes one job per workspace, with the times that the file sets."""
    found = read(tmp_path, FULL)
    assert found.cloud == "us-government"
    assert found.identity == Identity("client-secret", A, B, ("file", "/etc/irmexport/azure"))
    assert [(job.aggregation.name, job.workspace, job.profile) for job in found.jobs] == [
        ("okta", A, "sentinel-activity"),
        ("okta", B, "sentinel-activity"),
        ("box", B, "my-box"),
    ]
    box = found.jobs[2].aggregation
    assert (box.delay, box.overlap, box.schedule) == (
        timedelta(hours=12),
        timedelta(0),
        timedelta(days=7),
    )
    assert box.first == timedelta(days=7)


@pytest.mark.parametrize(
    ("change", "line", "expected"),
    [
        (("schema: 1", "schema: 2"), 1, "`schema` must be 1"),
        (("cloud: us-government", "cloud: mars"), 2, "`cloud` must be one of public, us-government, china"),
        (
            ("kind: client-secret", "kind: password"),
            4,
            "`identity.kind` must be one of default, managed-identity",
        ),
        (("  secret: {file: /etc/irmexport/azure}\n", ""), 4, "needs `tenant_id`, `client_id` and `secret`"),
        (
            ("{file: /etc/irmexport/azure}", "{env: A, file: B}"),
            7,
            "`identity.secret` is not a valid reference to a secret. Where to read the client secret, never",
        ),
        (("{file: /etc/irmexport/azure}", "the-secret-itself"), 7, "is not a valid reference to a secret"),
        ((f"  - {A}\n", "  - my-workspace\n"), 9, "a GUID"),
        (("aggregation: okta", "aggregation: otka"), 12, "Did you mean `okta`"),
        (("overlap: 0d", "overlap: 5h"), 17, "a multiple of the window, 1d"),
        (("delay: 12h", "dely: 12h"), 16, "Did you mean `delay`"),
        (
            ("aggregation: okta", f"aggregation: box\n    profile: my-box\n    workspaces: [{B}]"),
            11,
            "lists an export twice",
        ),
        (
            ("exports:", "exports: []\nexport:"),
            11,
            "`exports` is empty",
        ),
    ],
)
def test_an_invalid_plan_is_refused_with_its_line(
    tmp_path: Path, change: tuple[str, str], line: int, expected: str
) -> None:
    """The message says what is valid, and does not repeat a secret written there by mistake."""
    with pytest.raises(ConfigurationError, match=expected) as refused:
        read(tmp_path, FULL.replace(*change))
    assert refused.value.where == f"{tmp_path}/sentinel.yaml:{line}"
    assert "the-secret-itself" not in str(refused.value)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    """The message says which kind of file it is, and what to do."""
    with pytest.raises(ConfigurationError, match="the export plan cannot be read"):
        plan.read(tmp_path / "none.yaml")
