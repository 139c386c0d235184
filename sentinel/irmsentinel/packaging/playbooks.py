"""The playbooks (Logic Apps) with which an analyst sends an incident's account: one for each trigger.

Each signs in with its own managed identity and holds no secret. It hands the incident and its entities to the
function `submit`, and writes the answer, receipt or refusal, as a comment on the incident. The incident's
playbook may be run by an automation rule. Triggers, actions and connection are as in the playbooks of
Microsoft's repository Azure-Sentinel. Not tested: a deployment, a run.
"""

from __future__ import annotations

from typing import Any

from irmsentinel.packaging import arm
from irmsentinel.packaging.arm import WORKSPACE_ID

#: The built-in role Microsoft Sentinel Responder: read incidents, write comments.
RESPONDER = "3e150937-b8fe-4cfb-8069-0eaf05ecd056"
_WORKFLOW = "Microsoft.Logic/workflows"
_CONNECTION_NAME = "concat('MicrosoftSentinel-', parameters('name'))"
_API = (
    "[concat(subscription().id, '/providers/Microsoft.Web/locations/', parameters('location'), "
    "'/managedApis/azuresentinel')]"
)
#: An incident has names of people: they stay out of a run's history.
_HIDDEN = {"secureData": {"properties": ["inputs", "outputs"]}}
_HOST = {"connection": {"name": "@parameters('$connections')['azuresentinel']['connectionId']"}}

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
    connection = f"[resourceId('Microsoft.Web/connections', {_CONNECTION_NAME})]"
    playbook = f"resourceId('{_WORKFLOW}', parameters('name'))"
    resources = [
        {
            "type": "Microsoft.Web/connections",
            "apiVersion": "2016-06-01",
            "name": f"[{_CONNECTION_NAME}]",
            "location": "[parameters('location')]",
            "kind": "V1",
            "properties": {
                "displayName": f"[{_CONNECTION_NAME}]",
                "customParameterValues": {},
                "parameterValueType": "Alternative",  # the identity of the playbook, not a user's
                "api": {"id": _API},
            },
        },
        {
            "type": _WORKFLOW,
            "apiVersion": "2017-07-01",
            "name": "[parameters('name')]",
            "location": "[parameters('location')]",
            "tags": {
                "hidden-SentinelTemplateName": f"irmexport-{trigger}",
                "hidden-SentinelTemplateVersion": "1.0",
            },
            "identity": {"type": "SystemAssigned"},
            "dependsOn": [connection],
            "properties": {
                "state": "Enabled",
                "definition": _definition(trigger),
                "parameters": {
                    "$connections": {
                        "value": {
                            "azuresentinel": {
                                "connectionId": connection,
                                "connectionName": f"[{_CONNECTION_NAME}]",
                                "id": _API,
                                "connectionProperties": {
                                    "authentication": {"type": "ManagedServiceIdentity"}
                                },
                            }
                        }
                    },
                    **{name: {"value": f"[parameters('{name}')]"} for name in _SETTINGS},
                },
            },
        },
        {
            "type": "Microsoft.Authorization/roleAssignments",
            "apiVersion": "2022-04-01",
            "scope": f"[{WORKSPACE_ID}]",
            "name": f"[guid({WORKSPACE_ID}, {playbook}, '{RESPONDER}')]",
            "dependsOn": [f"[{playbook}]"],
            "properties": {
                "roleDefinitionId": (
                    f"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{RESPONDER}')]"
                ),
                "principalId": f"[reference({playbook}, '2017-07-01', 'Full').identity.principalId]",
                "principalType": "ServicePrincipal",
            },
        },
    ]
    parameters = {
        "workspace": arm.parameter(
            "string", "Name of the Log Analytics workspace of Microsoft Sentinel, in this resource group."
        ),
        "name": arm.parameter("string", "Name of the playbook.", defaultValue=f"irmexport-{trigger}"),
        "location": arm.location("Region of the playbook."),
        **_SETTINGS,
    }
    if trigger == "incident":
        parameters["automationRuleTitle"] = arm.parameter(
            "string",
            "Run the playbook for each new incident whose title contains this text. Empty: only by hand.",
            defaultValue="",
        )
        resources.append(_automation_rule(playbook))
    identity = f"[reference({playbook}, '2017-07-01', 'Full').identity.principalId]"
    return arm.deployment(
        parameters,
        resources,
        outputs={"objectId": {"type": "string", "value": identity}},
        metadata={
            "title": f"Send the account of an {trigger} to Insider Risk Management",
            "description": f"Run on an {trigger}: sends the account that acted to Microsoft Purview through "
            "irmexport, and writes the receipt or the refusal on the incident.",
            "prerequisites": ["The Function app of irmexport, with its function `submit` (docs/button.md)."],
            "postDeployment": [
                "Add the output `objectId` to `submitters` of the Function app, and deploy that again."
            ],
            "entities": ["Account"],
            "tags": ["Insider Risk"],
            "support": {"tier": "community"},
            "author": {"name": "irmexport"},
        },
    )


