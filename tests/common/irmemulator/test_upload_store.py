"""What the emulator remembers: the log of uploads, the records, the JSON lines."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

from tests.common.irmemulator.client import ANY_HEADER, APP, JOB, TWO_ROWS, Client


def rows(*scores: int) -> str:
    """A file with one record for each score."""
    lines = [f"u{score}@contoso.com,2023-04-20T05:52:56Z,{score}" for score in scores]
    return "\n".join(["User,Time,Score", *lines])


def test_the_status_log(client: Client) -> None:
    """/uploads has RecordsSaved for every upload, the oldest first."""
    client.upload(TWO_ROWS + TWO_ROWS.splitlines()[1] + "\n")
    client.upload("nothing")
    first, second = client.get("/uploads").json()
    assert first["JobId"] == second["JobId"] == JOB.job_id
    assert (first["RecordsReceived"], first["RecordsSaved"]) == (3, 2)
    assert first["RecordsDropped"] == {"pair_repeated": 1}
    assert (first["Status"], first["Code"]) == (200, None)
    assert (second["RecordsSaved"], second["Status"], second["Code"]) == (0, 400, "columns_differ")
    assert first["UploadTime"].endswith("+00:00")
    assert len(first["FileSha256"]) == 64


def test_the_kept_records(client: Client) -> None:
    """/records has the saved records of all jobs, or of the one in the query."""
    client.upload()
    first, second = client.get("/records").json()["jobs"]
    assert (first["records_saved"], second["records_saved"]) == (2, 0)
    assert first["records"][0] == {
        "request_id": client.emulator.uploads[0].request_id,
        "user": "sarad@contoso.com",
        "time": "2023-04-20T05:52:56.962686Z",
        "time_kept": "2023-04-20T05:52:56.962686Z",
        "source": None,
        "fields": {
            "User": "sarad@contoso.com",
            "Time": "2023-04-20T05:52:56.962686Z",
            "Score": "6",
        },
    }
    only = client.get("/records", params={"jobid": ANY_HEADER.job_id.upper()}).json()["jobs"]
    assert [job["job_id"] for job in only] == [ANY_HEADER.job_id]
    assert client.get("/records", params={"jobid": "x"}).status_code == 404


def test_the_oldest_records_go_first(client_with: Callable[..., Client]) -> None:
    """Memory has the newest records up to the limit; the count includes all."""
    client = client_with(Options(keep_records=3))
    client.upload(rows(1, 2))
    client.upload(rows(3, 4))
    kept = client.emulator.records(JOB.job_id)
    assert [dict(record.fields)["Score"] for record in kept] == ["2", "3", "4"]
    assert client.emulator.records_saved(JOB.job_id) == 4


def test_json_lines(client_with: Callable[..., Client], tmp_path: Path) -> None:
    """A directory gets every saved record as a line, readable by its owner only, and stays after the stop."""
    place = tmp_path / "emulator"
    client = client_with(Options(keep_records=1), directory=place)
    client.upload(rows(1, 2))
    client.upload(rows(3))
    file = place / f"records-{JOB.job_id}.jsonl"
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [line["fields"]["Score"] for line in lines] == ["1", "2", "3"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    client.emulator.stop()
    assert file.exists()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """If the lines cannot be written, the upload gets a 500 and nothing is saved."""
    (tmp_path / f"records-{JOB.job_id}.jsonl").mkdir()
    with PurviewEmulator([APP], [JOB], directory=tmp_path) as emulator:
        reply = Client(emulator).upload()
        assert (reply.status_code, reply.json()["error"]["code"]) == (500, "emulator_defect")
        assert emulator.records(JOB.job_id) == ()
        assert emulator.uploads == ()
    (failure,) = emulator.failures
    assert failure.startswith("RuntimeError in add, line ")
