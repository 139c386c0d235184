"""The shapes of the table in a workspace."""

import pytest
from irmcore.errors import DataError
from irmsentinel.collector import table_shape
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.kql.result import Result

SHAPES = tables.shapes(tables.load(content.root() / "tables"))[table_shape.TABLE]


@pytest.mark.parametrize(
    ("columns", "shape", "ready"),
    [
        ({c.name for c in SHAPES[""].columns}, "ready", True),
        ({c.name for c in SHAPES["classic"].columns}, "classic", False),
        ({c.name for c in SHAPES["migrated"].columns}, "migrated", True),
        ({"TimeGenerated", "Message"}, "foreign", False),
    ],
)
def test_the_columns_decide_the_shape(columns: set[str], shape: str, ready: bool) -> None:  # noqa: FBT001
    """Each shape has a message, and a next step if the collector cannot send."""
    found = table_shape.shape(columns)
    assert (found.shape, found.ready) == (shape, ready)
    assert bool(found.next_step) is not ready


def test_a_classic_table_is_explained() -> None:
    """The message says that a migration cannot be undone, and names the alternative."""
    said = table_shape.shape({"Data_s"}).next_step
    assert "cannot be undone" in said
    assert "another name" in said


def test_a_missing_table_is_no_error() -> None:
    """The service rejects a query of a missing table like an invalid query."""

    def refuses(_: str) -> Result:
        raise DataError("the query was refused (HTTP 400, SemanticError)", next_step="x")

    def fails(_: str) -> Result:
        raise DataError("the answer is only partial", next_step="x")

    assert table_shape.find(refuses).shape == "missing"
    with pytest.raises(DataError):
        table_shape.find(fails)
