"""The Sentinel solution as package.py builds it: reproducible and complete."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def built(into: Path, seed: str) -> Path:
    """The solution that package.py builds; ``seed`` sets the iteration order of sets."""
    subprocess.run(
        [sys.executable, ROOT / "package.py", "--only", "sentinel", "--into", into],
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
    )
    (archive,) = into.iterdir()
    return archive


def test_the_solution_is_built_the_same_byte_for_byte(tmp_path: Path) -> None:
    """The iteration order of sets does not matter; the zip has three templates and the licence."""
    one, other = built(tmp_path / "one", "1"), built(tmp_path / "other", "2")
    assert one.name.startswith("irmexport-sentinel-")
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as archive:
        names = archive.namelist()
        top = [name for name in names if "/" not in name]
        assert top == ["LICENSE", "azuredeploy.json", "createUiDefinition.json", "mainTemplate.json"]
        assert {"Solutions/irmexport/SolutionMetadata.json", "Logos/irmexport.svg"} <= set(names)
        for name in top[1:]:
            assert json.loads(archive.read(name))["$schema"].startswith(
                "https://schema.management.azure.com/"
            )
