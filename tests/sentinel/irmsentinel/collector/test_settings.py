"""The collector's settings file: errors have file and line, and show no value."""

from pathlib import Path

import jsonschema
import pytest
from irmcore.errors import AddressRefused, ConfigurationError
from irmcore.profile.load import PROFILE
from irmsentinel.collector import settings as collector_settings
from irmsentinel.collector.management_api import HOSTS
from irmsentinel.collector.records import IRM_CATEGORY
from irmsentinel.collector.settings import COLLECTOR
from irmsentinel.emulators.collector_session import RULES, TENANT, settings_text

GOOD = settings_text()


def test_the_printed_template_is_valid_once_it_is_filled_in() -> None:
    """A placeholder is refused."""
    with pytest.raises(ConfigurationError, match=r"c\.yaml:3: `tenant_id` is not valid"):
        collector_settings.parse(collector_settings.TEMPLATE, "c.yaml")
    filled = (
        collector_settings.TEMPLATE.replace(collector_settings.PLACEHOLDER, TENANT)
        .replace("dcr-" + "0" * 32, "dcr-" + "1" * 32)
        .replace("# also_record_types", "also_record_types")
        .replace("NAME.ingest", "irm.ingest")
    )
    (found,) = collector_settings.parse(filled, "c.yaml")
    assert found.publisher_id == TENANT
    assert found.options.filter.also == {306, 307}
    assert found.health is not None
    assert found.health.stream == "Custom-IRMExportHealth_CL"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "conections: 5",
            "c.yaml:12: unknown key `conections` in the collector settings file. Did you mean `connections`?",
        ),
        ("connections: 0", "c.yaml:12: `connections` must be at least 1"),
        ("connections: true", "c.yaml:12: `connections` must be a whole number"),
        ("cloud: mars", "c.yaml:12: `cloud` must be one of commercial, gcc, gcc-high, dod"),
        ("cloud: china", "China (21Vianet) is not supported: Microsoft documents neither API for it."),
        ("source: xdr", "c.yaml:12: `source` must be one of audit, graph, both, activities, defender, all"),
        ("graph_endpoint: https://evil.example", "c.yaml:12: this is not an ingestion endpoint"),
        ("overlap_hours: 167", "c.yaml:12: `overlap_hours` must be at most 144"),
        ("also_record_types: [x]", "c.yaml:12: `also_record_types[0]` must be a whole number"),
        ("categories: []", "c.yaml:12: `categories` is empty"),
        ("proxy: http://u:p@h:1", "c.yaml:12: `proxy` is not valid"),
        ("health_endpoint: https://evil.example", "c.yaml:12: this is not an ingestion endpoint"),
        ("stream: Custom-../x", "c.yaml:12: `stream` is not valid"),
        ("publisher_id: me", "c.yaml:12: `publisher_id` is not valid"),
    ],
)
def test_an_invalid_setting_is_named_with_its_line(line: str, expected: str) -> None:
    """The message says what is valid."""
    with pytest.raises(ConfigurationError) as wrong:
        collector_settings.parse(f"{GOOD}\n{line}\n", "c.yaml", "both" if "graph" in line else None)
    assert expected in str(wrong.value)


@pytest.mark.parametrize("key", ["tenant_id", "app_id", "credential", "endpoint", "rule_id"])
def test_a_missing_setting_is_named(key: str) -> None:
    """The message describes the setting."""
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith(key))
    expected = f"`{key}` is missing from the collector settings file. Add `{key}: …`. [A-Z]"
    with pytest.raises(ConfigurationError, match=expected):
        collector_settings.parse(text, "c.yaml")


def test_no_value_is_shown(tmp_path: Path) -> None:
    """A secret written in the wrong place is not shown."""
    for text in (GOOD.replace("{env: NOT_USED}", "hunter2secret"), GOOD + "\ntenant_id: hunter2secret\n"):
        with pytest.raises(ConfigurationError) as wrong:
            collector_settings.parse(text, "c.yaml")
        assert "hunter2" not in str(wrong.value)
    with pytest.raises(ConfigurationError, match="irmexport sentinel settings"):
        collector_settings.read(str(tmp_path / "none.yaml"))


def test_an_emulator_is_on_this_machine() -> None:
    """`--emulator` cannot send rows and the secret to another host."""
    (settings,) = collector_settings.parse(GOOD, "c.yaml")
    with pytest.raises(AddressRefused):
        collector_settings.at_emulator(settings, "https://evil.example", "ca", "secret")


def test_a_credential_is_written_as_in_a_profile() -> None:
    """The kinds and forms of references are the same; another host is not a key vault."""
    at = "{env: NOT_USED}"
    for kind, place in (("keyring", "irm/collector"), ("certificate", "/etc/irm.pem"), ("file", "~/secret")):
        (found,) = collector_settings.parse(GOOD.replace(at, f"{{{kind}: {place}}}"), "c.yaml")
        assert (found.target.credential.kind, found.target.credential.name) == (kind, place)
    wrong = (
        "{keyring: irm}",
        "{key_vault: https://evil.example/secrets/s}",
        "{env: A, file: /b}",
        "{env: 5}",
    )
    for text in (*wrong, "{vault: x}", "[]"):
        with pytest.raises(ConfigurationError, match="`credential` is not a valid reference"):
            collector_settings.parse(GOOD.replace(at, text), "c.yaml")


