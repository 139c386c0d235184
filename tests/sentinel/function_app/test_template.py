"""The ARM template of the Function app: valid by Azure's schemas, and what it deploys."""

from __future__ import annotations

import itertools
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
from irmsentinel.functions.app_settings import AppSettings
from irmsentinel.functions.timers import SUCCEEDED

from tests.fakes.arm import Deployment
from tests.fakes.functions_host import APP, load

TEMPLATE: dict[str, Any] = json.loads((APP / "azuredeploy.json").read_text(encoding="utf-8"))
FORM: dict[str, Any] = json.loads((APP / "createUiDefinition.json").read_text(encoding="utf-8"))
SCHEMAS = Path(__file__).parents[1] / "arm_schemas"
ROOT = Path(__file__).parents[3]
HERE = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/logs/providers"
THERE = "/subscriptions/00000000-0000-0000-0000-0000000000bb/resourceGroups/other/providers"
WORKSPACES = [
    f"{HERE}/Microsoft.OperationalInsights/workspaces/sentinel",
    f"{THERE}/Microsoft.OperationalInsights/workspaces/sentinel",
]
RULE = f"{HERE}/Microsoft.Insights/dataCollectionRules/irmexport-IRMExportHealth-CL"
KEY_VAULT = f"{HERE}/Microsoft.KeyVault/vaults/secrets"
SCHEMA_OF = {
    "Microsoft.ManagedIdentity/userAssignedIdentities": "Microsoft.ManagedIdentity",
    "Microsoft.Storage/storageAccounts": "Microsoft.Storage",
    "Microsoft.Storage/storageAccounts/blobServices": "Microsoft.Storage",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "Microsoft.Storage",
    "Microsoft.Authorization/roleAssignments": "Microsoft.Authorization",
    "Microsoft.Insights/components": "Microsoft.Insights.Application",
    "Microsoft.Insights/scheduledQueryRules": "Microsoft.Insights",
    "Microsoft.KeyVault/vaults": "Microsoft.KeyVault",
    "Microsoft.Resources/deployments": "Microsoft.Resources",
    "Microsoft.Web/serverfarms": "Microsoft.Web",
    "Microsoft.Web/sites": "Microsoft.Web",
    "Microsoft.Web/sites/config": "Microsoft.Web",
    "Microsoft.Web/sites/extensions": "Microsoft.Web",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "Microsoft.Web",
}
#: What the schemas lack: the properties of onedeploy, which the documentation of Flex Consumption has.
NOT_IN_THE_SCHEMA = {"Microsoft.Web/sites/extensions": {"packageUri", "remoteBuild"}}
#: Keys of a resource that deploymentTemplate.json has, not the provider.
FRAME = ("dependsOn", "scope", "subscriptionId", "resourceGroup")


def schemas() -> dict[str, Any]:
    """Azure's schemas by the name of their file."""
    files = [*(SCHEMAS / "function_app").glob("*.json"), SCHEMAS / "definitions.json"]
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


KNOWN = schemas()
REGISTRY: referencing.Registry[Any] = referencing.Registry().with_resources(
    (one["id"].rstrip("#"), referencing.jsonschema.DRAFT4.create_resource(one)) for one in KNOWN.values()
)


def wrong(resource: dict[str, Any]) -> list[str]:
    """The violations of the resource's schema, with their causes."""
    kind = resource["type"].partition("/")[2].replace("/", "_")
    reference = f"{KNOWN[SCHEMA_OF[resource['type']]]['id'].rstrip('#')}#/resourceDefinitions/{kind}"
    validator = jsonschema.Draft4Validator({"$ref": reference}, registry=REGISTRY)
    return [
        str((e.message, [c.message for c in e.context or ()]))[:900] for e in validator.iter_errors(resource)
    ]


