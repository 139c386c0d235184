"""Imports point down only: ARCHITECTURE.md's table of floors, held for every module of ours."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("common", "sentinel", "splunk_app/bin")

# A part is a module or a package; what lies inside a package stands on the package's floor.
FLOORS = {
    "irmcli.__main__": 9,
    "irmcli.commands": 9,
    "function_app": 9,
    "irmexport": 9,
    "irmexport_alerts": 9,
    "irmexport_command": 9,
    "irmexport_rest": 9,
    "irmsentinel.cli": 8,
    "irmsentinel.functions": 8,
    "irmcli.main": 8,
    "irmcli": 7,
    "irmsplunk": 6,
    "irmsentinel": 6,
    "irmcore.operations": 5,
    "irmcore.delivery": 4,
    "irmcore.intake": 4,
    "irmcore.shaping": 3,
    "irmcore.outbox": 3,
    "irmcore.profile": 2,
    "irmcore.http": 2,
    "irmcore.identity": 2,
    "irmcore.store": 2,
    "irmcore.settings": 1,
    "irmcore.clouds": 1,
    "irmcore.alert_list": 1,
    "irmcore.reasons": 0,
    "irmcore.clock": 0,
    "irmcore.disk": 0,
    "irmcore.ownership": 0,
    "irmcore.counts": 0,
    "irmcore.advice": 0,
    "irmcore.errors": 0,
}
BELOW = "irmcore"  # irmcore/__init__.py: imports nothing of ours, anyone may import it
BESIDE = "irmemulator"  # imports nothing of ours; PACKAGES has who may import it

OURS = {part.partition(".")[0] for part in FLOORS} | {BESIDE}

# The modules and packages that may import a package that is not Python's own. The core may import no others.
PACKAGES = {
    "requests": {"irmcore.http.upload", "irmcore.http.deadlines", "irmcore.http.failures"},
    "urllib3": {
        "irmcore.http.upload",
        "irmcore.http.deadlines",
        "irmcore.http.failures",
        "irmsentinel",
    },
    "msal": {"irmcore.http.auth"},
    "obstore": {"irmcli.object_store"},
    "opentelemetry": {"irmcli.otlp"},
    "python_calamine": {"irmcli.session.workbook"},
    "yaml": {"irmcore.settings"},
    "splunk": {"irmexport_rest"},
    "keyring": {"irmcli"},
    "markdown_it": {"irmcli.wizard"},
    "watchdog": {"irmcli"},
    "cryptography": {"irmcli", "irmemulator"},
    "jwt": {"irmemulator"},
    "trustme": {"irmemulator"},
    "irmemulator": {"irmcli", "irmsentinel.emulators"},
    "fastjsonschema": {"irmcore.settings"},
}


def part_of(module: str) -> str | None:
    """The part a module belongs to, None if it is on no floor."""
    if module == BELOW or module.startswith(f"{BELOW}.__"):  # __version__
        return BELOW
    name = module
    while name and name not in FLOORS and name != BESIDE:
        name = name.rpartition(".")[0]
    return name or None


def where(part: str) -> str:
    """How messages name a part."""
    place = {BELOW: "below all", BESIDE: "beside"}.get(part)
    return f"{part} ({place or f'floor {FLOORS[part]}'})"


def imports_of(source: str, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module's source imports, wherever it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            start = above[: len(above) - node.level + is_package] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = ast.unparse(node.func)
            if function in {"__import__", "import_module", "importlib.import_module"}:
                yield node.lineno, str(node.args[0].value)


def foreign_violation(module: str, top: str) -> str | None:
    """Why a module may not import a package that is not ours, None if it may."""
    if top in PACKAGES:
        allowed = PACKAGES[top]
        inside = any(module == name or module.startswith(f"{name}.") for name in allowed)
        return None if inside else f"only {', '.join(sorted(allowed))} may"
    core = module == BELOW or module.startswith(f"{BELOW}.")
    return "the core may not" if core and top not in sys.stdlib_module_names else None


def own_violation(importer: str, target: str) -> str | None:
    """Why a part of ours may not import another, None if it may."""
    if target == importer:
        return None
    if importer in {BELOW, BESIDE}:
        return "it may import nothing"
    if target == BELOW:
        return None
    return None if FLOORS[target] < FLOORS[importer] else "not below it"


def violation(module: str, importer: str, imported: str) -> str | None:
    """What a message says about an import by a module of the part ``importer``, None if it is fine."""
    top = imported.partition(".")[0]
    if top not in OURS:
        why = foreign_violation(module, top)
        return why and f"{where(importer)} imports {top}: {why}"
    target = part_of(imported)
    if target is None:
        return f"{where(importer)} imports {imported}: that is on no floor"
    if target == BESIDE and importer != BESIDE:
        why = foreign_violation(module, BESIDE)
    else:
        why = own_violation(importer, target)
    return why and f"{where(importer)} imports {where(target)}: {why}"


def violations(source: str, module: str, *, path: str, is_package: bool = False) -> list[str]:
    """All that is wrong with a module, each with file and line."""
    importer = part_of(module)
    if importer is None:
        return [f"{path}:1: {module} is on no floor: add it to ARCHITECTURE.md and FLOORS"]
    wrong = {
        (line, why)
        for line, imported in imports_of(source, module, is_package=is_package)
        if (why := violation(module, importer, imported))
    }
    return [f"{path}:{line}: {why}" for line, why in sorted(wrong)]


def our_modules() -> list[tuple[Path, str]]:
    """Every Python file of ours, with the name it is imported by."""
    found = []
    for top in SOURCES:
        for file in sorted((ROOT / top).rglob("*.py")):
            names = file.relative_to(ROOT / top).with_suffix("").parts
            found.append((file, ".".join(names[:-1] if names[-1] == "__init__" else names)))
    return found


def test_imports_point_down_only() -> None:
    """No module imports from its own floor or from a higher one."""
    modules = our_modules()
    assert modules, "no module was found"
    wrong = [
        line
        for file, module in modules
        for line in violations(
            file.read_text(encoding="utf-8"),
            module,
            path=str(file.relative_to(ROOT)),
            is_package=file.name == "__init__.py",
        )
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """The imports of all modules, also those inside a package and inside functions, form no cycle."""
    files = {module: file for file, module in our_modules()}
    graph = {
        module: {
            target
            for _, name in imports_of(
                file.read_text(encoding="utf-8"), module, is_package=file.name == "__init__.py"
            )
            if (target := name if name in files else name.rpartition(".")[0]) in files
            and not f"{module}.".startswith(
                f"{target}."
            )  # its own package, which Python has imported already
        }
        for module, file in files.items()
    }
    assert tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle


def test_the_table_in_the_document_is_this_one() -> None:
    """ARCHITECTURE.md shows the floors that are held here."""
    document = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = document.split("## Floors", 1)[1].split("\n## ", 1)[0]
    in_document = {
        part: int(floor)
        for floor, parts in re.findall(r"^\| (\d) [a-z ]+\| (.+) \|$", section, re.MULTILINE)
        for part in re.findall(r"`([a-z_.]+)`", parts)
    }
    assert in_document == FLOORS


BAD = """
from irmcore import errors, intake
import irmcore.shaping.rows
from . import pool
from ..delivery import send

