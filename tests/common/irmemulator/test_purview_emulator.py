"""The connector's emulator as a whole, and what it says about itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Options

from tests.common.irmemulator.client import (
    ANY_HEADER,
    APP,
    EXPIRED_APP,
    JOB,
    OTHER_APP,
    TENANT,
    Client,
)


def test_describe(client: Client) -> None:
    """The description is plain JSON with what a client needs, and without secrets."""
    description = client.emulator.describe()
    text = json.dumps(description)
    assert json.loads(text) == description
    assert not [app for app in (APP, OTHER_APP, EXPIRED_APP) if app.secret in text]
    assert description["url"] == client.emulator.url
    assert description["ca_file"] == str(client.emulator.ca_file)


def test_no_secret_in_a_repr(client: Client) -> None:
    """No repr of the public values has a secret, a token or a row."""
    token = client.token()
    client.upload(token=token)
    emulator = client.emulator
    shown = repr((emulator, emulator.uploads, emulator.records(JOB.job_id), APP, JOB, Options()))
    assert not [word for word in (token, APP.secret, "sarad") if word in shown]


def test_before_its_start() -> None:
    """Before the start there is no address, and the error says what to do."""
    emulator = PurviewEmulator([APP], [JOB])
    for question in (
        lambda: emulator.url,
        lambda: emulator.ca_file,
        lambda: emulator.authority(TENANT),
        emulator.describe,
    ):
        with pytest.raises(RuntimeError, match="call start"):
            question()
    assert (emulator.connections, emulator.uploads, emulator.running) == (0, (), False)
    emulator.stop()


def test_ids_are_given_once() -> None:
    """A job or an application given twice is refused, whatever the case of its id."""
    letters = "abcdefab-2222-4222-8222-222222222222"
    with pytest.raises(ValueError, match="same job"):
        PurviewEmulator([APP], [replace(JOB, job_id=letters), replace(ANY_HEADER, job_id=letters.upper())])
    with pytest.raises(ValueError, match="same app"):
        PurviewEmulator([App(TENANT, letters, "a"), App(TENANT, letters.upper(), "b")], [JOB])


def test_unknown_job(client: Client) -> None:
    """Records of an unknown job are an error, not an empty answer."""
    with pytest.raises(KeyError):
        client.emulator.records("5")


def test_uploads_at_the_same_time(client: Client) -> None:
    """Uploads over many connections at once are all saved and all recorded."""
    token = client.token()
    workers = [
        threading.Thread(target=lambda: Client(client.emulator).upload(token=token)) for _ in range(20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [upload.status for upload in client.emulator.uploads] == [200] * 20
    assert client.emulator.records_saved(JOB.job_id) == 40


def test_it_imports_nothing_of_ours() -> None:
    """The package loads without the other packages of irmexport, and without requests and msal."""
    others = "{'irmcore', 'irmcli', 'irmsentinel', 'requests', 'msal'}"
    code = f"import sys, irmemulator.purview_emulator; print(sorted({others} & set(sys.modules)))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
