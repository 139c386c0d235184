"""The people of Microsoft Entra ID who have a leave date, as rows of the HR connector's resignations.

Promised: a row for each user with `employeeLeaveDateTime`; a missing permission is an error, never an empty
list. Not promised: when somebody gave notice. Entra does not know it, so the leave date is both dates of the
row. Users who were deleted are not listed.
"""

from collections.abc import Iterator

from irmcore.errors import ConfigurationError
from irmsentinel.azure.graph_client import READ_USERS, GraphClient

#: Graph returns the property only to who has this permission besides User.Read.All:
#: learn.microsoft.com/graph/api/user-get.
READ_LEAVE_DATES = "User-LifeCycleInfo.Read.All"
HEADER = ("EmailAddress", "ResignationDate", "LastWorkingDate")
_PATH = "/v1.0/users?$select=id,userPrincipalName,employeeLeaveDateTime&$top=999"


def leavers(client: GraphClient) -> Iterator[tuple[str, str, str]]:
    """The rows, with the fields of ``HEADER``. Raises as ``GraphClient.pages``."""
    for page in client.pages(_PATH, f"{READ_USERS} and {READ_LEAVE_DATES}"):
        for user in page.items:
            name, left = user.get("userPrincipalName"), user.get("employeeLeaveDateTime")
            if not isinstance(name, str) or not isinstance(left, str | None):
                raise ConfigurationError(
                    "Microsoft Graph sent what is not a user, so nothing was written",
                    where=client.host,
                    next_step="Run this again; if that fails too, check whether a proxy changes the answers.",
                )
            if left:
                yield name, left, left