def misspelt(value: Any, schema: Any, document: dict[str, Any]) -> Iterator[str]:
    """Properties that a schema does not name: Azure's schemas accept them, and Azure ignores some."""
    if "$ref" in schema and schema["$ref"].startswith("#/"):
        schema = document["definitions"][schema["$ref"].rpartition("/")[2]]
    choices = [schema, *schema.get("oneOf", ())]
    choices = [
        document["definitions"][c["$ref"].rpartition("/")[2]] if c.get("$ref", "").startswith("#/") else c
        for c in choices
    ]
    if isinstance(value, list):
        for item, choice in itertools.product(value, (c for c in choices if "items" in c)):
            yield from misspelt(item, choice["items"], document)
    known = {name: s for choice in choices for name, s in choice.get("properties", {}).items()}
    if isinstance(value, dict) and known:
        for name, inner in value.items():
            if name not in known:
                yield name
            else:
                yield from misspelt(inner, known[name], document)


def deployed(**parameters: Any) -> Deployment:
    """The template with everything on, or with other parameters."""
    given = {"workspaces": WORKSPACES, "dataCollectionRules": [RULE], "runCollect": True}
    return Deployment(TEMPLATE, {**given, **parameters})


PLAYBOOKS = ["99999999-9999-4999-8999-999999999999", "99999999-9999-4999-8999-999999999998"]
APP_ID = "88888888-8888-4888-8888-888888888888"
BUTTON = {"submitAppId": APP_ID, "submitters": PLAYBOOKS}
FULL = deployed(secretName="connector", packageUri="https://example.com/released-package.zip", **BUTTON)
RESOURCES = [*FULL.resources, *(inner for one in FULL.resources for inner in one.get("inner", ()))]


def of(kind: str, made: Deployment = FULL) -> list[dict[str, Any]]:
    """The resources of a type."""
    return [one for one in made.resources if one["type"] == kind]


def test_the_frame_is_a_deployment_template() -> None:
    """The whole and the nested template, by Azure's schema."""
    frame = json.loads((SCHEMAS / "deploymentTemplate.json").read_text(encoding="utf-8"))
    frame["properties"]["resources"] = {"type": "array"}
    del frame["id"]  # its references are to itself
    registry = {"registry": REGISTRY}
    nested = next(r for r in TEMPLATE["resources"] if "copy" in r)["properties"]["template"]
    for template in (TEMPLATE, nested):
        assert not list(jsonschema.Draft4Validator(frame, **registry).iter_errors(template))
    assert list(
        jsonschema.Draft4Validator(frame, **registry).iter_errors({**TEMPLATE, "contentVersion": "1"})
    )


@pytest.mark.parametrize("kind", SCHEMA_OF)
def test_every_resource_is_valid_by_its_providers_schema(kind: str) -> None:
    """With values and names that the schema has; a wrong value is found."""
    found = [one for one in RESOURCES if one["type"] == kind]
    assert found, "the template has none"
    document = KNOWN[SCHEMA_OF[kind]]
    definition = document["resourceDefinitions"][kind.partition("/")[2].replace("/", "_")]
    for one in found:
        resource = {key: value for key, value in one.items() if key != "inner"}
        if kind == "Microsoft.Resources/deployments":
            resource["properties"] = {**resource["properties"], "template": {}}
        assert wrong(resource) == []
        named = {key: value for key, value in resource.items() if key not in FRAME}
        assert set(misspelt(named, definition, document)) <= NOT_IN_THE_SCHEMA.get(kind, set())
    assert wrong({**resource, "apiVersion": "2001-01-01"})


def one_id(made: Deployment, one: dict[str, Any]) -> str:
    """The ID of a resource."""
    if "scope" in one:
        return f"{one['scope']}/providers/{one['type']}/{one['name']}"
    return made.id_of(one["type"], *one["name"].split("/"))


def test_every_dependency_is_deployed_before() -> None:
    """Each names a resource or the loop of the template, and nothing waits for itself."""
    for given in ({}, {"secretName": "connector"}, {"keyVaultId": KEY_VAULT, "secretName": "connector"}):
        made = deployed(**given)
        everything = deployed(secretName="connector")
        there = {one_id(made, one) for one in everything.resources}
        for one in made.resources:
            assert set(one.get("dependsOn", ())) <= there | {"elsewhere"}, one["name"]


def test_a_second_deployment_changes_nothing_and_another_group_shares_nothing() -> None:
    """Every name follows from the group, the parameter `name` and the roles alone."""
    names = [(one["type"], one["name"]) for one in RESOURCES]
    assert len(set(names)) == len(names)
    package = "https://example.com/released-package.zip"
    again = deployed(secretName="connector", packageUri=package, **BUTTON)
    assert again.resources == FULL.resources
    other = Deployment(TEMPLATE, {"workspaces": WORKSPACES}, "another")
    assert not {one["name"] for one in FULL.resources} & {one["name"] for one in other.resources}


