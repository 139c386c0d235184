"""A fake Splunk Web: serves an app's views and static files, and forwards requests to splunkd.

It requires the session's cookie for requests to splunkd, and for requests that change something the form key,
which Splunk Web sets as a cookie and expects back in a header. It forwards only the app's endpoints and
methods that its web.conf exposes. It is modelled on @splunk/splunk-utils and @splunk/react-page, which talk
to the real one, and on public add-ons. The page header is not Splunk's.

A view in Simple XML is a dashboard, in every version:

- DOMPurify cleans the HTML of its panels: iframe and embed go by default
  (`dashboard_html_allow_embeddable_content = false`, web.conf.spec of 9.3 to 10.2); that object, script,
  style, link and event handlers go too is inferred.
- The scripts of its attribute `script` and the app's dashboard.js are fetched as text and evaluated, so they
  are no modules and have no `document.currentScript`. Their address has `build` of app.conf. Whether they run
  before or after the panels are drawn is not documented, so the releases differ here.
- The page has RequireJS, whose `define` refuses modules without a name, and no jQuery 2 (`enable_jQuery2`
  is false since 9.3).

Whether 10.4 loads what `script` names or dashboard.js is reported both ways, so there is a release for
each. The page for apps, pages/splunk_ui_app.html, exists only there and follows its documentation: it loads
Splunk's configuration and the script with the view's name.
"""

from __future__ import annotations

import configparser
import fnmatch
import html
import http.client
import http.server
import json
import re
import secrets
import ssl
import threading
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import bundle
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_rest import SplunkdRest

APP = "irmexport"
_TYPES = {".js": "text/javascript", ".html": "text/html", ".txt": "text/plain", ".png": "image/png"}
_SHELL = """<!doctype html>
<html lang="en-US"><head><meta charset="utf-8"><title>Loading</title></head><body>
<script src="/en-US/config?autoload=1"></script>
<script>__splunkd_partials__ = {{}};</script>
<script src="{static}/pages/{view}.js"></script>
</body></html>"""
_DASHBOARD = """<!doctype html>
<html lang="en-US"><head><meta charset="utf-8"><title>{label}</title>
<script src="/en-US/config?autoload=1"></script>
<script src="/en-US/static/purify.js"></script>
<style>
body {{ margin: 0; font: 14px sans-serif; }}
header {{ background: #171d21; padding: 12px 20px; }}
nav {{ display: flex; flex-wrap: wrap; gap: 20px; }}
header a {{ color: #fff; }}
</style>
</head><body><header>{nav}</header><main id="dashboard"></main><script>
window.define = (name) => {{
  if (typeof name !== 'string') throw new Error('Mismatched anonymous define()');
}};
window.define.amd = {{}};
const draw = () => {{
  for (const panel of {panels}) {{
    const div = document.createElement('div');
    div.innerHTML = DOMPurify.sanitize(panel, {{FORBID_TAGS: ['style']}});
    document.getElementById('dashboard').append(div);
  }}
}};
const evaluate = async () => {{
  for (const address of {scripts}) {{
    const reply = await fetch(address);
    if (reply.ok) new Function(await reply.text())();
  }}
}};
({scripts_first} ? evaluate().then(draw) : Promise.resolve(draw()).then(evaluate));
</script></body></html>"""
_THEME = "window.__get_theme__ = {getTheme: () => Promise.resolve('%s')};"
_LAYOUT = """window.__splunk_layout__ = {create() {
  const header = document.createElement('header');
  header.innerHTML = %s;
  header.style = 'background:#171d21;padding:12px 20px;font:14px sans-serif;color:#fff';
  header.firstChild.style = 'display:flex;flex-wrap:wrap;gap:20px';
  for (const a of header.querySelectorAll('a')) a.style = 'color:#fff';
  const container = document.createElement('div');
  document.body.style.margin = 0;
  document.body.append(header, container);
  return {getContainerElement: () => container};
}};"""


@dataclass(frozen=True)
class Release:
    """What a page sees of Splunk's version."""

    #: Which scripts a dashboard loads: those of its attribute `script`, and the app's dashboard.js.
    loads: tuple[str, ...] = ("script", "dashboard.js")
    scripts_first: bool = False
    has_page_for_apps: bool = False


