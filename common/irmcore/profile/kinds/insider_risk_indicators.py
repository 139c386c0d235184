"""The connector "Insider Risk Indicators (preview)". Its columns are the administrator's own."""

from __future__ import annotations

from irmcore.profile.kinds.model import Kind

KIND = Kind(
    name="insider-risk-indicators",
    title="Insider Risk Indicators (preview)",
    # RecordsPerCall of Microsoft's sample script, lowered from 50,000 on 2026-02-03.
    rows=5_000,
    source="https://github.com/microsoft/m365-compliance-connector-sample-scripts",
    read="2026-11-30",
)
