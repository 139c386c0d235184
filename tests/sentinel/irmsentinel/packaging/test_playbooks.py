"""The playbooks: valid where Azure publishes a schema, closed in themselves, and without a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from click.testing import CliRunner
from irmcli.main import main
from irmsentinel.functions.incident_rows import EACH, ONE, rows
from irmsentinel.packaging.playbooks import TRIGGERS, template

from tests.fakes.arm import Deployment
from tests.sentinel.irmsentinel.functions.incidents import alert_account, api_account, incident

SCHEMAS = Path(__file__).parents[2] / "arm_schemas"
GIVEN = {
    "workspace": "sentinel",
    "functionUrl": "https://app.azurewebsites.net/api/submit",
    "audience": "api://88888888-8888-4888-8888-888888888888",
}
#: The built-in role Microsoft Sentinel Responder (docs: built-in roles, security).
RESPONDER = "3e150937-b8fe-4cfb-8069-0eaf05ecd056"
RULE = "Microsoft.OperationalInsights/workspaces/providers/automationRules"
SUBMITTED = {"profile", "accounts", "incident", "entities"}
#: The bodies of the triggers, as far as playbooks read them.
SARAD = {"Name": "sarad", "UPNSuffix": "contoso.com"}
BODIES: dict[str, dict[str, Any]] = {
    "incident": {"object": incident(relatedEntities=[api_account("sarad")])},
    "alert": {"Entities": json.dumps([alert_account("sarad")]), "SystemAlertId": "a"},
    "entity": {"Entity": {"properties": SARAD}, "IncidentArmID": incident()["id"]},
}


def deployed(trigger: str, **parameters: str) -> dict[str, dict[str, Any]]:
    """What the template asks Azure for, by type."""
    made = Deployment(template(trigger), {**GIVEN, **parameters})
    return {one["type"]: one for one in made.resources}


def workflow(trigger: str) -> dict[str, Any]:
    """The playbook's definition."""
    found: dict[str, Any] = deployed(trigger)["Microsoft.Logic/workflows"]["properties"]["definition"]
    return found


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_the_frame_is_a_deployment_template(trigger: str) -> None:
    """By Azure's schema; so are the role assignment and the automation rule."""
    documents = {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in (
            SCHEMAS / "definitions.json",
            SCHEMAS / "Microsoft.SecurityInsights.json",
            SCHEMAS / "function_app" / "Microsoft.Authorization.json",
        )
    }
    registry: referencing.Registry[Any] = referencing.Registry().with_resources(
        (one["id"].rstrip("#"), referencing.jsonschema.DRAFT4.create_resource(one))
        for one in documents.values()
    )
    frame = json.loads((SCHEMAS / "deploymentTemplate.json").read_text(encoding="utf-8"))
    frame["properties"]["resources"] = {"type": "array"}
    del frame["id"]
    assert not list(jsonschema.Draft4Validator(frame, registry=registry).iter_errors(template(trigger)))
    made = deployed(trigger, **({"automationRuleTitle": "Leaver"} if trigger == "incident" else {}))
    role = made["Microsoft.Authorization/roleAssignments"]
    checks = [("Microsoft.Authorization#/resourceDefinitions/roleAssignments", role)]
    if trigger == "incident":
        rule = made[RULE]["properties"]
        # By Azure's schema an action has no configuration (additionalProperties), and yet one of this form.
        (action,) = rule["actions"]
        checks += [
            ("Microsoft.SecurityInsights#/definitions/AutomationRuleProperties", {**rule, "actions": []}),
            (
                "Microsoft.SecurityInsights#/definitions/PlaybookActionProperties",
                action["actionConfiguration"],
            ),
        ]
        assert (action["order"], action["actionType"]) == (1, "RunPlaybook")
    for at, value in checks:
        name, _, pointer = at.partition("#")
        schema = {"$ref": f"{documents[name]['id'].rstrip('#')}#{pointer}"}
        validator = jsonschema.Draft4Validator(schema, registry=registry)
        assert list(validator.iter_errors(value)) == []
        assert list(validator.iter_errors(dict.fromkeys(value, 5)))


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_playbook_holds_no_secret(trigger: str) -> None:
    """It signs in to the function, to Sentinel and nowhere else, with its own identity."""
    made = deployed(trigger)
    playbook = made["Microsoft.Logic/workflows"]
    assert playbook["identity"] == {"type": "SystemAssigned"}
    submit = playbook["properties"]["definition"]["actions"]["Submit"]["inputs"]
    assert submit["authentication"] == {
        "type": "ManagedServiceIdentity",
        "audience": "@parameters('audience')",
    }
    assert made["Microsoft.Web/connections"]["properties"]["parameterValueType"] == "Alternative"
    whole = json.dumps(template(trigger))
    assert not re.search(
        r"securestring|secureobject|listKeys|[?&](code|sig)=|password|x-functions-key", whole, re.IGNORECASE
    )


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_playbook_may_comment_on_incidents_and_no_more(trigger: str) -> None:
    """The role is Microsoft Sentinel Responder, on the workspace."""
    role = deployed(trigger)["Microsoft.Authorization/roleAssignments"]
    assert role["scope"].endswith("/Microsoft.OperationalInsights/workspaces/sentinel")
    assert role["properties"]["roleDefinitionId"].endswith(f"/{RESPONDER}")


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_workflow_is_closed(trigger: str) -> None:
    """Every action and parameter that an expression names is there; each action waits for an earlier one."""
    found = workflow(trigger)
    actions = {**found["actions"], **found["actions"]["If_not_sent"]["actions"]}
    for text in texts(found):
        for name in re.findall(r"(?:body|actions)\('(\w+)'\)", text):
            assert name in actions, name
        for name in re.findall(r"parameters\('([$\w]+)'\)", text):
            assert name in found["parameters"], name
        assert text.count("(") == text.count(")"), text
        assert text.count("{") == text.count("}"), text
    seen: list[str] = []
    for name, action in found["actions"].items():
        assert set(action["runAfter"]) <= set(seen), name
        seen.append(name)
    given = deployed(trigger)["Microsoft.Logic/workflows"]["properties"]["parameters"]
    assert given.keys() == found["parameters"].keys()


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_the_answer_is_written_on_the_incident_whatever_it_is(trigger: str) -> None:
    """A refusal and a function that is away are comments too, and the run fails visibly afterwards."""
    actions = workflow(trigger)["actions"]
    assert set(actions["Comment"]["runAfter"]["Submit"]) == {"Succeeded", "Failed", "TimedOut"}
    assert "body('Submit')?['message']" in actions["Comment"]["inputs"]["body"]["message"]
    assert actions["If_not_sent"]["actions"]["Stop"]["inputs"] == {"runStatus": "Failed"}
    fallback = actions["Comment_without_answer"]
    # A gateway's error page is no object: the expression fails, and so does its action.
    assert fallback["runAfter"] == {"Comment": ["Failed"]}
    assert "did not answer" in fallback["inputs"]["body"]["message"]
    assert "body('Submit')" not in json.dumps(fallback)
    assert actions["If_not_sent"]["runAfter"] == {"Comment_without_answer": ["Succeeded", "Skipped"]}
    assert actions["Submit"]["operationOptions"] == "DisableAsyncPattern"  # 202 is the whole answer


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_no_name_of_a_person_stays_in_the_history_of_a_run(trigger: str) -> None:
    """Neither in what the trigger and Sentinel give, nor in what the function gets."""
    found = workflow(trigger)
    (started,) = found["triggers"].values()
    whole = {"secureData": {"properties": ["inputs", "outputs"]}}
    assert started["runtimeConfiguration"] == whole
    for name, action in found["actions"].items():
        if name == "Submit":
            assert action["runtimeConfiguration"] == {"secureData": {"properties": ["inputs"]}}
        elif name == "Get_incident":
            assert action["runtimeConfiguration"] == whole
        else:
            assert not re.search(r"entities|Entity|'properties'", json.dumps(action))


