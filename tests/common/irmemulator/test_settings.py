"""Applications, jobs and options: which values are refused."""

from __future__ import annotations

from typing import Any

import pytest
from irmemulator.settings import App, Job, Options

ID = "22222222-2222-4222-8222-222222222222"


def test_an_app_hides_its_secret() -> None:
    """The repr of an application has no secret."""
    assert "s3cret" not in repr(App("contoso.onmicrosoft.com", ID, "s3cret"))


@pytest.mark.parametrize(
    ("tenant", "app", "secret"), [("", ID, "s"), ("a/b", ID, "s"), ("t", "app", "s"), ("t", ID, "")]
)
def test_apps_refused(tenant: str, app: str, secret: str) -> None:
    """An application without valid ids or without a secret is refused."""
    with pytest.raises(ValueError, match=r"App\."):
        App(tenant, app, secret)


@pytest.mark.parametrize(
    "wrong",
    [
        {"job_id": "5"},
        {"app_id": "{22222222-2222-4222-8222-222222222222}"},
        {"columns": ()},
        {"columns": ("a", "a")},
        {"columns": ("a",), "user_column": "b"},
        {"columns": ("a",), "time_column": "b"},
        {"columns": ("a",), "source_column": "b"},
        {"related_values": ("Dropbox",)},
    ],
)
def test_jobs_refused(wrong: dict[str, Any]) -> None:
    """A job whose mapping contradicts itself is refused."""
    with pytest.raises(ValueError, match=r"Job\."):
        Job(**{"job_id": ID, "app_id": ID, "name": "n", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_records": 0},
        {"max_bytes": -1},
        {"token_lifetime": 0},
        {"keep_records": 0},
        {"idle_timeout": 0},
        {"handshake_timeout": float("nan")},
        {"time_precision": "ns"},
        {"resource": ""},
    ],
)
def test_options_refused(wrong: dict[str, Any]) -> None:
    """Options under which nothing could be uploaded are refused."""
    with pytest.raises(ValueError, match=r"Options\."):
        Options(**wrong)
