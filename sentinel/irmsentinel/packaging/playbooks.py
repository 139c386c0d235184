"""The playbooks (Logic Apps) with which an analyst sends an incident's account: one for each trigger.

Each signs in with its own managed identity and holds no secret. It hands the incident and its entities to the
function `submit`, and writes the answer, receipt or refusal, as a comment on the incident. An incident has
names of people: they stay out of a run's history (`secureData`). The function's 202 is its whole answer, so
no other address is asked (`DisableAsyncPattern`); a gateway's page is no JSON, which fails the first comment,
and the second one says so. The incident's playbook may be run by an automation rule. Triggers, actions and
connection are as in the playbooks of Microsoft's repository Azure-Sentinel. Not tested: a deployment, a run.
"""

from __future__ import annotations

import json
from typing import Any

from irmsentinel.content import artefacts

#: For each trigger: its path, the incident and the entities that it hands over, and what is read before.
_TRIGGERS: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "incident": (
        "/incident-creation",
        "triggerBody()?['object']",
        "@triggerBody()?['object']?['properties']?['relatedEntities']",
        {},
    ),
    "alert": (
        "/subscribe",
        "body('Get_incident')",
        "@triggerBody()?['Entities']",
        {
            "method": "get",
            "path": "/Incidents"
            "/subscriptions/@{encodeURIComponent(triggerBody()?['WorkspaceSubscriptionId'])}"
            "/resourceGroups/@{encodeURIComponent(triggerBody()?['WorkspaceResourceGroup'])}"
            "/workspaces/@{encodeURIComponent(triggerBody()?['WorkspaceId'])}"
            "/alerts/@{encodeURIComponent(triggerBody()?['SystemAlertId'])}",
        },
    ),
    "entity": (
        "/entity/@{encodeURIComponent('Account')}",
        "body('Get_incident')",
        [{"kind": "Account", "properties": "@triggerBody()?['Entity']?['properties']"}],
        {
            "method": "post",
            "path": "/Incidents",
            "body": {"incidentArmId": "@triggerBody()?['IncidentArmID']"},
        },
    ),
}
TRIGGERS = tuple(_TRIGGERS)


def template(trigger: str) -> dict[str, Any]:
    """The ARM template of the playbook for ``trigger``, one of ``TRIGGERS``."""
    path, incident, entities, read = _TRIGGERS[trigger]
    text = (artefacts.root() / "solution" / "playbook.json").read_text(encoding="utf-8")
    for word, value in (("<TRIGGER>", trigger), ("<PATH>", path), ("<INCIDENT>", incident)):
        text = text.replace(word, value)
    document: dict[str, Any] = json.loads(text)
    _connection, workflow, _role, _automation_rule = resources = document["resources"]
    actions = workflow["properties"]["definition"]["actions"]
    actions["Submit"]["inputs"]["body"]["entities"] = entities
    if read:
        actions["Get_incident"]["inputs"].update(read)
    else:
        del actions["Get_incident"]
        actions["Submit"]["runAfter"] = {}
    if trigger != "incident":
        del document["parameters"]["automationRuleTitle"], resources[-1]
    return document
