import os
import re
import sys
from pathlib import Path

from tests.docs.test_pages import pattern, run, steps

PAGE = Path(__file__).parents[2] / "docs" / "kql.md"


def test_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of docs/kql.md runs, in its order, and prints what stands behind it."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shown = steps(PAGE)
    assert len(shown) == 3
    for command, output in shown:
        printed = run(command, tmp_path, environment)
        assert re.fullmatch(pattern(output), printed), f"{command}\nprints\n{printed}\nnot\n{output}"
