"""The names that Windows' Python does not have, from the stubs of typeshed that mypy brings."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

#: Whole modules with "Availability: Unix" in the Python documentation, and those that only they import.
MODULES = ("fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty", "pty", "readline")


def missing(module: str) -> set[str]:
    """The public names of ``module`` on this system that it lacks on Windows."""
    return _names(module, "linux") - _names(module, "win32")


def _names(module: str, platform: str) -> set[str]:
    spec = find_spec("mypy")
    assert spec is not None
    assert spec.origin is not None
    stubs = Path(spec.origin).parent / "typeshed" / "stdlib"
    file = stubs / module / "__init__.pyi"
    tree = ast.parse((file if file.exists() else stubs / f"{module}.pyi").read_text(encoding="utf-8"))
    return {name for name in _defined(tree.body, platform) if not name.startswith("__")}


def _defined(body: list[ast.stmt], platform: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If):
            yield from _defined(node.body if _holds(node.test, platform) else node.orelse, platform)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (name.asname or name.name for name in node.names)


def _holds(test: ast.expr, platform: str) -> bool:
    """Whether a condition on sys.platform and sys.version_info, the only ones in stubs, holds."""
    place = {"sys": _Sys(platform), "TYPE_CHECKING": True}
    return bool(eval(compile(ast.Expression(test), "stub", "eval"), place))  # noqa: S307 - typeshed's


class _Sys:
    version_info = sys.version_info

    def __init__(self, platform: str) -> None:
        self.platform = platform
