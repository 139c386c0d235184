"""The Splunk part of the demo: the built app from a search to the receipt, run by a fake splunkd.

Real are the app as it is installed, its processes, the chunked protocol, the REST calls over HTTPS, the
outbox and the upload. splunkd is a fake and the Purview connector an emulator.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from irmcli.output import Output
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Job

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_alert import Alert
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.fakes.splunkd_search import Reply, SearchProcess, SearchSettings, run

ROOT = Path(__file__).parent.parent.parent
_IDS = {
    "job_id": "11111111-1111-1111-1111-111111111111",
    "tenant_id": "22222222-2222-2222-2222-222222222222",
    "app_id": "33333333-3333-3333-3333-333333333333",
}
_SECRET = "emulator-only-made-up-client-secret"
_COLUMNS = ("UserPrincipalName", "PredictionTime", "PredictionScore", "ModelInfo")
_SPL = (
    "| inputlookup leavers"
    ' | irmexport profile=leavers fields="UserPrincipalName=user, PredictionTime=_time" output=summary'
)
#: The later results of the alert: two rows that were already sent, and a new one.
_ALERT = (
    b"user,_time,PredictionScore,ModelInfo,__mv_user\n"
    b'sarad@contoso.com,1682315576.962,9,"Predicted resignation, model 2",\n'
    b"sarad@contoso.com,1682315576.962,3,Predicted resignation,\n"
    b"bradh@contoso.com,1682315577,6,Predicted resignation,\n"
)
_FIELDS = "UserPrincipalName=user, PredictionTime=_time"
_RESULTS = (
    b"user,_time,PredictionScore,ModelInfo,__mv_user\n"
    b'sarad@contoso.com,1682315576.962,9,"Predicted resignation, model 2",\n'
    b"sarad@contoso.com,1682315576.962,3,Predicted resignation,\n"
    b'"bradh@contoso.com\ncarold@contoso.com",1682315577,6,Predicted resignation,'
    b"$bradh@contoso.com$;$carold@contoso.com$\n"
)


def play(output: Output, place: Path) -> list[tuple[str, bool]]:
    """Run the demo in a new Splunk home under ``place``; returns each check with whether it passed."""
    output.line()
    output.line("Splunk: the built app, from a search to the receipt (run by a fake splunkd)", "bold")
    home = SplunkHome.install(_built(place), place / "splunk")
    job = Job(_IDS["job_id"], _IDS["app_id"], "leavers", columns=_COLUMNS)
    apps = [App(_IDS["tenant_id"], _IDS["app_id"], _SECRET)]
    with (
        SplunkdRest(place) as splunkd,
        PurviewEmulator(apps, [job], directory=place / "purview", lifetime=120) as running,
    ):
        splunkd.sign_in("analyst-session", "ana", "irmexport_run", roles=("irmexport_user",))
        splunkd.sign_in("admin-session", "adm", "irmexport_configure", roles=("admin",))
        _configure(output, home, splunkd, running)
        with Input(sys.executable, home, splunkd):
            first = _search(output, home, splunkd, place)
            again = _search(output, home, splunkd, place)
            fired = _alert(output, home, splunkd)
        kept = [dict(record.fields) for record in running.records(_IDS["job_id"])]
    output.table(
        f"Rows in the emulator (RecordsSaved {len(kept)})", list(_COLUMNS), [list(k.values()) for k in kept]
    )
    good = (first["sent"], first["rejected"], again["skipped"], fired, len(kept)) == ("2", "1", "2", 0, 3)
    relation = (
        f"sent {first['sent']}, refused {first['rejected']}, sent again 0, new row of the alert 1; "
        f"the emulator saved {len(kept)}"
    )
    return [(f"Splunk: {relation}", good)]


def _built(place: Path) -> Path:
    command = [sys.executable, str(ROOT / "package.py"), "--only", "splunk", "--into", str(place / "dist")]
    subprocess.run([*command, "--without-pages"], check=True, stdout=subprocess.DEVNULL)
    return next((place / "dist").glob("*.spl"))


def _configure(output: Output, home: SplunkHome, splunkd: SplunkdRest, running: PurviewEmulator) -> None:
    """What an administrator does once: save a connector."""
    rest = RestHandler(sys.executable, home, splunkd)
    output.line("POST irmexport/connectors name=leavers profile=leaver-prediction job_id=… secret=…", "dim")
    reply = rest.request(
        *("POST", "connectors"),
        name="leavers",
        profile="leaver-prediction",
        secret=_SECRET,
        emulator=running.url,
        emulator_ca=str(running.ca_file),
        **_IDS,
    )
    rest.end()
    inputs = ", ".join(sorted(splunkd.state.enabled_inputs))
    output.line(f"HTTP {reply.status}: saved. The secret is only in storage/passwords. Enabled: {inputs}")


def _search(output: Output, home: SplunkHome, splunkd: SplunkdRest, place: Path) -> dict[str, str]:
    """A search by an analyst, who may not read secrets."""
    output.line(_SPL, "dim")
    dispatch = place / "dispatch"
    dispatch.mkdir(exist_ok=True)
    settings = SearchSettings(
        args=("profile=leavers", f"fields={_FIELDS}", "output=summary", "wait=60"),
        dispatch_dir=dispatch,
        splunkd_uri=splunkd.uri,
    )
    command = [sys.executable, str(home.bin / "irmexport_command.py")]
    process = SearchProcess(command, settings, home.environment())
    _, replies, _ = run(process, [], last=_RESULTS)
    return _print_reply(output, replies[-1])


def _alert(output: Output, home: SplunkHome, splunkd: SplunkdRest) -> int:
    """A scheduled search of the same analyst runs the alert action; returns its exit code."""
    output.line(
        f'alert "Leavers of the week": action.irmexport.param.profile=leavers fields="{_FIELDS}"', "dim"
    )
    params = {"profile": "leavers", "fields": _FIELDS, "wait": "60"}
    ended = Alert(sys.executable, home, splunkd).fire(_ALERT, params=params)
    for level, text in ended.messages:
        output.line(f"  {level}: {text}", "" if level == "INFO" else "yellow")
    return ended.code


def _print_reply(output: Output, reply: Reply) -> dict[str, str]:
    for level, text in reply.messages:
        output.line(f"  {level}: {text}", "" if level == "INFO" else "yellow")
    (row,) = csv.DictReader(io.StringIO(reply.body.decode()))
    return row


def main() -> int:
    """Run only this part: `python -m tests.fakes.splunk_demo`."""
    output = Output(as_json=False)
    with tempfile.TemporaryDirectory(prefix="irmexport-demo-") as temporary:
        checks = play(output, Path(temporary))
    output.line()
    for text, good in checks:
        output.line(text, "green" if good else "red")
    return 0 if all(good for _, good in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
