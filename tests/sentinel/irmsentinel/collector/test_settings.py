"""The collector's settings file: what is wrong is said with file and line, and no value is shown."""

from pathlib import Path

import pytest
from irmcore.errors import AddressRefused, ConfigurationError
from irmsentinel.collector import settings as collector_settings
from irmsentinel.emulators.collector_session import TENANT, settings_text

GOOD = settings_text()


def test_the_printed_form_is_a_settings_file_but_for_what_must_be_filled_in() -> None:
    """A placeholder is not taken for an answer."""
    with pytest.raises(ConfigurationError, match=r"c\.yaml:3: `tenant_id` is not written as it must be"):
        collector_settings.parse(collector_settings.TEMPLATE, "c.yaml")
    filled = (
        collector_settings.TEMPLATE.replace(collector_settings.PLACEHOLDER, TENANT)
        .replace("dcr-" + "0" * 32, "dcr-" + "1" * 32)
        .replace("# also_record_types", "also_record_types")
        .replace("NAME.ingest", "irm.ingest")
    )
    found = collector_settings.parse(filled, "c.yaml")
    assert found.publisher_id == TENANT
    assert found.options.wanted.also == {306, 307}
    assert found.health is not None
    assert found.health.stream == "Custom-IRMExportHealth_CL"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("conections: 5", "c.yaml:9: there is no setting `conections`. Did you mean `connections`?"),
        ("connections: 0", "c.yaml:9: `connections` is not written"),
        ("connections: true", "c.yaml:9: `connections` is not written"),
        ("cloud: mars", "It is one of commercial, gcc, gcc-high, dod"),
        ("overlap_hours: 167", "c.yaml:9: `overlap_hours`"),
        ("also_record_types: [x]", "c.yaml:9: `also_record_types`"),
        ("categories: []", "c.yaml:9: `categories`"),
        ("proxy: http://u:p@h:1", "c.yaml:9: `proxy`"),
        ("health_endpoint: https://evil.example", "c.yaml:9: that is no ingestion endpoint"),
        ("stream: Custom-../x", "c.yaml:9: `stream`"),
        ("publisher_id: me", "c.yaml:9: `publisher_id`"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(line: str, said: str) -> None:
    """And with what it should be."""
    with pytest.raises(ConfigurationError) as wrong:
        collector_settings.parse(f"{GOOD}\n{line}\n", "c.yaml")
    assert said in str(wrong.value)


@pytest.mark.parametrize("key", ["tenant_id", "app_id", "credential", "endpoint", "rule_id"])
def test_a_setting_that_is_missing_is_named(key: str) -> None:
    """With what it is."""
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith(key))
    with pytest.raises(ConfigurationError, match=f"`{key}` is missing"):
        collector_settings.parse(text, "c.yaml")


def test_no_value_is_shown(tmp_path: Path) -> None:
    """A secret that was put where it does not belong stays there."""
    for text in (GOOD.replace("{env: NOT_USED}", "hunter2secret"), GOOD + "\ntenant_id: hunter2secret\n"):
        with pytest.raises(ConfigurationError) as wrong:
            collector_settings.parse(text, "c.yaml")
        assert "hunter2" not in str(wrong.value)
    with pytest.raises(ConfigurationError, match="irmexport sentinel settings"):
        collector_settings.read(str(tmp_path / "none.yaml"))


def test_a_stand_in_is_on_this_machine() -> None:
    """`--emulator` cannot lead rows and secret elsewhere."""
    settings = collector_settings.parse(GOOD, "c.yaml")
    with pytest.raises(AddressRefused):
        collector_settings.at_emulator(settings, "https://evil.example", "ca", "secret")


def test_a_credential_is_where_a_profiles_may_be() -> None:
    """The places and their forms are the profile's; another host is no vault."""
    at = "{env: NOT_USED}"
    for kind, place in (("keyring", "irm/collector"), ("certificate", "/etc/irm.pem"), ("file", "~/secret")):
        found = collector_settings.parse(GOOD.replace(at, f"{{{kind}: {place}}}"), "c.yaml").target.credential
        assert (found.kind, found.name) == (kind, place)
    wrong = (
        "{keyring: irm}",
        "{key_vault: https://evil.example/secrets/s}",
        "{env: A, file: /b}",
        "{env: 5}",
    )
    for text in (*wrong, "{vault: x}", "[]"):
        with pytest.raises(ConfigurationError, match="`credential` is not written as it must be"):
            collector_settings.parse(GOOD.replace(at, text), "c.yaml")
