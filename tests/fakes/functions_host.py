"""The host of Azure Functions, as far as the Function app depends on it: index the functions, invoke one.

    python -m tests.fakes.functions_host FUNCTION

One process is one instance: its environment has the app settings, and TMPDIR is its disk. The logger writes
to standard error. It exits with 1 if the function raised, as an invocation that the host counts as failed.
``post`` feeds an HTTP trigger. Not modelled: schedules, the lease by which the host runs each timer once, and
the platform's authentication in front of an HTTP trigger.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import azure.functions as func

APP = Path(__file__).parents[2] / "sentinel" / "function_app"


def load(folder: Path = APP) -> dict[str, Any]:
    """The functions of function_app.py by name, as the host indexes them. Raises what the import raises."""
    spec = importlib.util.spec_from_file_location("function_app", folder / "function_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionApp)]
    assert len(apps) == 1, "the host finds no function if there are two apps"
    functions = apps[0].get_functions()
    return {function.get_function_name(): function for function in functions}


def post(name: str, headers: Mapping[str, str], body: bytes) -> func.HttpResponse:
    """The answer of an HTTP trigger to a request."""
    request = func.HttpRequest("POST", f"https://app.example/api/{name}", headers=headers, body=body)
    response = load()[name].get_user_function()(req=request)
    assert isinstance(response, func.HttpResponse)
    return response


def main(name: str) -> int:
    """Invoke a timer."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        load()[name].get_user_function()(timer=func.timer.TimerRequest(past_due=False))
    except Exception:
        logging.getLogger("host").exception("the invocation failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
