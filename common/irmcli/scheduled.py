"""Commands that a scheduler runs: which they are, and the ping that tells a monitor that one has run.

The address is a secret: whoever knows it can report that all is well. So it comes from the environment, and
no message has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from irmcli.network import exchange

#: Commands that never prompt and whose arguments hold no secret.
SCHEDULABLE = {
    *("send", "drain", "watch", "sentinel", "clean-up", "identities", "metrics", "reconcile", "canary"),
}
ADDRESS = "IRMEXPORT_HEALTHCHECK_URL"
#: Seconds for the whole exchange.
_DEADLINE = 10.0
#: They are not followed, so nobody has counted the ping.
_REDIRECTS = range(300, 400)


def ping(
    environment: Mapping[str, str], code: int, warn: Callable[[str], None], deadline: float = _DEADLINE
) -> None:
    """Request ADDRESS, if it is set; after a failure, ADDRESS/<exit code>, as healthchecks.io documents it.

    https://healthchecks.io/docs/http_api/. A ping that fails is a warning and nothing more.
    """
    address = environment.get(ADDRESS, "")
    if not address:
        return
    url = f"{address.rstrip('/')}/{code}" if code else address
    try:
        with exchange(environment, deadline) as one:
            reply = one.session.get(url, timeout=one.timeout, allow_redirects=False, stream=True)
        found = "" if reply.ok and reply.status_code not in _REDIRECTS else f"HTTP {reply.status_code}"
    except (OSError, ValueError) as error:
        found = type(error).__name__  # its text has the address
    if found:
        warn(f"the ping of {ADDRESS} failed ({found}); the result of this command is not affected")