def evaluated(value: Any, body: dict[str, Any]) -> Any:
    """A value with the two kinds of expression that playbooks hand over: a trigger's or an action's body."""
    if isinstance(value, dict):
        return {name: evaluated(inner, body) for name, inner in value.items()}
    if isinstance(value, list):
        return [evaluated(inner, body) for inner in value]
    match = re.fullmatch(r"@(triggerBody\(\)|body\('Get_incident'\))((?:\?\['\w+'\])*)", value)
    if match is None:
        return value
    found: Any = body if match[1] == "triggerBody()" else incident()
    for key in re.findall(r"'(\w+)'", match[2]):
        found = found[key]
    return found


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_all_three_give_the_same_row(trigger: str) -> None:
    """So an account that is sent from its alert and again from the incident is sent once."""
    sent = evaluated(workflow(trigger)["actions"]["Submit"]["inputs"]["body"], BODIES[trigger])
    assert sent.keys() == SUBMITTED
    expected = rows(incident(), [api_account("sarad")], ONE)
    assert rows(sent["incident"], sent["entities"], ONE) == expected


def test_the_automation_rule_runs_the_playbook_of_incidents_only_on_request() -> None:
    """Without a title there is no rule; with one, new incidents with that title run the playbook."""
    assert RULE not in deployed("incident")
    rule = deployed("incident", automationRuleTitle="Leaver")[RULE]
    logic = rule["properties"]["triggeringLogic"]
    assert (logic["triggersOn"], logic["triggersWhen"]) == ("Incidents", "Created")
    assert logic["conditions"][0]["conditionProperties"]["propertyValues"] == ["Leaver"]
    action = rule["properties"]["actions"][0]
    assert action["actionConfiguration"]["logicAppResourceId"].endswith("/workflows/irmexport-incident")
    for trigger in ("alert", "entity"):  # automation rules cannot call these
        assert RULE not in json.dumps(template(trigger))


def test_a_second_deployment_changes_nothing() -> None:
    """What-if shows no change: every name follows from the parameters."""
    for trigger in TRIGGERS:
        assert deployed(trigger) == deployed(trigger)
        assert "utcNow" not in json.dumps(template(trigger))
        assert "newGuid" not in json.dumps(template(trigger))
        assert template(trigger)["parameters"]["accounts"]["allowedValues"] == [ONE, EACH]


def test_the_command_writes_the_template(tmp_path: Path) -> None:
    """To a file or to standard output, as the solution has it."""
    done = CliRunner().invoke(main, ["azure", "playbook", "entity", str(tmp_path / "p.json")])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(main, ["azure", "playbook", "entity", "-"])
    assert (tmp_path / "p.json").read_text() == shown.output
    assert json.loads(shown.output) == template("entity")
