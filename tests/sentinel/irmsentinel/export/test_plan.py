"""What `sentinel run` is told to do: the file, and what is wrong with one."""

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


def test_all_that_a_file_can_say(tmp_path: Path) -> None:
    """Each aggregation for each workspace, its times changed where the file says so."""
    found = read(tmp_path, FULL)
    assert found.cloud == "us-government"
    assert found.identity == Identity("client-secret", A, B, ("file", "/etc/irmexport/azure"))
    assert [(job.aggregation.name, job.workspace, job.profile) for job in found.jobs] == [
        ("okta", A, "sentinel-activity"),
        ("okta", B, "sentinel-activity"),
        ("box", B, "my-box"),
    ]
    outbox = found.jobs[2].aggregation
    assert (outbox.delay, outbox.overlap, outbox.schedule) == (
        timedelta(hours=12),
        timedelta(0),
        timedelta(days=7),
    )
    assert outbox.first == timedelta(days=7)


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("schema: 1", "schema: 2"), 1, "not 1"),
        (("cloud: us-government", "cloud: mars"), 2, "us-government"),
        (("kind: client-secret", "kind: password"), 4, "managed-identity"),
        (("  secret: {file: /etc/irmexport/azure}\n", ""), 4, "needs more"),
        (("{file: /etc/irmexport/azure}", "{env: A, file: B}"), 7, "not where it is"),
        (("{file: /etc/irmexport/azure}", "the-secret-itself"), 7, "mapping"),
        ((f"  - {A}\n", "  - my-workspace\n"), 9, "a GUID"),
        (("aggregation: okta", "aggregation: otka"), 12, "Did you mean okta"),
        (("overlap: 0d", "overlap: 5h"), 17, "whole windows of 1d"),
        (("delay: 12h", "dely: 12h"), 16, "Did you mean `delay`"),
        (("aggregation: okta", f"aggregation: box\n    profile: my-box\n    workspaces: [{B}]"), 11, "twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], line: int, said: str
) -> None:
    """And with what is right; a secret written there by mistake is not repeated."""
    with pytest.raises(ConfigurationError, match=said) as refused:
        read(tmp_path, FULL.replace(*change))
    assert refused.value.where == f"{tmp_path}/sentinel.yaml:{line}"
    assert "the-secret-itself" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is a matter of configuration."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        plan.read(tmp_path / "none.yaml")
