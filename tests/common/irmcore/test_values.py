"""Values stay what they were when they were checked."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from pathlib import Path

import irmcore
import pytest

ROOT = Path(irmcore.__path__[0])
#: Counted up during a drain.
CHANGING = {"irmcore.delivery.report.Report"}
PACKAGES_NEEDED = ("irmcore.http",)


def modules() -> list[str]:
    """The names of the core's modules that need no package."""
    files = [path.relative_to(ROOT.parent).with_suffix("") for path in sorted(ROOT.rglob("*.py"))]
    names = [".".join(path.parts).removesuffix(".__init__") for path in files]
    return [name for name in names if not name.startswith(PACKAGES_NEEDED)]


@pytest.mark.parametrize("module", modules())
def test_a_value_cannot_be_changed(module: str) -> None:
    """Each dataclass of the core is frozen, except those that count."""
    for name, found in inspect.getmembers(importlib.import_module(module), inspect.isclass):
        if found.__module__ == module and dataclasses.is_dataclass(found):
            changing = f"{module}.{name}" in CHANGING
            assert found.__dataclass_params__.frozen is not changing  # type: ignore[attr-defined]
