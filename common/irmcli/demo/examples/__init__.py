"""The two examples from Microsoft's page, exactly as printed there, including their mistakes."""

from __future__ import annotations

from pathlib import Path


def path(name: str) -> Path:
    """The CSV file of the example ``name``: leaver-prediction or salesforce-dropbox."""
    return Path(__file__).with_name(f"{name}.csv")
