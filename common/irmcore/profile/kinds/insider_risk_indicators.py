"""The connector "Insider Risk Indicators (preview)". Its columns are the administrator's own."""

from __future__ import annotations

from irmcore.profile.kinds.model import Kind

KIND = Kind(
    name="insider-risk-indicators",
    title="Insider Risk Indicators (preview)",
    rows=5_000,
    of_rows="RecordsPerCall of Microsoft's script, lowered from 50,000 on that day",
    source="https://github.com/microsoft/m365-compliance-connector-sample-scripts",
    read="2026-02-03",
)
