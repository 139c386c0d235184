"""The part of the demo with a shared outbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from irmcli.output import Output

from tests.fakes import store_demo


@pytest.mark.needs("azurite")
def test_two_machines_share_an_outbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What A accepted falls out on B, which sends it."""
    text, good = store_demo.play(Output(as_json=False), tmp_path)
    assert good, capsys.readouterr().out
    assert text == "two machines, one outbox: A accepted 3, B skipped them and sent 3"


def test_without_azurite_one_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And how to get it; nothing is started."""
    text, good = store_demo.play(Output(as_json=False), tmp_path, tmp_path / "missing.js")
    assert good
    assert "Azurite is missing; `make .venv/.azurite` gets it" in text
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []
