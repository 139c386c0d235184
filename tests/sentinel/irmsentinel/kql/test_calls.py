import pytest
from irmcore.errors import ConfigurationError, DataError
from irmsentinel.content import artefacts as content
from irmsentinel.content.artefacts import Parameter
from irmsentinel.kql import calls

TIMELINE = content.load().named("IRMAlertTimeline")
ALERTS = content.load().named("IRMAlerts")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "sara@contoso.com", '"sara@contoso.com"'),
        ("string", 'a"); AuditLogs | take 1 //', '"a\\"); AuditLogs | take 1 //"'),
        ("string", "back\\slash", '"back\\\\slash"'),
        ("string", "Zoë 😀", '"Zoë 😀"'),
        ("datetime", "2026-11-20T08:00:00+01:00", "datetime(2026-11-20T07:00:00Z)"),
        ("datetime", "ago(7d)", "ago(7d)"),
        ("datetime", "now()", "now()"),
        ("timespan", "36h", "36h"),
        ("bool", "true", "true"),
        ("long", "-5", "-5"),
        ("int", "5", "int(5)"),
        ("real", "0.5", "real(0.5)"),
    ],
)
def test_a_value_is_a_literal_of_its_type(kind: str, value: str, text: str) -> None:
    """Quotes and backslashes stay inside the literal."""
    assert calls.literal(Parameter("p", kind), value) == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "two\nlines"),
        ("string", "\x00"),
        ("string", "\ud800"),
        ("string", "two\x85lines"),
        ("string", "two\u2028lines"),
        ("string", "two\u2029paragraphs"),
        ("datetime", "2026-01-02T03:04:05"),
        ("datetime", "0001-01-01T00:00:00+01:00"),
        ("datetime", "ago(7d); AuditLogs"),
        ("timespan", "7 days"),
        ("bool", "True"),
        ("long", "1e9"),
        ("dynamic", "{}"),
    ],
)
def test_an_invalid_value_is_refused(kind: str, value: str) -> None:
    """The message has the valid form, and not the value."""
    with pytest.raises(ConfigurationError) as refused:
        calls.literal(Parameter("p", kind), value)
    assert value not in str(refused.value).replace("ago(7d) or now()", "")


def test_a_call_declares_its_parameters() -> None:
    """Values are declared, not pasted into the call; defaults that are not constants are passed."""
    given = {"about": "sara@contoso.com", "endtime": "2026-11-20T00:00:00Z"}
    assert calls.text(TIMELINE, given) == (
        'declare query_parameters(about:string = "sara@contoso.com", '
        "endtime:datetime = datetime(2026-11-20T00:00:00Z));\n"
        "IRMAlertTimeline(about, ago(14d), endtime)"
    )


def test_the_error_for_a_wrong_name_has_the_nearest_one() -> None:
    """For a parameter and for a query."""
    with pytest.raises(ConfigurationError, match="Did you mean starttime"):
        calls.text(ALERTS, {"strttime": "now()"})
    with pytest.raises(DataError, match="Did you mean IRMAlerts"):
        content.load().named("IRMAlert")


def test_a_missing_value_is_an_error() -> None:
    """For a parameter without a default."""
    with pytest.raises(ConfigurationError, match="--param about="):
        calls.text(TIMELINE, {})
