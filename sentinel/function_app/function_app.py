"""The Function app: `irmexport` by timers and by a playbook's request, on Azure Functions (Python v2 model,
Flex Consumption).

Each function runs commands of `irmexport` in a process of their own and logs what they print. So a function
does what the command does on any machine, and may be killed wherever the command may. Nothing of irmexport
is imported while the host indexes the functions: an error there would make all of them vanish without a word.

The schedules are app settings (NCRONTAB, in UTC). docs/azure.md has all app settings.
"""

from __future__ import annotations

import json

import azure.functions as func

app = func.FunctionApp()


def _timer(function: str, timer: func.TimerRequest) -> None:
    from irmsentinel.functions import timers  # noqa: PLC0415 - see above

    timers.run(function, late=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="%IRMEXPORT_EXPORT_SCHEDULE%")
def export(timer: func.TimerRequest) -> None:
    """Read what is due from Log Analytics into the outbox."""
    _timer("export", timer)


@app.timer_trigger(arg_name="timer", schedule="%IRMEXPORT_COLLECT_SCHEDULE%")
def collect(timer: func.TimerRequest) -> None:
    """Collect IRM alerts into Log Analytics."""
    _timer("collect", timer)


@app.timer_trigger(arg_name="timer", schedule="%IRMEXPORT_DRAIN_SCHEDULE%")
def drain(timer: func.TimerRequest) -> None:
    """Send what is queued in the outbox to Purview."""
    _timer("drain", timer)


@app.timer_trigger(arg_name="timer", schedule="%IRMEXPORT_HEALTH_SCHEDULE%")
def health(timer: func.TimerRequest) -> None:
    """Log the status of the outbox, and write a heartbeat if the collector's settings name its table."""
    _timer("health", timer)


@app.route(route="submit", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def submit(req: func.HttpRequest) -> func.HttpResponse:
    """Submit the rows of an incident. Microsoft Entra ID stands in front (authsettingsV2), not a key."""
    from irmsentinel.functions import submit as button  # noqa: PLC0415 - see above

    headers = {name.lower(): value for name, value in req.headers.items()}
    status, answer = button.handle(headers, req.get_body())
    return func.HttpResponse(json.dumps(answer), status_code=status, mimetype="application/json")
