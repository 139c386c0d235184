"""The two examples of Microsoft's page, as it prints them, faults and all."""

from __future__ import annotations

from pathlib import Path


def path(name: str) -> Path:
    """The CSV file of the example ``name``: leaver-prediction or salesforce-dropbox."""
    return Path(__file__).with_name(f"{name}.csv")
