"""The app's settings files in Blob Storage, read by its managed identity."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sentinel.function_app.cloud import CLIENT, Cloud, cloud
from tests.sentinel.function_app.instances import Instances
from tests.sentinel.irmsentinel.export.exports import WORKSPACE, Stage, api, okta

pytestmark = pytest.mark.needs("azurite")
PLAN = f"schema: 1\nworkspaces: ['{WORKSPACE}']\nexports:\n- aggregation: okta\n"


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One storage account for all tests."""
    with cloud(tmp_path_factory.mktemp("azure") / "storage") as running:
        yield running


def test_a_changed_file_counts_from_the_next_invocation_on(azure: Cloud, tmp_path: Path) -> None:
    """Read by the identity that AZURE_CLIENT_ID names, and not left on the instance."""
    azure.put_settings("changed", {"sentinel.yaml": PLAN.replace("okta", "octa")})
    settings = azure.app_settings("changed") | {"IRMEXPORT_OUTBOX": str(tmp_path / "outbox")}
    rows = [okta("2026-11-20T08:00:00Z")]
    with Stage(tmp_path).running() as stage, api({"OktaSystemLogs": rows}, tmp_path / "api"):
        instances = Instances(tmp_path, settings)
        emulators = f"--query-emulator '{tmp_path}/api' --emulator '{tmp_path}/emulator'"
        instances.settings["IRMEXPORT_EXPORT_OPTIONS"] = emulators
        wrong = instances.invoke("export", "disk")
        assert (wrong.code, "there is no aggregation of this name" in wrong.log) == (1, True), wrong.log
        azure.put_settings("changed", {"sentinel.yaml": PLAN})
        done = instances.invoke("export", "disk")
        assert (done.code, "succeeded" in done.log) == (0, True), done.log
        assert instances.invoke("drain", "disk").code == 0
        assert len(stage.counts()) == 1
    assert {client for client, _ in azure.identity.issued} == {CLIENT}
    assert list((tmp_path / "disk").rglob("sentinel.yaml")) == []


def test_a_profile_beside_the_plan_counts(azure: Cloud, tmp_path: Path) -> None:
    """``profiles/NAME.yaml`` is found as in a user's own directory."""
    azure.put_settings(
        "profiles", {"sentinel.yaml": f"{PLAN}  profile: own\n", "profiles/own.yaml": "no: profile\n"}
    )
    instances = Instances(
        tmp_path, azure.app_settings("profiles") | {"IRMEXPORT_OUTBOX": str(tmp_path / "o")}
    )
    failed = instances.invoke("export")
    assert failed.code == 1
    assert "profiles/own.yaml" in failed.log


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AZURE_CLIENT_ID": "66666666-7777-4888-8999-dddddddddddd"}, "Give this machine a managed identity"),
        ({"IRMEXPORT_SETTINGS": "missing-container"}, "ContainerNotFound"),
        ({"IRMEXPORT_SETTINGS": "az://"}, "az://ACCOUNT/CONTAINER/PREFIX"),
    ],
    ids=["another identity", "no container", "no address"],
)
def test_settings_that_cannot_be_read(
    azure: Cloud, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    """The invocation fails, and its log says what is wrong."""
    settings = azure.app_settings("none") | change
    if settings["IRMEXPORT_SETTINGS"] == "missing-container":
        settings["IRMEXPORT_SETTINGS"] = azure.azurite.address("x", "missing-container")
    failed = Instances(tmp_path, settings).invoke("drain")
    assert failed.code == 1
    assert message in failed.log
