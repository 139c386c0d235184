from pathlib import Path

from tests.sentinel.fixtures import cases

PAGE = Path(__file__).parents[2] / "docs" / "published-queries.md"


def row(cells: list[object]) -> str:
    """A row of a Markdown table."""
    said = [str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in cells]
    return f"| {' | '.join(said)} |".replace("|  |", "|  |")


def test_the_page_shows_the_fixtures() -> None:
    """Each table of the page is a fixture's, row by row."""
    page = PAGE.read_text(encoding="utf-8")
    shown = [case for case in cases() if case.file.parent.name == "published"]
    assert len(shown) == 4
    for case in shown:
        head = [row(list(case.columns)), "|" + "---|" * len(case.columns)]
        table = "\n".join(head + [row([_text(cell) for cell in cells]) for cells in case.rows])
        assert table in page


def _text(cell: object) -> object:
    stamp = getattr(cell, "isoformat", None)
    return stamp().replace("+00:00", "Z") if stamp else cell
