import os
import re
import sys
import textwrap
from pathlib import Path

from irmsentinel.content import aggregations
from irmsentinel.export import plan

from tests.docs.shown import pattern, steps
from tests.docs.test_pages import run, start

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "kql.md"
EXPORTS = DOCS / "sentinel.md"


def test_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of docs/kql.md runs, in order, and prints the output shown."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shown = steps(PAGE.read_text(encoding="utf-8"))
    assert len(shown) == 3
    for command, output in shown:
        printed = run(command, tmp_path, environment)
        assert re.fullmatch(pattern(output), printed), f"{command}\nprints\n{printed}\nnot\n{output}"


def test_the_page_of_exports_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of docs/sentinel.md runs, in order, and prints the output shown."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IRMEXPORT_OUTBOX": str(tmp_path / "outbox"),
    }
    shown = steps(EXPORTS.read_text(encoding="utf-8"))
    assert len(shown) == 4
    background = []
    try:
        for command, output in shown:
            if command.endswith("&"):
                process, printed = start(command, tmp_path, environment)
                background.append(process)
            else:
                printed = run(command, tmp_path, environment)
            assert re.fullmatch(pattern(output), printed), f"{command}\nprints\n{printed}\nnot\n{output}"
    finally:
        for process in background:
            process.terminate()
            process.communicate(timeout=30)


def test_the_page_names_every_aggregation() -> None:
    """The table of docs/sentinel.md lists the aggregations of `irmexport sentinel aggregations`."""
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| [A-Z]", EXPORTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(aggregations.load())


def test_the_plan_of_the_page_is_one(tmp_path: Path) -> None:
    """The file shown in docs/sentinel.md is a valid plan."""
    (text,) = re.findall(r"```yaml\n(.*?)```", EXPORTS.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "sentinel.yaml"
    file.write_text(textwrap.dedent(text))
    assert [job.aggregation.name for job in plan.read(file).jobs] == ["sentinel-alerts", "okta"]


def test_the_page_of_the_collector_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of docs/collector.md runs against the emulator, in order, and prints the output shown."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "IRMEXPORT_OUTBOX": str(tmp_path / "outbox")}
    (command, output), *shown = steps((DOCS / "collector.md").read_text(encoding="utf-8"))
    process, printed = start(command, tmp_path, environment)
    try:
        assert re.fullmatch(pattern(output), printed), printed
        assert len(shown) == 3
        for command, output in shown:
            printed = run(command, tmp_path, environment)
            assert re.fullmatch(pattern(output), printed), f"{command}\nprints\n{printed}\nnot\n{output}"
    finally:
        process.terminate()
        process.wait(10)
