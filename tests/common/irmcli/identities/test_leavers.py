"""`irmexport identities leavers`: people with a leave date in Entra become rows that the HR profile takes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from irmcli.main import main
from irmemulator.graph_emulator import MEMBERS, USERS

from tests.common.irmcli.identities.tenant_and_directory import TenantAndDirectory, user

MakeTenant = Callable[..., TenantAndDirectory]
LEFT = "2026-12-31T00:00:00Z"


def announced(rig: TenantAndDirectory) -> str:
    """The directory of the running emulator, at this machine's time."""
    rig.emulator.tenant.now = time.time
    rig.emulator.announce()
    return str(rig.emulator.directory)


def test_the_file_goes_through_the_shipped_profile(tenant_with: MakeTenant, tmp_path: Path) -> None:
    """Only people with a leave date are in the file; the profile `hr-resignations` takes all its rows."""
    at = announced(
        tenant_with(
            user(1, "ana"),
            user(2, "ben", employeeLeaveDateTime=LEFT),
            user(3, "eve", employeeLeaveDateTime=None),
            *(user(number, f"u{number}") for number in range(10, 1_100)),  # more than a page
            user(4, "zoe", employeeLeaveDateTime="2027-01-31T00:00:00Z"),
        )
    )
    file = tmp_path / "leavers.csv"
    done = CliRunner().invoke(main, ["identities", "leavers", str(file), "--emulator", at])
    assert (done.exit_code, done.output) == (0, f"{file}: 2 rows\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().splitlines() == [
        "EmailAddress,ResignationDate,LastWorkingDate",
        f"ben@contoso.com,{LEFT},{LEFT}",
        "zoe@contoso.com,2027-01-31T00:00:00Z,2027-01-31T00:00:00Z",
    ]
    checked = CliRunner().invoke(main, ["check", str(file), "-p", "hr-resignations", "--json"])
    counts = json.loads(checked.stdout)["counts"]
    assert (counts["shaped"], counts["rejected"]) == (2, 0)


def test_a_missing_permission_is_named(tenant_with: MakeTenant, tmp_path: Path) -> None:
    """Without User-LifeCycleInfo.Read.All there is no file, and not an empty one."""
    at = announced(tenant_with(user(1, "ana", employeeLeaveDateTime=LEFT), permissions=(USERS, MEMBERS)))
    file = tmp_path / "leavers.csv"
    done = CliRunner().invoke(main, ["identities", "leavers", str(file), "--emulator", at])
    assert done.exit_code == 2
    assert "User.Read.All and User-LifeCycleInfo.Read.All" in done.output
    assert not file.exists()


@pytest.mark.parametrize("value", [{"userPrincipalName": None}, {"employeeLeaveDateTime": 5}])
def test_what_is_no_user_is_an_error(
    tenant_with: MakeTenant, tmp_path: Path, value: dict[str, object]
) -> None:
    """A row is never left out in silence."""
    at = announced(tenant_with(user(1, "ana", **{"employeeLeaveDateTime": LEFT, **value})))
    file = tmp_path / "leavers.csv"
    done = CliRunner().invoke(main, ["identities", "leavers", str(file), "--emulator", at])
    assert done.exit_code == 2
    assert "what is not a user" in done.output
    assert not file.exists()
