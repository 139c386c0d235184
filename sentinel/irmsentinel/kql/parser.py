"""Run Microsoft's KQL parser, a JavaScript library, in Node.

The request and the answer are described at the top of ``checker/check.cjs``.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irmcore.errors import ConfigurationError

SCRIPT = Path("checker") / "check.cjs"
LIBRARY = Path("node_modules") / "@kusto" / "language-service-next"
_TIMEOUT_S = 300


def parse(node: Path, modules: Path, script: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parser's answer for each text of ``request``, by the text's id.

    ``node`` is the interpreter, ``modules`` the folder that npm installed the parser into. Raises
    ConfigurationError if either is missing or the parser fails.
    """
    library = modules / LIBRARY
    for path, what in ((library, "Microsoft's KQL parser"), (node, "Node")):
        if not path.exists():
            raise ConfigurationError(
                f"{what} is not installed", where=str(path), next_step="Run `make kql`, which installs it."
            )
    process = subprocess.run(  # noqa: S603 — our own script, run by the installed interpreter
        [str(node), str(script)],
        input=json.dumps({"library": str(library), **request}),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        env={"PATH": os.environ.get("PATH", "")},
    )
    if process.returncode:
        raise ConfigurationError(
            f"the parser failed with exit code {process.returncode}",
            where=str(script),
            next_step=f"Its error output ends with: {process.stderr.strip()[-400:]}",
        )
    answers: Mapping[str, Any] = json.loads(process.stdout)
    return answers