def test_the_identity_gets_each_role_where_it_needs_it_and_no_other() -> None:
    """By the IDs of Azure's built-in roles, also in other groups and subscriptions."""
    inner = [
        (one["subscriptionId"], one["resourceGroup"], *one["inner"])
        for one in of("Microsoft.Resources/deployments")
    ]
    here = [("", "", one) for one in of("Microsoft.Authorization/roleAssignments")]
    found = {
        (
            role["scope"].partition("/providers/")[2],
            group,
            role["properties"]["roleDefinitionId"].rpartition("/")[2],
        )
        for _, group, role in [*inner, *here]
    }
    unique = FULL.value("[variables('unique')]")
    assert found == {
        (f"Microsoft.Storage/storageAccounts/irm{unique}", "", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"),
        (f"Microsoft.Insights/components/irmexport-{unique}", "", "3913510d-42f4-4e42-8a64-420c390055eb"),
        (f"Microsoft.KeyVault/vaults/irm-{unique}", "", "4633458b-17de-408a-b874-0445c86b69e6"),
        ("Microsoft.OperationalInsights/workspaces/sentinel", "logs", "73c42c96-874c-492b-b04d-ab87d138a893"),
        (
            "Microsoft.OperationalInsights/workspaces/sentinel",
            "other",
            "73c42c96-874c-492b-b04d-ab87d138a893",
        ),
        (RULE.partition("/providers/")[2], "logs", "3913510d-42f4-4e42-8a64-420c390055eb"),
    }
    assert {subscription[-2:] for subscription, _, _ in inner} == {"aa", "bb"}
    roles = [role["properties"] for _, _, role in [*inner, *here]]
    assert {role["principalType"] for role in roles} == {"ServicePrincipal"}
    assert len({role["principalId"] for role in roles}) == 1


def test_no_key_opens_the_storage_account_the_log_or_the_site() -> None:
    """Only identities do, over TLS; and the app deploys by its identity."""
    (account,) = of("Microsoft.Storage/storageAccounts")
    assert account["properties"]["allowSharedKeyAccess"] is False
    assert account["properties"]["allowBlobPublicAccess"] is False
    assert account["properties"]["minimumTlsVersion"] == "TLS1_2"
    assert {
        one["properties"]["publicAccess"]
        for one in of("Microsoft.Storage/storageAccounts/blobServices/containers")
    } == {"None"}
    assert of("Microsoft.Insights/components")[0]["properties"]["DisableLocalAuth"] is True
    policies = of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert [one["properties"]["allow"] for one in policies] == [False, False]
    (site,) = of("Microsoft.Web/sites")
    storage = site["properties"]["functionAppConfig"]["deployment"]["storage"]
    assert storage["authentication"]["type"] == "UserAssignedIdentity"
    assert site["properties"]["httpsOnly"] is True
    assert "listKeys" not in json.dumps(TEMPLATE)
    assert not re.search("securestring|secureObject", json.dumps(TEMPLATE), re.IGNORECASE)


def settings(made: Deployment) -> dict[str, str]:
    """The app settings."""
    (site,) = of("Microsoft.Web/sites", made)
    given = site["properties"]["siteConfig"]["appSettings"]
    assert len({one["name"] for one in given}) == len(given)
    return {one["name"]: one["value"] for one in given}


def test_the_app_settings_are_what_the_functions_read() -> None:
    """Every schedule that a binding names, the addresses, and none that Flex Consumption refuses."""
    found = settings(FULL)
    bindings = "".join(str(one) for function in load().values() for one in function.get_raw_bindings())
    assert set(re.findall(r"%(\w+)%", bindings)) <= found.keys()
    for name in re.findall(r"%(\w+_SCHEDULE)%", bindings):
        assert len(found[name].split()) == 6
    account = FULL.value("[variables('storage')]")
    assert found["IRMEXPORT_OUTBOX"] == f"az://{account}.blob.core.windows.net/outbox"
    assert found["IRMEXPORT_SETTINGS"] == f"az://{account}.blob.core.windows.net/settings"
    assert found["AZURE_CLIENT_ID"].startswith("client of ")
    assert found["AzureWebJobs.collect.Disabled"] == "False"
    assert found["IRMEXPORT_SUBMIT_PROFILES"] == "sentinel-incidents"
    assert found["IRMEXPORT_WATCH"] == ""
    # learn.microsoft.com/azure/azure-functions/functions-app-settings: deprecated or refused on this plan
    refused = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"}
    assert not found.keys() & {*refused, "SCM_DO_BUILD_DURING_DEPLOYMENT", "AzureWebJobsStorage"}


def test_a_second_deployment_keeps_every_setting_that_is_a_parameter() -> None:
    """A deployment replaces all app settings: what could only be set by hand would be lost."""
    lines = [
        "az://drop/files/in --profile leavers",
        '"sharepoint://c.sharepoint.com/sites/a b/c" --profile x',
    ]
    more = {"IRMEXPORT_PROXY": "http://proxy:3128", "IRMEXPORT_DRAIN_OPTIONS": "--json"}
    found = settings(deployed(watch=lines, moreSettings=more, submitProfiles=["one", "two"]))
    assert AppSettings(Path(), found).lines("IRMEXPORT_WATCH") == [
        ["az://drop/files/in", "--profile", "leavers"],
        ["sharepoint://c.sharepoint.com/sites/a b/c", "--profile", "x"],
    ]
    assert more.items() <= found.items()
    assert found["IRMEXPORT_SUBMIT_PROFILES"] == "one,two"


def test_every_app_setting_of_the_page_can_be_deployed() -> None:
    """Each of docs/azure.md has a parameter, or is one that `moreSettings` is for."""
    page = (ROOT / "docs" / "azure.md").read_text(encoding="utf-8")
    table = page.partition("## App settings")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(IRMEXPORT_\w+|AZURE_CLIENT_ID)`", table))
    have = {name for name in settings(FULL) if name.startswith("IRMEXPORT_") and "SCHEDULE" not in name}
    assert have <= named
    by_hand = {"IRMEXPORT_PROXY", "IRMEXPORT_CA_FILE", "IRMEXPORT_EXPORT_OPTIONS", "IRMEXPORT_SUBMIT_OPTIONS"}
    assert named - settings(FULL).keys() == by_hand
    assert "moreSettings" in table


def test_only_the_playbooks_may_call_the_button() -> None:
    """Entra refuses any other caller before the function does; without playbooks the function is off."""
    (auth,) = of("Microsoft.Web/sites/config")
    assert auth["name"].endswith("/authsettingsV2")
    found = auth["properties"]
    assert found["platform"] == {"enabled": True}
    assert found["globalValidation"] == {
        "requireAuthentication": True,
        "unauthenticatedClientAction": "Return401",
    }
    assert list(found["identityProviders"]) == ["azureActiveDirectory"]
    entra = found["identityProviders"]["azureActiveDirectory"]
    assert entra["registration"]["clientId"] == APP_ID
    assert entra["validation"] == {
        "allowedAudiences": [f"api://{APP_ID}"],
        "defaultAuthorizationPolicy": {"allowedPrincipals": {"identities": PLAYBOOKS}},
    }
    assert settings(FULL)["IRMEXPORT_SUBMITTERS"] == ",".join(PLAYBOOKS)
    assert settings(FULL)["AzureWebJobs.submit.Disabled"] == "False"
    without = deployed()
    assert of("Microsoft.Web/sites/config", without) == []
    assert settings(without)["AzureWebJobs.submit.Disabled"] == "True"


def test_a_secret_is_a_reference_to_key_vault_or_there_is_none() -> None:
    """The template never sees the secret."""
    new = FULL.value("[variables('newVault')]")
    assert settings(FULL)["IRMEXPORT_SECRET"] == f"@Microsoft.KeyVault(VaultName={new};SecretName=connector)"
    existing = deployed(secretName="connector", keyVaultId=KEY_VAULT)
    assert "VaultName=secrets;" in settings(existing)["IRMEXPORT_SECRET"]
    assert of("Microsoft.KeyVault/vaults", existing) == []
    granted = [one["inner"][0]["scope"] for one in of("Microsoft.Resources/deployments", existing)]
    assert KEY_VAULT in granted
    without = deployed()
    assert "IRMEXPORT_SECRET" not in settings(without)
    assert of("Microsoft.KeyVault/vaults", without) == []
    assert of("Microsoft.Web/sites/extensions", without) == []  # no package was named


def test_the_alert_on_silence_expects_the_line_of_each_timer_that_runs() -> None:
    """Its query reads what a timer logs at its end, and leaves out a function that is switched off."""
    by_name = {
        one["name"].split("-")[1]: one["properties"] for one in of("Microsoft.Insights/scheduledQueryRules")
    }
    query = by_name["silence"]["criteria"]["allOf"][0]["query"]
    assert 'datatable(timer: string)["export", "collect", "drain", "health"]' in query
    before, _, after = SUCCEEDED.partition("%s")
    assert f'parse message with "{before}" timer "{after.partition(" after")[0]}"' in query
    off = of("Microsoft.Insights/scheduledQueryRules", deployed(runCollect=False))
    assert '["export", "drain", "health"]' in off[0]["properties"]["criteria"]["allOf"][0]["query"]
    assert "requests" in by_name["attention"]["criteria"]["allOf"][0]["query"]


def test_the_portals_form_gives_parameters_that_the_template_has() -> None:
    """All that have no default, with the same choices; each output reads an element of the form."""
    outputs = FORM["parameters"]["outputs"]
    declared = TEMPLATE["parameters"]
    assert outputs.keys() <= declared.keys()
    assert {name for name, one in declared.items() if "defaultValue" not in one} <= outputs.keys()
    steps = {step["name"]: {e["name"]: e for e in step["elements"]} for step in FORM["parameters"]["steps"]}
    for step, element in re.findall(r"steps\('(\w+)'\)\.(\w+)", json.dumps(FORM)):
        assert element in steps[step]
    for name in ("silence", "storageSku"):
        offered = [one["value"] for one in steps["package"][name]["constraints"]["allowedValues"]]
        assert offered == declared[name]["allowedValues"]
    assert {"watch", "submitAppId", "submitters"} <= outputs.keys()
    for name, element in steps["functions"].items():
        assert element["defaultValue"] == declared[name]["defaultValue"]
        if "regex" in element.get("constraints", {}):
            assert re.fullmatch(element["constraints"]["regex"], element["defaultValue"])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "watch",
            ["", "az://a/b/in --profile x", '"sharepoint://h/sites/a b/c" --profile x\r\ns3://b/in -p y\n'],
            ["/mnt/in --profile x", 'az://a/b" --profile x', "sharepoint ://h", "az://a/b/in\n/etc"],
        ),
        ("submitAppId", ["", APP_ID], ["app", f"{APP_ID} "]),
        ("submitters", ["", PLAYBOOKS[0], ", ".join(PLAYBOOKS)], [";".join(PLAYBOOKS), "me@contoso.com"]),
    ],
    ids=["watch", "submitAppId", "submitters"],
)
def test_the_form_checks_what_is_typed(name: str, good: list[str], bad: list[str]) -> None:
    """Before the deployment, where a mistake is still beside its field."""
    (step,) = (one for one in FORM["parameters"]["steps"] if one["name"] == "files")
    (element,) = (one for one in step["elements"] if one["name"] == name)
    regex = element["constraints"]["regex"].removesuffix("$") + r"\Z"  # as JavaScript's $
    assert all(re.search(regex, text) for text in good)
    assert not any(re.search(regex, text) for text in bad)


def test_the_command_writes_the_template_and_the_form(tmp_path: Path) -> None:
    """The same bytes as in the release, and the command that deploys them."""
    file = tmp_path / "azuredeploy.json"
    done = CliRunner().invoke(main, ["azure", "template", str(file)])
    assert done.exit_code == 0, done.output
    assert f"az deployment group create -g GROUP -f {file}" in done.output
    assert json.loads(file.read_text()) == TEMPLATE
    form = CliRunner().invoke(main, ["azure", "template", "--form", "-"])
    assert json.loads(form.output) == FORM
