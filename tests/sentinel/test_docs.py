import os
import re
import sys
from pathlib import Path

from tests.docs.test_pages import pattern, run, start, steps

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "kql.md"


def test_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of docs/kql.md runs, in its order, and prints what stands behind it."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shown = steps(PAGE)
    assert len(shown) == 3
    for command, output in shown:
        printed = run(command, tmp_path, environment)
        assert re.fullmatch(pattern(output), printed), f"{command}\nprints\n{printed}\nnot\n{output}"


def test_the_rehearsal_of_the_collector_is_as_shown(tmp_path: Path) -> None:
    """Every command of docs/collector.md runs against the stand-in, and prints what stands behind it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "IRMEXPORT_OUTBOX": str(tmp_path / "outbox")}
    (command, output), *shown = steps(DOCS / "collector.md")
    process, printed = start(command, tmp_path, environment, wanted=3)
    try:
        assert re.fullmatch(pattern(output), printed), printed
        assert len(shown) == 3
        for command, output in shown:
            printed = run(command, tmp_path, environment)
            assert re.fullmatch(pattern(output), printed), f"{command}\nprints\n{printed}\nnot\n{output}"
    finally:
        process.terminate()
        process.wait(10)