RELEASES = {
    "9.3": Release(),
    "10.0": Release(scripts_first=True),
    "10.4": Release(("dashboard.js",), has_page_for_apps=True),
    "10.4 with script": Release(("script",), scripts_first=True, has_page_for_apps=True),
}


class SplunkWeb:
    """A context manager; it listens on loopback while it is entered."""

    def __init__(self, home: SplunkHome, splunkd: SplunkdRest, handler: RestHandler) -> None:
        self.app = home.bin.parent
        self.release = RELEASES["9.3"]
        self.splunkd, self.handler = splunkd, handler
        self.theme = "light"
        self.one_at_a_time = threading.Lock()  # the handler's process takes one request at a time
        self._form_keys: dict[str, str] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def view(self, name: str) -> str:
        """The URL of a view of the app."""
        return f"{self.url}/en-US/app/{APP}/{name}"

    def sign_in(self, key: str) -> list[Any]:
        """The cookies of a session that splunkd knows, in Playwright's form."""
        form_key = self._form_keys.setdefault(key, secrets.token_hex(8))
        both = {f"splunkd_{self.port}": key, f"splunkweb_csrf_token_{self.port}": form_key}
        return [{"name": name, "value": value, "url": self.url} for name, value in both.items()]

    @property
    def static(self) -> str:
        """The address of the app's static files, which browsers cache until it changes."""
        conf = configparser.ConfigParser(interpolation=None)
        conf.read(self.app / "default" / "app.conf")
        return f"/en-US/static/@1:{conf['install']['build']}/app/{APP}"

    def is_form_key(self, key: str, given: str) -> bool:
        return bool(given) and self._form_keys.get(key) == given

    def exposes(self, path: str, method: str) -> bool:
        """Whether web.conf exposes an endpoint of the app."""
        conf = configparser.ConfigParser(interpolation=None)
        conf.read(self.app / "default" / "web.conf")
        stanzas = (conf[name] for name in conf.sections() if name.startswith("expose:"))
        return any(
            fnmatch.fnmatchcase(path, stanza["pattern"]) and method in stanza["methods"].split(",")
            for stanza in stanzas
        )

    def navigation(self) -> str:
        """The app's navigation, as links."""
        tree = _xml(self.app / "default" / "data" / "ui" / "nav" / "default.xml")
        names = [view.get("name", "") for view in tree.findall("view")]
        links = "".join(f'<a href="/en-US/app/{APP}/{name}">{name}</a>' for name in names)
        return f'<nav aria-label="{APP}">{links}</nav>'

    def __enter__(self) -> SplunkWeb:  # noqa: PYI034 - typing.Self is not in 3.9
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(web: SplunkWeb) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            return

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            path = re.sub(r"^/[a-z]{2}-[A-Z]{2}/", "/", parts.path)
            if path.startswith("/splunkd/__raw/"):
                target = f"{path[len('/splunkd/__raw') :]}?{parts.query}"
                status, kind, content = _raw(web, method, target, self.headers, body)
            else:
                status, kind, content = _page(web, path) if method == "GET" else (405, "text/plain", b"")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_DELETE(self) -> None:
            self._answer("DELETE")

    return Handler


def _raw(web: SplunkWeb, method: str, target: str, headers: Message, body: bytes) -> tuple[int, str, bytes]:
    """What splunkd answers, if Splunk Web lets the request through."""
    cookies = dict(re.findall(r"([^=; ]+)=([^;]*)", headers.get("Cookie", "")))
    key = cookies.get(f"splunkd_{web.port}", "")
    if key not in web.splunkd.state.sessions:
        return _refusal(401, "call not properly authenticated")
    if method != "GET" and not web.is_form_key(key, headers.get("X-Splunk-Form-Key", "")):
        return _refusal(401, "Splunk cannot authenticate the request. CSRF validation failed.")
    endpoint = re.sub(r"^/services(NS/[^/]+/[^/]+)?/", "", target.partition("?")[0])
    if not re.match(rf"(\w+_)?{APP}/", endpoint):
        return _forward(web, method, target, key, body)
    if not web.exposes(endpoint, method):
        return _refusal(404, "Not Found")
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    with web.one_at_a_time:
        query = "pages" if "pages=" in target else ""
        reply = web.handler.request(method, endpoint.removeprefix(f"{APP}/"), key, query, **form)
    return reply.status, "application/json", json.dumps(reply.document).encode()