def test_only_a_managed_identity_signs_in_without_an_application() -> None:
    """Its kind and name are kept; any other credential needs `app_id`, and the error says so."""
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith("app_id:"))
    with pytest.raises(ConfigurationError, match="Required unless `credential` is a managed identity"):
        collector_settings.parse(text, "c.yaml")
    for name in ("system", "88888888-8888-4888-8888-888888888888"):
        alone = text.replace("{env: NOT_USED}", f"{{managed_identity: {name}}}")
        target = collector_settings.parse(alone, "c.yaml")[0].target
        assert (target.app_id, target.credential.name) == ("", name)


def test_the_schema_agrees_with_the_code_and_with_the_profile() -> None:
    """The schema is valid; its credential is the profile's, and its constants are the code's."""
    jsonschema.Draft7Validator.check_schema(COLLECTOR.schema)
    properties = COLLECTOR.schema["properties"]
    assert COLLECTOR.schema["definitions"]["credential"] == PROFILE.schema["definitions"]["credential"]
    assert properties["proxy"] == PROFILE.schema["definitions"]["connector"]["properties"]["proxy"]
    assert properties["cloud"]["enum"] == list(HOSTS)
    assert properties["categories"]["default"] == [IRM_CATEGORY]


def test_a_key_without_a_value_counts_as_absent() -> None:
    """An optional key gets its default, and a required one is missing."""
    assert collector_settings.parse(f"{GOOD}\nproxy:\nconnections:\n", "c.yaml")[0].options.connections == 24
    text = "\n".join("endpoint:" if line.startswith("endpoint:") else line for line in GOOD.splitlines())
    with pytest.raises(ConfigurationError, match="`endpoint` is missing"):
        collector_settings.parse(text, "c.yaml")


@pytest.mark.parametrize(
    ("cloud", "audit", "graph"),
    [
        ("commercial", "https://manage.office.com", "https://graph.microsoft.com"),
        ("gcc", "https://manage-gcc.office.com", "https://graph.microsoft.com"),
        ("gcc-high", "https://manage.office365.us", "https://graph.microsoft.us"),
        ("dod", "https://manage.protection.apps.mil", "https://dod-graph.microsoft.us"),
    ],
)
def test_each_source_has_its_host_its_rule_and_its_limit(cloud: str, audit: str, graph: str) -> None:
    """The file or `--source` names the sources; each has an outbox of its own."""
    text = f"{GOOD}\ncloud: {cloud}\nsource: both\ngraph_endpoint: https://g.ingest.monitor.azure.com\n"
    both = collector_settings.parse(text, "c.yaml")
    assert [(one.source, one.root, one.requests_per_minute) for one in both] == [
        ("audit", audit, 2000),
        ("graph", graph, 150),
    ]
    assert both[1].target.stream == "Custom-IRMAlertsGraph_CL"
    assert both[1].target.endpoint == "https://g.ingest.monitor.azure.com"
    assert both[0].target.endpoint != both[1].target.endpoint
    assert both[0].target.outbox_name != both[1].target.outbox_name
    assert both[0].health == both[1].health
    for source in ("audit", "graph"):
        assert [one.source for one in collector_settings.parse(text, "c.yaml", source)] == [source]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("activities", ["events", "behaviors"]),
        ("defender", ["graph", "events", "behaviors"]),
        ("all", ["audit", "graph", "events", "behaviors"]),
    ],
)
def test_activities_are_two_tables(source: str, expected: list[str]) -> None:
    """Each has its rule, its outbox, half of the tenant's limit, and an overlap for rows that are late."""
    found = collector_settings.parse(f"{GOOD}\noverlap_hours: 2\n", "c.yaml", source)
    assert [one.source for one in found] == expected
    assert len({one.target.outbox_name for one in found}) == len(found)
    events, behaviors = found[-2:]
    assert events.target.rule_id == RULES["IRMDataSecurityEvents_CL"]
    assert behaviors.target.stream == "Custom-IRMDataSecurityBehaviors_CL"
    assert events.root == "https://graph.microsoft.com"
    assert events.requests_per_minute + behaviors.requests_per_minute <= 45
    assert events.options.overlap == 72 * 3600
    with pytest.raises(ConfigurationError, match="`behaviors_rule_id` is missing"):
        collector_settings.parse(GOOD.replace("behaviors_rule_id", "# "), "c.yaml", source)


def test_only_the_rule_of_a_chosen_source_is_needed() -> None:
    """Graph alone needs no rule for audit records, and the other way round."""
    lines = GOOD.splitlines()
    without = {
        key: "\n".join(x for x in lines if not x.startswith(key)) for key in ("rule_id", "graph_rule_id")
    }
    assert collector_settings.parse(without["rule_id"], "c.yaml", "graph")
    assert collector_settings.parse(without["graph_rule_id"], "c.yaml")
    with pytest.raises(ConfigurationError, match="Required if `source` is graph, both, defender or all"):
        collector_settings.parse(without["graph_rule_id"], "c.yaml", "both")