#: What a playbook sends and where, as parameters of the template and of the workflow.
_SETTINGS: dict[str, dict[str, Any]] = {
    "functionUrl": arm.parameter("string", "The function: https://NAME.azurewebsites.net/api/submit"),
    "audience": arm.parameter(
        "string",
        "The application ID URI that protects the function: api://CLIENT-ID of the Entra application.",
    ),
    "profile": arm.parameter(
        "string", "The profile that shapes the row, without .yaml.", defaultValue="sentinel-incidents"
    ),
    "accounts": arm.parameter(
        "string",
        "one: refuse several accounts. each: send a row for each of them.",
        defaultValue="one",
        allowedValues=["one", "each"],
    ),
}


def _definition(trigger: str) -> dict[str, Any]:
    path, incident, entities, read = _TRIGGERS[trigger]
    before: dict[str, Any] = {}
    if read:
        before["Get_incident"] = {
            "type": "ApiConnection",
            "runAfter": {},
            "runtimeConfiguration": _HIDDEN,
            "inputs": {"host": _HOST, **read},
        }
    submit = {
        "type": "Http",
        "runAfter": {name: ["Succeeded"] for name in before},
        "runtimeConfiguration": {"secureData": {"properties": ["inputs"]}},
        # The function's 202 is its whole answer: there is no address to ask for another.
        "operationOptions": "DisableAsyncPattern",
        "inputs": {
            "method": "POST",
            "uri": "@parameters('functionUrl')",
            "authentication": {"type": "ManagedServiceIdentity", "audience": "@parameters('audience')"},
            "body": {
                "profile": "@parameters('profile')",
                "accounts": "@parameters('accounts')",
                "incident": f"@{incident}",
                "entities": entities,
            },
        },
    }
    answered = _comment(incident, f"@{{coalesce(body('Submit')?['message'], '{_NO_ANSWER}')}}")
    failed = {
        "type": "If",
        "runAfter": {"Comment_without_answer": ["Succeeded", "Skipped"]},
        "expression": {"not": {"equals": ["@actions('Submit')['status']", "Succeeded"]}},
        "actions": {"Stop": {"type": "Terminate", "runAfter": {}, "inputs": {"runStatus": "Failed"}}},
    }
    return {
        "$schema": "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/"
        "workflowdefinition.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "$connections": {"defaultValue": {}, "type": "Object"},
            **{name: {"type": "String"} for name in _SETTINGS},
        },
        "triggers": {
            f"Microsoft_Sentinel_{trigger}": {
                "type": "ApiConnectionWebhook",
                "runtimeConfiguration": _HIDDEN,
                "inputs": {"host": _HOST, "body": {"callback_url": "@{listCallbackUrl()}"}, "path": path},
            }
        },
        "actions": {
            **before,
            "Submit": submit,
            "Comment": {"runAfter": {"Submit": ["Succeeded", "Failed", "TimedOut"]}, **answered},
            # A gateway's page is no JSON: then the expression above is an error, and its action fails.
            "Comment_without_answer": {
                "runAfter": {"Comment": ["Failed"]},
                **_comment(incident, _NO_ANSWER),
            },
            "If_not_sent": failed,
        },
        "outputs": {},
    }


_NO_ANSWER = "irmexport: the Function app did not answer. Run the playbook again: nothing is sent twice."


def _comment(incident: str, message: str) -> dict[str, Any]:
    body = {"incidentArmId": f"@{incident}?['id']", "message": f"<p>{message}</p>"}
    inputs = {"host": _HOST, "method": "post", "path": "/Incidents/Comment", "body": body}
    return {"type": "ApiConnection", "inputs": inputs}


def _automation_rule(playbook: str) -> dict[str, Any]:
    return {
        "type": "Microsoft.OperationalInsights/workspaces/providers/automationRules",
        "apiVersion": "2025-09-01",
        "condition": "[not(empty(parameters('automationRuleTitle')))]",
        "name": f"[concat(parameters('workspace'), '/Microsoft.SecurityInsights/', guid({playbook}))]",
        "dependsOn": [f"[{playbook}]"],
        "properties": {
            "displayName": "[parameters('name')]",
            "order": 100,
            "triggeringLogic": {
                "isEnabled": True,
                "triggersOn": "Incidents",
                "triggersWhen": "Created",
                "conditions": [
                    {
                        "conditionType": "Property",
                        "conditionProperties": {
                            "propertyName": "IncidentTitle",
                            "operator": "Contains",
                            "propertyValues": ["[parameters('automationRuleTitle')]"],
                        },
                    }
                ],
            },
            "actions": [
                {
                    "order": 1,
                    "actionType": "RunPlaybook",
                    "actionConfiguration": {
                        "logicAppResourceId": f"[{playbook}]",
                        "tenantId": "[subscription().tenantId]",
                    },
                }
            ],
        },
    }