def _refusal(status: int, text: str) -> tuple[int, str, bytes]:
    document = {"messages": [{"type": "ERROR", "text": text}]}
    return status, "application/json", json.dumps(document).encode()


def _forward(web: SplunkWeb, method: str, target: str, key: str, body: bytes) -> tuple[int, str, bytes]:
    parts = urlsplit(web.splunkd.uri)
    context = ssl._create_unverified_context()  # noqa: S323, SLF001 - splunkd's own certificate, on loopback
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=30, context=context)
    try:
        connection.request(method, target, body=body, headers={"Authorization": f"Splunk {key}"})
        reply = connection.getresponse()
        return reply.status, "application/json", reply.read()
    finally:
        connection.close()


def _page(web: SplunkWeb, path: str) -> tuple[int, str, bytes]:
    """Serve a request that is not for splunkd."""
    path = re.sub(r"^/static/@[^/]+/", "/static/", path)
    layout = _LAYOUT % json.dumps(web.navigation())
    scripts = {
        "/config": f"window.$C = {json.dumps(_config(web))};",
        "/static/build/api/get_theme.js": _THEME % web.theme,
        "/static/build/api/layout.js": layout,
        "/static/build/api/layout-dark.js": layout,
        "/favicon.ico": "",
        "/static/purify.js": _purify(),
    }
    if path in scripts:
        return 200, "text/javascript", scripts[path].encode()
    if path.startswith(f"/static/app/{APP}/"):
        return _static(web.app / "appserver" / "static", path[len(f"/static/app/{APP}/") :])
    if path.startswith(f"/app/{APP}/"):
        return _view(web, path.rsplit("/", 1)[1])
    return 404, "text/plain", b"404 Not Found"


def _config(web: SplunkWeb) -> dict[str, Any]:
    return {
        "LOCALE": "en-US",
        "MRSPARKLE_PORT_NUMBER": web.port,
        "MRSPARKLE_ROOT_PATH": "",
        "SPLUNKD_PATH": "/en-US/splunkd/__raw",
        "BUILD_NUMBER": "1",
        "APP_BUILD": web.static.split(":")[1].split("/")[0],
    }


def _static(folder: Path, name: str) -> tuple[int, str, bytes]:
    file = (folder / name).resolve()
    if not (file.is_file() and folder.resolve() in file.parents):
        return 404, "text/plain", b"404 Not Found"
    return 200, _TYPES.get(file.suffix, "application/octet-stream"), file.read_bytes()


def _xml(file: Path) -> ElementTree.Element:
    return ElementTree.parse(file).getroot()  # noqa: S314 - the app's own


def _view(web: SplunkWeb, name: str) -> tuple[int, str, bytes]:
    """A view of the app: Splunk's page for apps, or a dashboard of Simple XML with its HTML panels."""
    file = web.app / "default" / "data" / "ui" / "views" / f"{name}.xml"
    if not re.fullmatch(r"\w+", name) or not file.is_file():
        return 404, "text/plain", b"404 Not Found"
    root = _xml(file)
    label = html.escape(root.findtext("label", ""))
    if (root.tag, root.get("template"), root.get("type")) == ("view", "pages/splunk_ui_app.html", "html"):
        if not web.release.has_page_for_apps:
            return 404, "text/plain", b"404 Not Found: this version has no pages/splunk_ui_app.html"
        return 200, "text/html", _SHELL.format(static=web.static, view=name).encode()
    panels = [
        (panel.text or "")
        + "".join(ElementTree.tostring(child, encoding="unicode", method="html") for child in panel)
        for panel in root.iter("html")
    ]
    named = {"script": root.get("script", "").split(","), "dashboard.js": ["dashboard.js"]}
    files = [name.strip() for way in web.release.loads for name in named[way]]
    scripts = [f"{web.static}/{name}" for name in files if name]
    page = _DASHBOARD.format(
        label=label,
        nav=web.navigation(),
        panels=json.dumps(panels).replace("</", "<\\/"),
        scripts=json.dumps(scripts),
        scripts_first=json.dumps(web.release.scripts_first),
    )
    return 200, "text/html", page.encode()


def _purify() -> str:
    return (bundle.packages() / "dompurify" / "dist" / "purify.min.js").read_text(encoding="utf-8")
