"""The clouds: where a query goes, and where it signs in."""

from __future__ import annotations

from irmsentinel import workspace


def test_every_cloud_signs_in_where_it_queries() -> None:
    """Each cloud has its own query host and its own sign-in host, and neither is another cloud's."""
    assert workspace.AUTHORITIES.keys() == workspace.HOSTS.keys()
    assert workspace.AUTHORITIES == {
        "public": "login.microsoftonline.com",
        "us-government": "login.microsoftonline.us",
        "china": "login.chinacloudapi.cn",
    }
