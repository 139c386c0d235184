"""The examples from Microsoft's pages, exactly as printed there, including their mistakes.

Two are from "Set up a connector to import third-party insider risk detections", those of HR data from "Set up
a connector to import HR data". The text of the pages is Microsoft's, under CC BY 4.0
(https://github.com/MicrosoftDocs/microsoft-365-docs, LICENSE).
"""

from pathlib import Path


def path(name: str) -> Path:
    """The CSV file of the example ``name``, which is that of its shipped profile."""
    return Path(__file__).with_name(f"{name}.csv")