def late():
    import requests
    import irmcli.main
    import importlib
    importlib.import_module("irmcore.operations.operations")
"""

EXAMPLES = {
    "every kind of import": (
        "irmcore.outbox.store",
        BAD,
        [
            "it.py:2: irmcore.outbox (floor 3) imports irmcore.intake (floor 4): not below it",
            "it.py:3: irmcore.outbox (floor 3) imports irmcore.shaping (floor 3): not below it",
            "it.py:5: irmcore.outbox (floor 3) imports irmcore.delivery (floor 4): not below it",
            (
                "it.py:8: irmcore.outbox (floor 3) imports requests: "
                "only irmcore.http.deadlines, irmcore.http.failures, irmcore.http.upload may"
            ),
            "it.py:9: irmcore.outbox (floor 3) imports irmcli.main (floor 8): not below it",
            "it.py:11: irmcore.outbox (floor 3) imports irmcore.operations (floor 5): not below it",
        ],
    ),
    "down, sideways inside the part, and Python's own": (
        "irmcore.shaping.rows",
        (
            "import csv, irmcore\nfrom irmcore import __version__, counts\nfrom . import times\n"
            "from irmcore.profile.model import Profile\nfrom irmcore.shaping.upn import Upn\n"
        ),
        [],
    ),
    "the exception holds one way only": (
        "irmcore.settings.read",
        "from irmcore.shaping import rows\nimport yaml\n",
        ["it.py:1: irmcore.settings (floor 1) imports irmcore.shaping (floor 3): not below it"],
    ),
    "values do not import each other": (
        "irmcore.counts",
        "from irmcore.errors import IrmError\n",
        ["it.py:1: irmcore.counts (floor 0) imports irmcore.errors (floor 0): not below it"],
    ),
    "a host, a foreign package, our command line": (
        "irmcore.operations.operations",
        "import splunklib.client\nfrom azure.identity import X\nimport rich, click, irmemulator\n",
        [
            "it.py:1: irmcore.operations (floor 5) imports splunklib: the core may not",
            "it.py:2: irmcore.operations (floor 5) imports azure: the core may not",
            "it.py:3: irmcore.operations (floor 5) imports click: the core may not",
            (
                "it.py:3: irmcore.operations (floor 5) imports irmemulator (beside): "
                "only irmcli, irmsentinel.emulators may"
            ),
            "it.py:3: irmcore.operations (floor 5) imports rich: the core may not",
        ],
    ),
    "the emulator": (
        "irmemulator.https_server",
        "from irmcore import clock\nfrom irmemulator.file_rules import Table\nimport trustme\n",
        ["it.py:1: irmemulator (beside) imports irmcore.clock (floor 0): it may import nothing"],
    ),
    "the command line": (
        "irmcli.demo.steps",
        "import click, irmemulator\nfrom irmcore import delivery, errors\nimport yaml\n",
        ["it.py:3: irmcli (floor 7) imports yaml: only irmcore.settings may"],
    ),
    "a module on no floor": (
        "irmcore.utils",
        "",
        ["it.py:1: irmcore.utils is on no floor: add it to ARCHITECTURE.md and FLOORS"],
    ),
    "an import of a module on no floor": (
        "irmcore.operations.operations",
        "from irmcore import utils\n",
        ["it.py:1: irmcore.operations (floor 5) imports irmcore.utils: that is on no floor"],
    ),
}


@pytest.mark.parametrize(("module", "source", "expected"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_check_names_file_line_and_both_floors(module: str, source: str, expected: list[str]) -> None:
    """A source that imports upwards is found out, whichever way it imports."""
    assert violations(source, module, path="it.py") == expected


def test_a_package_resolves_its_own_relative_imports() -> None:
    """In an __init__.py one dot is the package itself."""
    source = "from . import store\nfrom .. import operations\n"
    assert violations(source, "irmcore.outbox", path="__init__.py", is_package=True) == [
        "__init__.py:2: irmcore.outbox (floor 3) imports irmcore.operations (floor 5): not below it"
    ]


@pytest.mark.parametrize(
    "module",
    [
        *(
            "irmcore.delivery.connection",
            "irmcore.intake.accept",
            "irmcore.shaping",
            "irmcore.delivery.breaker_store",
        ),
        *("irmcore.delivery.sender", "irmcli.main", "irmcli.commands.status"),
    ],
)
def test_who_sends_nothing_loads_no_network_library(module: str) -> None:
    """Neither Splunk's search command nor the command line pays for requests and msal before it sends."""
    heavy = ("requests", "urllib3", "msal", "cryptography")
    ask = f"import sys, {module}; print(*(m for m in {heavy!r} if m in sys.modules))"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
